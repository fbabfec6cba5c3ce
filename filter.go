package zep

import (
	"slices"
	"time"
)

// A SearchFilter narrows a search down by metadata and time. Its [SearchFilter.Metadata] goes into the Metadata of a
// [SearchMemoryRequest] or a [SearchDocumentsRequest].
type SearchFilter struct {
	Where Condition // of JSONPath, And, Or; nil for none

	// Start and End bound when a message was created; zero times do not. Documents are not filtered by time.
	Start, End time.Time
}

// A Condition is a part of a [SearchFilter], made by [JSONPath], [And] and [Or].
type Condition map[string]any

// JSONPath holds for what has a match for the SQL/JSON path, as PostgreSQL reads it, in its metadata:
//
//	JSONPath(`$[*] ? (@.plan == "pro")`)
//
// Values are part of the path: quote those that come from outside, and write \u0027 for an apostrophe in them, which the server
// takes for a quotation mark. A path that PostgreSQL cannot read is a 500, [ErrServer].
func JSONPath(path string) Condition { return Condition{"jsonpath": path} }

// And holds where all conditions do.
func And(conditions ...Condition) Condition { return Condition{"and": slices.Clone(conditions)} }

// Or holds where at least one condition does. Put an [And] or [Or] in it first, and not more than one: the server joins it to what
// stands before it with AND.
func Or(conditions ...Condition) Condition { return Condition{"or": slices.Clone(conditions)} }

// Metadata is the filter as the API takes it.
func (f SearchFilter) Metadata() Metadata {
	m := Metadata{}
	if f.Where != nil {
		m["where"] = f.Where
	}
	if !f.Start.IsZero() {
		m["start_date"] = filterDate(f.Start)
	}
	if !f.End.IsZero() {
		m["end_date"] = filterDate(f.End)
	}
	return m
}

// filterDate writes midnight in UTC as the date alone, the API's own form.
func filterDate(t time.Time) string {
	t = t.UTC()
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339Nano)
}

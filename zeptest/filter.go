package zeptest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// jsonQuery is the "where" of a search's metadata.
type jsonQuery struct {
	JSONPath string       `json:"jsonpath"`
	And      []*jsonQuery `json:"and"`
	Or       []*jsonQuery `json:"or"`
}

// clause is one of the terms of a WHERE in SQL: a path that has to find something in the metadata,
// or a group in parentheses. It is joined to the one before it by AND or by OR.
type clause struct {
	or    bool
	path  *jsonPath
	group clauses
}

type clauses []clause

// compileWhere reads the "where" of a search's metadata. Without one, the clauses hold for all.
func compileWhere(metadata map[string]any) (clauses, error) {
	where, ok := metadata["where"]
	if !ok {
		return nil, nil
	}
	text, err := json.Marshal(where)
	if err != nil {
		return nil, err
	}
	var query jsonQuery
	if err := json.Unmarshal(text, &query); err != nil {
		return nil, &whereError{serverTypes.Replace(err.Error())}
	}
	return query.compile(false)
}

// whereError says that a "where" is malformed, before PostgreSQL looks at its paths.
type whereError struct{ text string }

func (e *whereError) Error() string { return e.text }

// compile makes the clauses that Zep makes. Like Zep, it joins a group within an "or" to what
// stands before it by AND.
func (q *jsonQuery) compile(or bool) (clauses, error) {
	if q == nil {
		return nil, errPanic
	}
	var compiled clauses
	if q.JSONPath != "" {
		// Zep replaces single quotes, which SQL/JSON does not have.
		path, err := parseJSONPath(strings.ReplaceAll(dropNUL(q.JSONPath), "'", `"`))
		if err != nil {
			return nil, err
		}
		compiled = append(compiled, clause{or: or, path: path})
	}
	for _, sub := range []struct {
		queries []*jsonQuery
		or      bool
	}{{q.And, false}, {q.Or, true}} {
		var group clauses
		for _, query := range sub.queries {
			terms, err := query.compile(sub.or)
			if err != nil {
				return nil, err
			}
			group = append(group, terms...)
		}
		if len(group) > 0 {
			compiled = append(compiled, clause{group: group})
		}
	}
	return compiled, nil
}

// hold says whether the clauses hold. AND binds tighter than OR.
func (c clauses) hold(metadata map[string]any) bool {
	all := true
	for i, term := range c {
		if i > 0 && term.or {
			if all {
				return true
			}
			all = true
		}
		all = all && term.holds(metadata)
	}
	return all
}

func (c clause) holds(metadata map[string]any) bool {
	if c.path == nil {
		return c.group.hold(metadata)
	}
	return metadata != nil && c.path.exists(metadata)
}

// period is the "start_date" and "end_date" of a search's metadata, both included. A date that was
// not sent does not matter. With a date that is null, nothing is in the period, as in SQL.
type period struct {
	start, end *time.Time
	never      bool
}

func parsePeriod(metadata map[string]any) (period, error) {
	var p period
	for _, bound := range []struct {
		key string
		at  **time.Time
	}{{"start_date", &p.start}, {"end_date", &p.end}} {
		switch value := metadata[bound.key].(type) {
		case nil:
			_, sent := metadata[bound.key]
			p.never = p.never || sent
		case string:
			at, err := parseDate(value)
			if err != nil {
				return period{}, err
			}
			*bound.at = &at
		default:
			return period{}, fmt.Errorf(
				"zeptest cannot compare times with the %s %v: send it as a text", bound.key, value)
		}
	}
	return p, nil
}

func (p period) has(t time.Time) bool {
	return !p.never &&
		(p.start == nil || !t.Before(*p.start)) &&
		(p.end == nil || !t.After(*p.end))
}

// parseDate reads a few of the many forms of PostgreSQL, in UTC if they have no time zone.
func parseDate(text string) (time.Time, error) {
	for _, layout := range []string{
		time.RFC3339, time.DateOnly, time.DateTime, "2006-01-02T15:04:05",
	} {
		if t, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf(
		"zeptest cannot read the date %q: write 2006-01-02 or 2006-01-02T15:04:05Z", text)
}

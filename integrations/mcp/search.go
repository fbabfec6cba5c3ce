package zepmcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/zep-go/zep"
)

type searchMemoryInput struct {
	SessionID     string         `json:"session_id"`
	Query         string         `json:"query"`
	Scope         string         `json:"scope,omitempty"`
	Where         map[string]any `json:"where,omitempty"`
	Start         string         `json:"start,omitempty"`
	End           string         `json:"end,omitempty"`
	Limit         int            `json:"limit,omitempty"`
	Offset        int            `json:"offset,omitempty"`
	ContentOffset int            `json:"content_offset,omitempty"`
}

// memoryHit is a message or a summary that a search found.
type memoryHit struct {
	Score float64 `json:"score" jsonschema:"similarity to the query: 1 is the same"`
	storedMessage
}

type memoryFound struct {
	SessionID string       `json:"session_id"`
	Results   []*memoryHit `json:"results" jsonschema:"best first"`
	Note      string       `json:"note,omitempty"`
	More      *more        `json:"more,omitempty" jsonschema:"how to get further results"`
}

// maxOffset is how many results a search skips at most.
const maxOffset = 1000

// searchArguments are the arguments that both searches have.
var searchArguments = arguments{
	"query":  {"what to look for, in words", length(1, 2000)},
	"where":  {"find only what has these values in the top-level keys of its metadata", equalities},
	"limit":  {"how many results at most", between(1, 50, 10)},
	"offset": {"results to skip", between(0, maxOffset, 0)},
	"content_offset": {"characters to skip of the first result of the answer, to go on with one " +
		"that was cut", between(0, maxNumber, 0)},
}

func (s *server) addSearchMemory() {
	addTool(s, definition{
		name:  "search_memory",
		title: "Search the memory of a session",
		description: "Finds messages of a session by their meaning, best first. Messages that were " +
			"just stored may be missing: the server embeds them a little later.",
		arguments: searchArguments.with(arguments{
			"session_id": {"the session to search", idText},
			"scope":      {"search the messages, or the summaries of the session", scopeText},
			"start": {"find only what was stored at this time or later: 2024-05-31 or " +
				"2024-05-31T18:00:00Z", length(1, 40)},
			"end": {"find only what was stored before this time", length(1, 40)},
		}),
	}, s.searchMemory)
}

// scopeText limits a text to what can be searched.
func scopeText(s *jsonschema.Schema) {
	oneOf("messages", "summaries")(s)
	s.Default = json.RawMessage(`"messages"`)
}

func (s *server) searchMemory(ctx context.Context, in searchMemoryInput) (*memoryFound, error) {
	filter, err := in.filter()
	if err != nil {
		return nil, err
	}
	if err := s.checkOwner(ctx, in.SessionID); err != nil {
		return nil, err
	}
	req := &zep.SearchMemoryRequest{
		Text:     in.Query,
		Metadata: filter.Metadata(),
		Limit:    in.Offset + in.Limit + 1, // one more tells whether there are more
	}
	if in.Scope == "summaries" {
		req.Scope = zep.SearchScopeSummary
	}
	results, err := s.client.Memory.Search(ctx, in.SessionID, req)
	if err != nil && !errors.Is(err, zep.ErrNotFound) { // of Zep before v0.19
		return nil, err
	}
	out := &memoryFound{SessionID: in.SessionID, Results: []*memoryHit{}}
	if len(results) == 0 {
		out.Note = "Nothing is found. Messages that were just stored may be missing: " +
			"the server embeds them a little later."
		return out, s.checkExists(ctx, in.SessionID)
	}
	var hits []*memoryHit
	for _, r := range results[min(in.Offset, len(results)):] {
		hits = append(hits, hitOf(r))
	}
	page := searchPage{"search_memory", in.Limit, in.Offset, in.ContentOffset}
	out.Results, out.More, err = fitPage(s, page, out, hits)
	return out, err
}

func (in searchMemoryInput) filter() (filter zep.SearchFilter, err error) {
	if filter.Start, err = parseTime("start", in.Start); err != nil {
		return filter, err
	}
	if filter.End, err = parseTime("end", in.End); err != nil {
		return filter, err
	}
	filter.Where = conditionOf(in.Where)
	return filter, nil
}

func parseTime(argument, text string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil || text == "" {
			return t, nil
		}
	}
	return time.Time{}, modelError(argument + " must be a date such as 2024-05-31, or a time such " +
		"as 2024-05-31T18:00:00Z.")
}

// conditionOf returns the condition that metadata has all the values, nil for none.
func conditionOf(values map[string]any) zep.Condition {
	var all []zep.Condition
	for _, key := range slices.Sorted(maps.Keys(values)) {
		all = append(all, zep.Equal(key, values[key]))
	}
	if len(all) == 0 {
		return nil
	}
	return zep.And(all...)
}

func hitOf(r *zep.MemorySearchResult) *memoryHit {
	hit := &memoryHit{Score: r.Dist}
	switch {
	case r.Message != nil:
		hit.storedMessage = *messageOf(r.Message, 0)
	case r.Summary != nil:
		hit.storedMessage = storedMessage{
			UUID:      r.Summary.UUID,
			Role:      "summary",
			CreatedAt: r.Summary.CreatedAt,
			text:      textOf(r.Summary.Content, r.Summary.Metadata),
		}
	}
	return hit
}

// searchPage says which results of a search an answer has.
type searchPage struct {
	tool                         string
	limit, offset, contentOffset int
}

// fitPage returns the hits that an answer has, and how to get more. There may be more hits than
// the page's limit.
func fitPage[T record](s *server, p searchPage, envelope any, hits []T) ([]T, *more, error) {
	all := len(hits)
	hits = hits[:min(p.limit, all)]
	if err := skipContent(hits, p.contentOffset); err != nil {
		return nil, nil, err
	}
	kept, f, err := fit(s, envelope, hits)
	if err != nil || f.next() == all && f.leftOut == 0 {
		return kept, nil, err
	}
	next := p.offset + f.next()
	if next > maxOffset {
		return kept, &more{
			Note: fmt.Sprintf("There are further results, but offset skips at most %d. "+
				"Make the query narrower.", maxOffset),
			Arguments: map[string]any{},
		}, nil
	}
	return kept, &more{
		Note:      f.note(s, p.tool, "further results"),
		Arguments: f.arguments("offset", next, p.contentOffset),
	}, nil
}

type searchDocumentsInput struct {
	Collection    string         `json:"collection"`
	Query         string         `json:"query"`
	Where         map[string]any `json:"where,omitempty"`
	MinScore      float64        `json:"min_score,omitempty"`
	Limit         int            `json:"limit,omitempty"`
	Offset        int            `json:"offset,omitempty"`
	ContentOffset int            `json:"content_offset,omitempty"`
}

// documentHit is a document that a search found.
type documentHit struct {
	Score      float64   `json:"score" jsonschema:"similarity to the query: 1 is the same"`
	UUID       string    `json:"uuid"`
	DocumentID string    `json:"document_id,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
	text
}

type documentsFound struct {
	Collection string         `json:"collection"`
	Results    []*documentHit `json:"results" jsonschema:"best first"`
	Note       string         `json:"note,omitempty"`
	More       *more          `json:"more,omitempty" jsonschema:"how to get further results"`
}

func (s *server) addSearchDocuments() {
	addTool(s, definition{
		name:        "search_documents",
		title:       "Search documents",
		description: "Finds documents of a collection by their meaning, best first.",
		arguments: searchArguments.with(arguments{
			"collection": {"the collection to search; list_collections shows them", collectionText},
			"min_score":  {"find only what is at least so similar", between(0, 1, 0)},
		}),
	}, s.searchDocuments)
}

func (s *server) searchDocuments(
	ctx context.Context, in searchDocumentsInput,
) (*documentsFound, error) {
	results, waiting, err := s.embeddedDocuments(ctx, in)
	if errors.Is(err, zep.ErrNotFound) {
		return nil, s.noCollection(ctx, in.Collection)
	}
	if err != nil {
		return nil, err
	}
	if waiting > 0 && len(results) == 0 {
		return nil, modelError(fmt.Sprintf("Nothing can be found in the collection %q yet: at least "+
			"%d of its documents are not embedded. Call again in some seconds with the same arguments.",
			in.Collection, waiting))
	}
	out := &documentsFound{Collection: in.Collection, Results: []*documentHit{}}
	if waiting > 0 {
		out.Note = fmt.Sprintf("At least %d documents of the collection are not embedded yet, and "+
			"cannot be found. Call again in some seconds for all results.", waiting)
	}
	var hits []*documentHit
	for _, r := range results[min(in.Offset, len(results)):] {
		if r.Score >= in.MinScore {
			hits = append(hits, &documentHit{
				Score:      r.Score,
				UUID:       r.UUID,
				DocumentID: r.DocumentID,
				CreatedAt:  r.CreatedAt,
				text:       textOf(r.Content, r.Metadata),
			})
		}
	}
	page := searchPage{"search_documents", in.Limit, in.Offset, in.ContentOffset}
	out.Results, out.More, err = fitPage(s, page, out, hits)
	return out, err
}

// embeddedDocuments returns the best results, one more than the page needs, and how many documents
// it met that are not embedded. The server puts those before all others, so it is asked for more
// until there are enough, or no more.
func (s *server) embeddedDocuments(
	ctx context.Context, in searchDocumentsInput,
) (results []*zep.DocumentSearchResult, waiting int, err error) {
	want := in.Offset + in.Limit + 1
	for limit := want; ; limit *= 4 {
		limit = min(limit, want+maxWaiting)
		found, err := s.client.Collection.Search(ctx, in.Collection, &zep.SearchDocumentsRequest{
			Text:     in.Query,
			Metadata: zep.SearchFilter{Where: conditionOf(in.Where)}.Metadata(),
			Limit:    limit,
		})
		if err != nil {
			return nil, 0, err
		}
		results = slices.DeleteFunc(slices.Clone(found.Results),
			func(r *zep.DocumentSearchResult) bool { return !r.IsEmbedded })
		waiting = len(found.Results) - len(results)
		if len(results) >= want || len(found.Results) < limit || limit == want+maxWaiting {
			return results, waiting, nil
		}
	}
}

// maxWaiting is how many documents that are not embedded a search looks past.
const maxWaiting = 1000

// noCollection says which collections there are in place of one that is not.
func (s *server) noCollection(ctx context.Context, name string) error {
	collections, err := s.client.Collection.List(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, c := range collections {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	text := fmt.Sprintf("The collection %q does not exist, and no other does.", name)
	switch {
	case len(names) > maxNames:
		text = fmt.Sprintf("The collection %q does not exist. Change collection to one of the %d that "+
			"list_collections shows.", name, len(names))
	case len(names) > 0:
		text = fmt.Sprintf("The collection %q does not exist. Change collection to one of: %s.",
			name, strings.Join(names, ", "))
	}
	return modelError(text)
}

// maxNames is how many names of collections an error has.
const maxNames = 20

package zeptest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// mmr is the search type of marginal relevance. Every other text means similarity.
const mmr = "mmr"

const (
	defaultLambda = 0.5

	// mmrPool is how many times the limit MMR picks its results from, and mmrPoolMin the least
	// number.
	mmrPool    = 2
	mmrPoolMin = 10
)

// storageError wraps an error as Zep's store does.
func storageError(message string, err error) error {
	if errors.Is(err, errPanic) {
		return err
	}
	return fmt.Errorf("storage error: %s (original error: %w)", message, err)
}

// memorySearchResult has a message or a summary. Its dist is not a distance: 1 is the nearest.
type memorySearchResult struct {
	Message   json.RawMessage `json:"message"`
	Summary   *summary        `json:"summary"`
	Dist      float64         `json:"dist"`
	Embedding []float32       `json:"embedding"`

	createdAt time.Time
}

// ratedFor returns the result with the likeness to a query, if there is one.
func (r memorySearchResult) ratedFor(query []float32) memorySearchResult {
	if query != nil {
		r.Dist = float64(innerProduct(query, r.Embedding))
	}
	return r
}

func (s *Server) searchMemory(r *http.Request) (answer, error) {
	type MemorySearchPayload struct {
		Text        string         `json:"text"`
		Metadata    map[string]any `json:"metadata"`
		SearchScope string         `json:"search_scope"`
		SearchType  string         `json:"search_type"`
		MMRLambda   float32        `json:"mmr_lambda"`
	}
	var req MemorySearchPayload
	if err := decodeJSON(r, &req); err != nil {
		return answer{}, err
	}
	limit, err := intQuery(r, "limit")
	if err != nil {
		return answer{}, err
	}
	if req.Text == "" && len(req.Metadata) == 0 {
		return answer{}, errors.New("empty query")
	}
	if !slices.Contains([]string{"", "messages", "summary"}, req.SearchScope) {
		return answer{}, errors.New("invalid search scope")
	}
	where, dates, err := parseMemoryFilter(req.Metadata)
	if err != nil {
		return answer{}, err
	}
	var query []float32
	if req.Text != "" {
		query = embed(req.Text, s.store.dimensions)
	}

	s.store.mu.RLock()
	find := s.store.findMessages
	if req.SearchScope == "summary" {
		find = s.store.findSummaries
	}
	results := find(r.PathValue("sessionId"), query, where, dates)
	s.store.mu.RUnlock()
	sortMemory(results, query != nil)
	if len(results) == 0 && s.version.searchesFindOr404() {
		return answer{}, errNotFound
	}
	if limit == 0 {
		limit = 10
	}
	if req.SearchType != mmr {
		results = firstOf(results, sqlLimit(limit))
		for i := range results {
			results[i].Embedding = nil
		}
		return jsonAnswer(results)
	}
	results = firstOf(results, sqlLimit(max(mmrPool*limit, mmrPoolMin)))
	embedding := func(r memorySearchResult) []float32 { return r.Embedding }
	ranked, err := rankedByRelevance(results, embedding, query, req.MMRLambda, limit)
	if err != nil {
		return answer{}, storageError("error applying mmr",
			storageError("error applying mmr", err))
	}
	return jsonAnswer(ranked)
}

// sortMemory sorts results by their likeness to the query, best first, or without one by their
// time, latest first.
func sortMemory(results []memorySearchResult, byDist bool) {
	slices.SortStableFunc(results, func(a, b memorySearchResult) int {
		if byDist {
			return cmp.Compare(b.Dist, a.Dist)
		}
		return b.createdAt.Compare(a.createdAt)
	})
}

func parseMemoryFilter(metadata map[string]any) (clauses, period, error) {
	where, err := compileWhere(metadata)
	var noWhere *whereError
	if errors.As(err, &noWhere) {
		return nil, period{}, storageError("error applying metadata filter",
			storageError("error unmarshalling metadata", err))
	}
	var dates period
	if err == nil {
		dates, err = parsePeriod(metadata)
	}
	if err != nil {
		return nil, period{}, memoryFilterError(err)
	}
	return where, dates, nil
}

func memoryFilterError(err error) error {
	return storageError("memory searchMemory failed", fmt.Errorf("error scanning: %w", err))
}

// findMessages finds a session's messages that are embedded and that pass the filter. Zep finds no
// message without an embedding, not even by metadata. The caller holds the lock.
func (s *store) findMessages(
	sessionID string, query []float32, where clauses, dates period,
) []memorySearchResult {
	found := []memorySearchResult{}
	for _, key := range s.messagesOf[sessionID] {
		if s.unembedded[key] {
			continue
		}
		raw := s.messages.byKey[key]
		var m message
		raw.decode(&m)
		if where.hold(m.Metadata) && dates.has(m.CreatedAt) {
			found = append(found, memorySearchResult{
				Message:   raw.json,
				Embedding: embed(m.Content, s.dimensions),
				createdAt: m.CreatedAt,
			}.ratedFor(query))
		}
	}
	return found
}

// findSummaries finds a session's summaries. The caller holds the lock.
func (s *store) findSummaries(
	sessionID string, query []float32, where clauses, dates period,
) []memorySearchResult {
	found := []memorySearchResult{}
	for _, summarized := range s.summariesOf[sessionID] {
		if where.hold(summarized.Metadata) && dates.has(summarized.CreatedAt) {
			summarized.RecentMessageUUID = nilUUID // Zep leaves it out of this query
			found = append(found, memorySearchResult{
				Summary:   &summarized,
				Embedding: embed(summarized.Content, s.dimensions),
				createdAt: summarized.CreatedAt,
			}.ratedFor(query))
		}
	}
	return found
}

// firstOf returns the first results, or all if the limit is not positive.
func firstOf[T any](results []T, limit int64) []T {
	if limit > 0 && limit < int64(len(results)) {
		return results[:limit]
	}
	return results
}

// rankedByRelevance picks results by their marginal relevance. All must have vectors as long as
// the query.
func rankedByRelevance[T any](
	results []T, vector func(T) []float32, query []float32, lambda float32, limit int64,
) ([]T, error) {
	ranked := []T{}
	if limit <= 0 || len(results) == 0 {
		return ranked, nil
	}
	vectors := make([][]float32, len(results))
	for i, result := range results {
		vectors[i] = vector(result)
		switch width := len(vectors[i]); {
		case width == len(query):
		case i == 0:
			return nil, errors.New("query embedding width does not match embedding vector width")
		default:
			return nil, fmt.Errorf("vector lengths do not match: %d != %d", len(query), width)
		}
	}
	if lambda == 0 {
		lambda = defaultLambda
	}
	n := int(min(limit, int64(len(results))))
	order, err := marginalRelevance(query, vectors, float64(lambda), n)
	if err != nil {
		return nil, err
	}
	for _, i := range order {
		ranked = append(ranked, results[i])
	}
	return ranked, nil
}

package zeptest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"
)

// mmr is the search type of marginal relevance. Every other text means similarity.
const mmr = "mmr"

const (
	defaultLambda = 0.5

	// mmrPool is how many times the limit MMR picks its results from, and mmrPoolMin the least number.
	mmrPool    = 2
	mmrPoolMin = 10
)

var errVectorWidth = errors.New("query embedding width does not match embedding vector width")

// storageError is an error as Zep's store words it.
func storageError(message string, err error) error {
	if errors.Is(err, errPanic) {
		return err
	}
	return fmt.Errorf("storage error: %s (original error: %w)", message, err)
}

// A memorySearchResult has a message or a summary. Its dist is no distance: 1 is the nearest.
type memorySearchResult struct {
	Message   json.RawMessage `json:"message"`
	Summary   *summary        `json:"summary"`
	Dist      float64         `json:"dist"`
	Embedding []float32       `json:"embedding"`

	createdAt time.Time
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
		query = embed(req.Text)
	}

	s.store.mu.RLock()
	find := s.store.findMessages
	if req.SearchScope == "summary" {
		find = s.store.findSummaries
	}
	results, err := find(r.PathValue("sessionId"), query, where, dates)
	s.store.mu.RUnlock()
	if err != nil {
		return answer{}, memoryFilterError(err)
	}

	slices.SortStableFunc(results, func(a, b memorySearchResult) int {
		if query == nil {
			return b.createdAt.Compare(a.createdAt)
		}
		return cmp.Compare(b.Dist, a.Dist)
	})
	if limit == 0 {
		limit = 10
	}
	if req.SearchType != mmr {
		results = firstOf(results, limit)
		for i := range results {
			results[i].Embedding = nil
		}
		return jsonAnswer(results)
	}
	results = firstOf(results, max(multiplied(limit, mmrPool), mmrPoolMin))
	ranked, err := rankedByRelevance(results, func(r memorySearchResult) []float32 { return r.Embedding }, query, req.MMRLambda, limit)
	if err != nil {
		return answer{}, storageError("error applying mmr", storageError("error applying mmr", err))
	}
	return jsonAnswer(ranked)
}

func parseMemoryFilter(metadata map[string]any) (clauses, period, error) {
	where, err := compileWhere(metadata)
	var noWhere *whereError
	if errors.As(err, &noWhere) {
		return nil, period{}, storageError("error applying metadata filter", storageError("error unmarshalling metadata", err))
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

// findMessages finds a session's messages that are embedded and that pass the filter: without an
// embedding Zep finds none, even if only metadata is searched for. The caller holds the lock.
func (s *store) findMessages(sessionID string, query []float32, where clauses, dates period) ([]memorySearchResult, error) {
	found := []memorySearchResult{}
	for _, key := range s.messagesOf[sessionID] {
		if s.unembedded[key] {
			continue
		}
		raw := s.messages.byKey[key]
		var m message
		raw.decode(&m)
		holds, err := where.hold(m.Metadata)
		if err != nil {
			return nil, err
		}
		if holds && dates.has(m.CreatedAt) {
			result := memorySearchResult{Message: raw.json, Embedding: embed(m.Content), createdAt: m.CreatedAt}
			if query != nil {
				result.Dist = float64(innerProduct(query, result.Embedding))
			}
			found = append(found, result)
		}
	}
	return found, nil
}

// findSummaries finds a session's summaries. The caller holds the lock.
func (s *store) findSummaries(sessionID string, query []float32, where clauses, dates period) ([]memorySearchResult, error) {
	found := []memorySearchResult{}
	for _, summarized := range s.summariesOf[sessionID] {
		holds, err := where.hold(summarized.Metadata)
		if err != nil {
			return nil, err
		}
		if holds && dates.has(summarized.CreatedAt) {
			summarized.RecentMessageUUID = nilUUID // Zep leaves it out of this query
			result := memorySearchResult{Summary: &summarized, Embedding: embed(summarized.Content), createdAt: summarized.CreatedAt}
			if query != nil {
				result.Dist = float64(innerProduct(query, result.Embedding))
			}
			found = append(found, result)
		}
	}
	return found, nil
}

// firstOf are the first results, or all if the limit isn't positive.
func firstOf[T any](results []T, limit int64) []T {
	if limit > 0 && limit < int64(len(results)) {
		return results[:limit]
	}
	return results
}

// multiplied is n times a small factor, or as much as there can be.
func multiplied(n, factor int64) int64 {
	if n > math.MaxInt64/factor {
		return math.MaxInt64
	}
	return n * factor
}

// rankedByRelevance picks results by their marginal relevance. Without a query that can't be done.
func rankedByRelevance[T any](results []T, vector func(T) []float32, query []float32, lambda float32, limit int64) ([]T, error) {
	ranked := []T{}
	if limit <= 0 || len(results) == 0 {
		return ranked, nil
	}
	vectors := make([][]float32, len(results))
	for i, result := range results {
		if vectors[i] = vector(result); len(vectors[i]) != len(query) {
			return nil, errVectorWidth
		}
	}
	if lambda == 0 {
		lambda = defaultLambda
	}
	for _, i := range marginalRelevance(query, vectors, float64(lambda), int(min(limit, int64(len(results))))) {
		ranked = append(ranked, results[i])
	}
	return ranked, nil
}

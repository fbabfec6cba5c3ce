package zeptest

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// documentSearchResult has a score from 0 to 1, made from the cosine: texts that have no word in
// common have 0.5. A document that is not embedded has 0.
type documentSearchResult struct {
	*document
	Score float64 `json:"score"`
}

// documentSearch is a DocumentSearchPayload of Zep.
type documentSearch struct {
	Text       string         `json:"text"`
	Embedding  []float32      `json:"embedding"`
	Metadata   map[string]any `json:"metadata"`
	SearchType string         `json:"search_type"`
	MMRLambda  float32        `json:"mmr_lambda"`
}

type documentSearchPage struct {
	Results     []documentSearchResult `json:"results"`
	QueryVector []float32              `json:"query_vector"`
	// with MMR, of those that it picks from
	ResultCount int `json:"result_count"`
	TotalPages  int `json:"total_pages"`
	CurrentPage int `json:"current_page"`
}

func (s *Server) searchCollection(r *http.Request) (answer, error) {
	const failed = "failed to search collection: "
	limit, err := intQuery(r, "limit")
	if err != nil {
		return answer{}, err
	}
	type DocumentSearchPayload documentSearch
	var req DocumentSearchPayload
	if err := decodeJSON(r, &req); err != nil {
		return answer{}, err
	}
	switch {
	case req.Text == "" && len(req.Metadata) == 0 && len(req.Embedding) == 0:
		return answer{}, errors.New(failed +
			"at least one of text, metadata, or embedding must be specified")
	case req.Text != "" && len(req.Embedding) > 0:
		return answer{}, errors.New(failed + "cannot specify both text and embedding")
	}

	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	c, err := s.collection(r)
	if err != nil {
		return answer{}, fmt.Errorf(failed+"failed to get collection: %w", err)
	}
	page, err := s.store.searchDocuments(c, documentSearch(req), limit)
	if err != nil {
		return answer{}, fmt.Errorf(failed+"failed to execute search: %w", err)
	}
	return jsonAnswer(page)
}

// searchDocuments searches a collection. The caller holds the lock.
func (s *store) searchDocuments(
	c *collection, req documentSearch, limit int64,
) (documentSearchPage, error) {
	var page documentSearchPage
	switch {
	case req.Text != "":
		page.QueryVector = embed(req.Text, s.dimensions)
	case len(req.Embedding) > 0:
		page.QueryVector = req.Embedding
	}
	where, err := compileWhere(req.Metadata)
	if err != nil {
		return page, documentFilterError(err)
	}
	results, err := c.find(page.QueryVector, where)
	if err != nil {
		return page, fmt.Errorf("error executing search: error executing query: %w", err)
	}
	if limit <= 0 {
		limit = 20
	}
	if req.SearchType != mmr {
		page.Results = firstOf(results, sqlLimit(limit))
		page.ResultCount = len(page.Results)
		return page, nil
	}
	results = firstOf(results, sqlLimit(max(mmrPool*limit, mmrPoolMin)))
	page.ResultCount = len(results)
	embedding := func(r documentSearchResult) []float32 { return r.Embedding }
	page.Results, err = rankedByRelevance(
		results, embedding, page.QueryVector, req.MMRLambda, limit)
	if err != nil {
		err = fmt.Errorf("error reranking results: error reranking results: %w", err)
	}
	return page, err
}

func documentFilterError(err error) error {
	if errors.Is(err, errPanic) {
		return err
	}
	place := "error scanning query"
	var noWhere *whereError
	if errors.As(err, &noWhere) {
		place = "error building query error applying metadata filter: error unmarshalling metadata"
	}
	return fmt.Errorf("error executing search: error executing query: %s %w", place, err)
}

// find finds the documents that pass the filter. With a query, the best come first; but those that
// are not embedded come before, since their score is NULL to the database, and NULL sorts as the
// greatest. Otherwise they come in the order in which the database has them.
func (c *collection) find(query []float32, where clauses) ([]documentSearchResult, error) {
	found := []documentSearchResult{}
	for _, d := range c.live() {
		if !where.hold(d.Metadata) {
			continue
		}
		result := documentSearchResult{document: d}
		if query != nil && d.IsEmbedded {
			if len(d.Embedding) != len(query) {
				return nil, fmt.Errorf("embedding width mismatch. please ensure that the "+
					"embeddings you have configured in the zep config are the same width as "+
					"those you are generating. (original error: ERROR: different vector "+
					"dimensions %d and %d (SQLSTATE=22000))", len(d.Embedding), len(query))
			}
			result.Score = (1-(1-cosine(d.Embedding, query)))/2 + 0.5
		}
		found = append(found, result)
	}
	if query != nil {
		slices.SortStableFunc(found, func(a, b documentSearchResult) int {
			switch {
			case a.IsEmbedded == b.IsEmbedded:
				return cmp.Compare(b.Score, a.Score)
			case b.IsEmbedded:
				return -1
			}
			return 1
		})
	}
	return found, nil
}

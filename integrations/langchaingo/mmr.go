package zeplangchain

import (
	"math"
	"slices"

	"github.com/zep-go/zep"
)

// mostRelevant returns at most n of the hits by their maximal marginal relevance: first the one
// that is most similar to the query, and then always the one with the best balance of its
// similarity to the query (lambda) and its difference from those chosen before (1 - lambda).
func mostRelevant(
	query []float32, hits []*zep.DocumentSearchResult, lambda float64, n int,
) []*zep.DocumentSearchResult {
	relevance := make([]float64, len(hits))
	redundance := make([]float64, len(hits)) // the similarity to the most similar one chosen
	for i, hit := range hits {
		relevance[i] = cosine(query, hit.Embedding)
		redundance[i] = math.Inf(-1)
	}
	left := make([]int, len(hits))
	for i := range left {
		left[i] = i
	}
	var chosen []*zep.DocumentSearchResult
	for len(chosen) < n && len(left) > 0 {
		best, bestScore := 0, math.Inf(-1)
		for at, i := range left {
			score := relevance[i]
			if len(chosen) > 0 {
				score = lambda*relevance[i] - (1-lambda)*redundance[i]
			}
			if score > bestScore {
				best, bestScore = at, score
			}
		}
		hit := hits[left[best]]
		chosen = append(chosen, hit)
		left = slices.Delete(left, best, best+1)
		for _, i := range left {
			redundance[i] = max(redundance[i], cosine(hit.Embedding, hits[i].Embedding))
		}
	}
	return chosen
}

// cosine returns the cosine of the angle between two vectors. Neither is zero: the server refuses
// a search in which one is.
func cosine(a, b []float32) float64 {
	var product, squareA, squareB float64
	for i := range min(len(a), len(b)) {
		x, y := float64(a[i]), float64(b[i])
		product += x * y
		squareA += x * x
		squareB += y * y
	}
	return product / math.Sqrt(squareA*squareB)
}

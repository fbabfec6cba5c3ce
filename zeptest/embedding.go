package zeptest

import (
	"hash/fnv"
	"math"
	"strings"
	"unicode"
)

// defaultDimensions is the length of the embeddings of the model that Zep comes with.
const defaultDimensions = 384

// embed stands in for a model: it counts the words of a text, by their hashes, and normalizes.
// Texts are alike as far as they share words. It never returns the zero vector.
func embed(text string, dimensions int) []float32 {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.In(r, unicode.Letter, unicode.Mark, unicode.Digit)
	})
	if len(words) == 0 {
		words = []string{""}
	}
	counts := make([]float64, dimensions)
	for _, word := range words {
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(word))
		counts[hash.Sum32()%uint32(dimensions)]++
	}
	var square float64
	for _, n := range counts {
		square += n * n
	}
	vector := make([]float32, dimensions)
	for i, n := range counts {
		vector[i] = float32(n / math.Sqrt(square))
	}
	return vector
}

// innerProduct computes in single precision, as the database does. The conversion keeps the
// compiler from fusing the two operations, which it does on some machines only.
func innerProduct(a, b []float32) float32 {
	var sum float32
	for i := range a {
		sum += float32(a[i] * b[i])
	}
	return sum
}

// cosine is the cosine of the angle between two vectors of one length: NaN if one of them is zero.
func cosine(a, b []float32) float64 {
	norms := float64(innerProduct(a, a)) * float64(innerProduct(b, b))
	return max(min(float64(innerProduct(a, b))/math.Sqrt(norms), 1), -1)
}

// marginalRelevance picks up to n vectors: first the one that is most like the query, and then
// always the one with the best balance of likeness to the query (lambda) and unlikeness to those
// picked before (1 - lambda). It returns their indices. As Zep does, it panics if it finds none: a
// vector that has no cosine has no balance.
func marginalRelevance(
	query []float32, vectors [][]float32, lambda float64, n int,
) ([]int, error) {
	relevance := make([]float64, len(vectors))
	redundance := make([]float64, len(vectors)) // with the most alike of those picked
	picked := make([]bool, len(vectors))
	for i, v := range vectors {
		relevance[i] = cosine(query, v)
	}
	var order []int
	for len(order) < min(n, len(vectors)) {
		best, bestScore := -1, math.Inf(-1)
		if len(order) == 0 {
			best, bestScore = 0, relevance[0]
		}
		for i := range vectors {
			score := relevance[i]
			if len(order) > 0 {
				score = lambda*relevance[i] - (1-lambda)*redundance[i]
			}
			if !picked[i] && score > bestScore {
				best, bestScore = i, score
			}
		}
		if best < 0 {
			return nil, errPanic
		}
		picked[best] = true
		for i, v := range vectors {
			likeness := cosine(v, vectors[best])
			if len(order) == 0 || likeness > redundance[i] {
				redundance[i] = likeness
			}
		}
		order = append(order, best)
	}
	return order, nil
}

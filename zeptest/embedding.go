package zeptest

import (
	"hash/fnv"
	"math"
	"strings"
	"unicode"
)

// embeddingDimensions is the length of the embeddings that the server makes.
const embeddingDimensions = 384

// embed stands for a model: it counts the words of a text, by their hashes, and normalizes. Texts are
// alike as far as they share words. It never gives the zero vector, as no model does.
func embed(text string) []float32 {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.In(r, unicode.Letter, unicode.Mark, unicode.Digit)
	})
	if len(words) == 0 {
		words = []string{""}
	}
	counts := make([]float64, embeddingDimensions)
	for _, word := range words {
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(word))
		counts[hash.Sum32()%embeddingDimensions]++
	}
	var square float64
	for _, n := range counts {
		square += n * n
	}
	vector := make([]float32, embeddingDimensions)
	for i, n := range counts {
		vector[i] = float32(n / math.Sqrt(square))
	}
	return vector
}

// innerProduct is computed as the database does it, in single precision. The conversion keeps the
// compiler from doing both steps at once on some machines, and so the results the same on all.
func innerProduct(a, b []float32) float32 {
	var sum float32
	for i := range a {
		sum += float32(a[i] * b[i])
	}
	return sum
}

// cosine is the cosine of the angle between two vectors of one length; NaN if one of them is zero.
func cosine(a, b []float32) float64 {
	norms := float64(innerProduct(a, a)) * float64(innerProduct(b, b))
	return max(min(float64(innerProduct(a, b))/math.Sqrt(norms), 1), -1)
}

// marginalRelevance picks up to n vectors: first the one that is most like the query, and then always
// the one with the best balance of likeness to the query (lambda) and unlikeness to those picked
// before (1 - lambda). It returns their indices.
func marginalRelevance(query []float32, vectors [][]float32, lambda float64, n int) []int {
	relevance := make([]float64, len(vectors))
	redundance := make([]float64, len(vectors)) // with the most alike of those picked
	picked := make([]bool, len(vectors))
	for i, v := range vectors {
		relevance[i] = cosine(query, v)
	}
	var order []int
	for len(order) < min(n, len(vectors)) {
		best, bestScore := -1, 0.0
		for i := range vectors {
			score := relevance[i]
			if len(order) > 0 {
				score = lambda*relevance[i] - (1-lambda)*redundance[i]
			}
			if !picked[i] && (best < 0 || score > bestScore) {
				best, bestScore = i, score
			}
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
	return order
}

package zeptest

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestEmbed(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "?!", "one", "one two two", "日本 élan"} {
		v := embed(text)
		assert.Len(t, v, embeddingDimensions)
		assert.InDelta(t, 1, innerProduct(v, v), 1e-6, text)
	}
	assert.Equal(t, embed("The quick fox"), embed("fox, the QUICK!"))
	assert.NotEqual(t, embed("fox"), embed("fox fox dog"))
	assert.Greater(t, cosine(embed("a quick fox"), embed("quick fox")), cosine(embed("a quick fox"), embed("fox")))
}

func TestCosine(t *testing.T) {
	t.Parallel()
	assert.InDelta(t, 1, cosine([]float32{1, 2}, []float32{2, 4}), 1e-6)
	assert.InDelta(t, -1, cosine([]float32{1, 0}, []float32{-3, 0}), 1e-6)
	assert.InDelta(t, 0, cosine([]float32{1, 0}, []float32{0, 3}), 1e-6)
	assert.True(t, math.IsNaN(cosine([]float32{0, 0}, []float32{1, 0})))
}

func TestMarginalRelevance(t *testing.T) {
	t.Parallel()
	query := []float32{1, 0}
	vectors := [][]float32{{0, 1}, {1, 0.1}, {1, 0.2}, {0.7, 0.7}}
	assert.Equal(t, []int{1, 2, 3, 0}, marginalRelevance(query, vectors, 1, 9), "likeness to the query alone")
	assert.Equal(t, []int{1, 0, 3}, marginalRelevance(query, vectors, 0.2, 3), "what is like the first comes late")
	assert.Equal(t, []int{1}, marginalRelevance(query, vectors, 0.5, 1))
	assert.Empty(t, marginalRelevance(query, nil, 0.5, 1))
	zero := [][]float32{{0, 0}, {0, 0}}
	assert.ElementsMatch(t, []int{0, 1}, marginalRelevance(query, zero, 0.5, 2), "no cosine, but a result")
}

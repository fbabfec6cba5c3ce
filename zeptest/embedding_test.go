package zeptest

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEmbed(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "?!", "one", "one two two", "日本 élan"} {
		v := embed(text, 384)
		assert.Len(t, v, 384)
		assert.InDelta(t, 1, innerProduct(v, v), 1e-6, text)
	}
	assert.Equal(t, embed("The quick fox", 384), embed("fox, the QUICK!", 384))
	assert.NotEqual(t, embed("fox", 384), embed("fox fox dog", 384))
	assert.Greater(t, cosine(embed("a quick fox", 384), embed("quick fox", 384)),
		cosine(embed("a quick fox", 384), embed("fox", 384)))
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
	for name, test := range map[string]struct {
		vectors [][]float32
		lambda  float64
		n       int
		want    []int
	}{
		"likeness to the query alone":       {vectors, 1, 9, []int{1, 2, 3, 0}},
		"what is like the first comes late": {vectors, 0.2, 3, []int{1, 0, 3}},
		"one":                               {vectors, 0.5, 1, []int{1}},
		"of none":                           {nil, 0.5, 1, nil},
		"one that has no cosine":            {[][]float32{{0, 0}}, 0.5, 1, []int{0}},
		"without one that has no cosine": {[][]float32{{1, 0}, {0, 0}, {0, 1}}, 0.5, 2,
			[]int{0, 2}},
	} {
		order, err := marginalRelevance(query, test.vectors, test.lambda, test.n)
		require.NoError(t, err, name)
		assert.Equal(t, test.want, order, name)
	}
	for _, vectors := range [][][]float32{{{0, 0}, {1, 0}}, {{1, 0}, {0, 0}}} {
		_, err := marginalRelevance(query, vectors, 0.5, 2)
		assert.ErrorIs(t, err, errPanic, "one that has no cosine is never picked second")
	}
}

package zeplangchain_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tmc/langchaingo/embeddings"
	"github.com/tmc/langchaingo/schema"
	"github.com/tmc/langchaingo/vectorstores"

	"github.com/zep-go/zep"
	zeplangchain "github.com/zep-go/zep/integrations/langchaingo"
	"github.com/zep-go/zep/zeptest"
)

const (
	library     = "library"
	uploadRoute = "/collection/{collectionName}/document"
	searchRoute = "/collection/{collectionName}/search"
)

// newCollection adds a collection that the server embeds.
func newCollection(t testing.TB, client *zep.Client, name string) {
	t.Helper()
	_, err := client.Collection.Add(context.Background(), &zep.CreateCollectionRequest{
		Name:                name,
		EmbeddingDimensions: 384,
		IsAutoEmbedded:      true,
	})
	require.NoError(t, err)
}

// newStore returns a store over a collection that the server embeds, with the documents.
func newStore(
	t *testing.T, client *zep.Client, docs []schema.Document, options ...zeplangchain.StoreOption,
) *zeplangchain.VectorStore {
	t.Helper()
	newCollection(t, client, library)
	store := zeplangchain.NewVectorStore(client, library, options...)
	_, err := store.AddDocuments(context.Background(), docs)
	require.NoError(t, err)
	return store
}

var novels = []schema.Document{
	{
		PageContent: "Call me Ishmael.",
		Metadata:    map[string]any{"author": "Melville", "year": 1851},
	},
	{
		PageContent: "It is not down in any map; true places never are.",
		Metadata:    map[string]any{"author": "Melville", "year": 1851},
	},
	{
		PageContent: "True places are never on a map, says the captain.",
		Metadata:    map[string]any{"author": "O'Brien", "tags": []any{"sea", true, nil}},
	},
	{PageContent: "It was the best of times."},
}

// texts returns the content of each document.
func texts(docs []schema.Document) []string {
	texts := make([]string, len(docs))
	for i, doc := range docs {
		texts[i] = doc.PageContent
	}
	return texts
}

func TestVectorStore_RoundTrip(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, client := newServer(t)
	newCollection(t, client, library)
	store := zeplangchain.NewVectorStore(client, library)
	before := fmt.Sprint(novels)
	ids, err := store.AddDocuments(ctx, novels)
	require.NoError(t, err)
	require.Len(t, ids, len(novels))
	assert.Equal(t, before, fmt.Sprint(novels), "they were written to")
	for i, id := range ids {
		stored, err := client.Document.Get(ctx, library, id)
		require.NoError(t, err)
		assert.Equal(t, novels[i].PageContent, stored.Content)
		assert.Len(t, stored.DocumentID, 36)
	}

	got, err := store.SimilaritySearch(ctx, "Call me Ishmael", 2)
	require.NoError(t, err)
	require.Len(t, got, 2)
	assert.Equal(t, "Call me Ishmael.", got[0].PageContent)
	assert.Equal(t, map[string]any{"author": "Melville", "year": 1851.0}, got[0].Metadata)
	assert.InDelta(t, 1, got[0].Score, 1e-6)
	assert.Less(t, got[1].Score, got[0].Score)

	got, err = store.SimilaritySearch(ctx, "times", 99)
	require.NoError(t, err)
	assert.Len(t, got, len(novels))
	assert.InDelta(t, 0.5, got[3].Score, 1e-6, "nothing in common")

	none, err := store.AddDocuments(ctx, nil)
	require.NoError(t, err)
	assert.Empty(t, none)
}

func TestSimilaritySearch_Options(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, client := newServer(t)
	store := newStore(t, client, novels)
	const query = "true places on a map"
	all, err := store.SimilaritySearch(ctx, query, 10)
	require.NoError(t, err)
	require.Len(t, all, 4)
	var none zep.Condition
	for _, test := range []struct {
		name   string
		option vectorstores.Option
		want   []string
	}{
		{"a threshold", vectorstores.WithScoreThreshold(0.7), texts(all[:2])},
		{"the score of a document", vectorstores.WithScoreThreshold(all[1].Score), texts(all[:2])},
		{
			"just over it", vectorstores.WithScoreThreshold(math.Nextafter32(all[1].Score, 1)),
			texts(all[:1]),
		},
		{"0", vectorstores.WithScoreThreshold(0), texts(all)},
		{"1", vectorstores.WithScoreThreshold(1), []string{}},
		{
			"a text", vectorstores.WithFilters(zep.Equal("author", "O'Brien")),
			[]string{novels[2].PageContent},
		},
		{
			"a condition on numbers", vectorstores.WithFilters(zep.And(
				zep.JSONPath(`$[*] ? (@.year < 1900)`), zep.Equal("author", "Melville"))),
			[]string{novels[1].PageContent, novels[0].PageContent},
		},
		{"nothing", vectorstores.WithFilters(zep.Equal("author", "Nobody")), []string{}},
		{"nil", vectorstores.WithFilters(nil), texts(all)},
		{"no condition", vectorstores.WithFilters(none), texts(all)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := store.SimilaritySearch(ctx, query, 10, test.option)
			require.NoError(t, err)
			assert.Equal(t, test.want, texts(got))
		})
	}
}

func TestVectorStore_NameSpace(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server, client := newServer(t)
	newCollection(t, client, "first")
	newCollection(t, client, "second")
	store := zeplangchain.NewVectorStore(client, "first")
	second := vectorstores.WithNameSpace("second")
	_, err := store.AddDocuments(ctx, novels[:1])
	require.NoError(t, err)
	_, err = store.AddDocuments(ctx, novels[1:3], second)
	require.NoError(t, err)
	for want, options := range map[int][]vectorstores.Option{1: nil, 2: {second}} {
		got, err := store.SimilaritySearch(ctx, "map", 9, options...)
		require.NoError(t, err)
		assert.Len(t, got, want)
	}

	third := vectorstores.WithNameSpace("third")
	_, err = store.AddDocuments(ctx, novels, third)
	assert.ErrorIs(t, err, zep.ErrNotFound)
	_, err = store.SimilaritySearch(ctx, "map", 9, third)
	assert.ErrorIs(t, err, zep.ErrNotFound)

	before := server.Requests()
	nameless := zeplangchain.NewVectorStore(client, "")
	_, err = nameless.AddDocuments(ctx, novels)
	assert.ErrorIs(t, err, zep.ErrInvalidID)
	_, err = nameless.SimilaritySearch(ctx, "map", 9)
	assert.ErrorIs(t, err, zep.ErrInvalidID)
	assert.Equal(t, before, server.Requests())
	got, err := nameless.SimilaritySearch(ctx, "map", 9, second)
	require.NoError(t, err)
	assert.Len(t, got, 2)
}

func TestVectorStore_Refused(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server, client := newServer(t)
	keep := func(context.Context, schema.Document) bool { return false }
	plain := zeplangchain.NewVectorStore(client, library)
	mmr := func(lambda float64) *zeplangchain.VectorStore {
		return zeplangchain.NewVectorStore(client, library, zeplangchain.WithMMR(lambda))
	}
	nan := math.NaN()
	for _, test := range []struct {
		store  *zeplangchain.VectorStore
		query  string
		n      int
		option vectorstores.Option
		want   string
	}{
		{plain, "", 1, nil, "the query is empty"},
		{plain, "q", 0, nil, "numDocuments is 0, must be at least 1"},
		{plain, "q", -1, nil, "numDocuments is -1"},
		{plain, "q", math.MaxInt32 + 1, nil, "2147483648"},
		{plain, "q", 1, vectorstores.WithScoreThreshold(1.1), "WithScoreThreshold is 1.1"},
		{plain, "q", 1, vectorstores.WithScoreThreshold(-0.1), "must be 0 to 1"},
		{plain, "q", 1, vectorstores.WithScoreThreshold(float32(nan)), "is NaN"},
		{plain, "q", 1, vectorstores.WithDeduplicater(keep), "WithDeduplicater is for AddDocuments"},
		{
			plain, "q", 1, vectorstores.WithFilters(map[string]any{"author": "Melville"}),
			"WithFilters is a map[string]interface {}, must be a zep.Condition",
		},
		{plain, "q", 1, vectorstores.WithFilters(zep.Equal("a", nan)), "unsupported value: NaN"},
		{mmr(1.1), "q", 1, nil, "the lambda of WithMMR is 1.1"},
		{mmr(-0.1), "q", 1, nil, "must be 0 to 1"},
		{mmr(nan), "q", 1, nil, "is NaN"},
		{mmr(0.5), "q", math.MaxInt32, nil, "Limit"},
	} {
		var options []vectorstores.Option
		if test.option != nil {
			options = append(options, test.option)
		}
		_, err := test.store.SimilaritySearch(ctx, test.query, test.n, options...)
		require.ErrorIs(t, err, zep.ErrBadRequest, test.want)
		assert.ErrorContains(t, err, test.want)
	}
	for _, option := range []vectorstores.Option{
		vectorstores.WithScoreThreshold(0.5), vectorstores.WithFilters(zep.Equal("a", 1)),
	} {
		_, err := plain.AddDocuments(ctx, novels, option)
		require.ErrorIs(t, err, zep.ErrBadRequest)
		assert.ErrorContains(t, err, "are for SimilaritySearch")
	}
	_, err := plain.AddDocuments(ctx, []schema.Document{{PageContent: "a"}, {}})
	require.ErrorIs(t, err, zep.ErrBadRequest, "neither content nor an embedding")
	assert.Equal(t, 0, server.Requests())
}

func TestAddDocuments_Deduplicater(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server, client := newServer(t)
	newCollection(t, client, library)
	store := zeplangchain.NewVectorStore(client, library)
	_, err := store.AddDocuments(ctx, novels[:2])
	require.NoError(t, err)

	type key struct{}
	ctx = context.WithValue(ctx, key{}, "the caller's")
	known := vectorstores.WithDeduplicater(func(ctx context.Context, doc schema.Document) bool {
		assert.Equal(t, "the caller's", ctx.Value(key{}))
		found, err := store.SimilaritySearch(ctx, doc.PageContent, 1,
			vectorstores.WithScoreThreshold(0.999))
		assert.NoError(t, err)
		return len(found) > 0
	})
	before := texts(novels)
	ids, err := store.AddDocuments(ctx, novels, known)
	require.NoError(t, err)
	assert.Len(t, ids, 2)
	assert.Equal(t, before, texts(novels), "they were written to")
	collection, err := client.Collection.Get(ctx, library)
	require.NoError(t, err)
	assert.Equal(t, 4, collection.DocumentCount)

	server.Inject(zeptest.Fault{Method: "POST", Route: uploadRoute, Status: 500})
	ids, err = store.AddDocuments(ctx, novels, known)
	require.NoError(t, err, "nothing is uploaded")
	assert.Empty(t, ids)
}

// manyDocuments has n documents with their number.
func manyDocuments(n int) []schema.Document {
	docs := make([]schema.Document, n)
	for i := range docs {
		docs[i] = schema.Document{
			PageContent: fmt.Sprintf("number %d", i),
			Metadata:    map[string]any{"i": i},
		}
	}
	return docs
}

// TestAddDocuments_Batches loses the response to the second of two uploads.
func TestAddDocuments_Batches(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server, client := newServer(t)
	newCollection(t, client, library)
	upload := zeptest.Fault{Method: "POST", Route: uploadRoute}
	first, lost := upload, upload
	first.Apply = true
	lost.Apply, lost.Cut = true, true
	server.Inject(first, lost)
	ids, err := zeplangchain.NewVectorStore(client, library).AddDocuments(ctx, manyDocuments(700))
	require.NoError(t, err)
	require.Len(t, ids, 700)
	assertStored(t, client, ids)
}

// assertStored fails the test unless the collection has just the first of manyDocuments, in the
// order of the ids.
func assertStored(t *testing.T, client *zep.Client, ids []string) {
	t.Helper()
	ctx := context.Background()
	collection, err := client.Collection.Get(ctx, library)
	require.NoError(t, err)
	assert.Equal(t, len(ids), collection.DocumentCount)
	stored, err := client.Document.GetByUUIDs(ctx, library, ids)
	require.NoError(t, err)
	byUUID := map[string]string{}
	for _, document := range stored {
		byUUID[document.UUID] = document.Content
	}
	for i, id := range ids {
		if want := fmt.Sprintf("number %d", i); byUUID[id] != want {
			t.Fatalf("document %d is %q", i, byUUID[id])
		}
	}
}

func TestAddDocuments_BatchFails(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server, client := newServer(t)
	newCollection(t, client, library)
	server.Inject(zeptest.Fault{Method: "POST", Route: uploadRoute, Apply: true},
		zeptest.Fault{Method: "POST", Route: uploadRoute, Status: 500, Body: "disk full\n"})
	store := zeplangchain.NewVectorStore(client, library)
	docs := manyDocuments(700)
	ids, err := store.AddDocuments(ctx, docs)
	require.ErrorContains(t, err, "disk full")
	require.Len(t, ids, 500)
	more, err := store.AddDocuments(ctx, docs[len(ids):])
	require.NoError(t, err)
	assertStored(t, client, append(ids, more...))
}

func TestWithDocumentID(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, client := newServer(t)
	newCollection(t, client, library)
	store := zeplangchain.NewVectorStore(client, library,
		zeplangchain.WithDocumentID(func(doc schema.Document) string {
			return "document-" + fmt.Sprint(doc.Metadata["i"])
		}))
	docs := manyDocuments(3)
	ids, err := store.AddDocuments(ctx, docs)
	require.NoError(t, err)
	stored, err := client.Document.Get(ctx, library, ids[2])
	require.NoError(t, err)
	assert.Equal(t, "document-2", stored.DocumentID)
	_, err = store.AddDocuments(ctx, docs[2:])
	assert.ErrorIs(t, err, zep.ErrAlreadyExists)
	_, err = store.AddDocuments(ctx, manyDocuments(0))
	assert.NoError(t, err)
}

// letters embeds a text by its letters: 26 dimensions.
func letters(text string) []float32 {
	vector := make([]float32, 26)
	for _, c := range strings.ToLower(text) {
		if c >= 'a' && c <= 'z' {
			vector[c-'a']++
		}
	}
	return vector
}

// newEmbedder returns LangChainGo's embedder with a client of letters, which counts its calls.
func newEmbedder(t *testing.T, calls *int) embeddings.Embedder {
	t.Helper()
	client := func(_ context.Context, texts []string) ([][]float32, error) {
		*calls++
		vectors := make([][]float32, len(texts))
		for i, text := range texts {
			vectors[i] = letters(text)
		}
		return vectors, nil
	}
	embedder, err := embeddings.NewEmbedder(embeddings.EmbedderClientFunc(client),
		embeddings.WithBatchSize(2))
	require.NoError(t, err)
	return embedder
}

func TestVectorStore_Embedder(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, client := newServer(t, zeptest.WithDelayedEnrichment())
	_, err := client.Collection.Add(ctx, &zep.CreateCollectionRequest{
		Name:                library,
		EmbeddingDimensions: 26,
	})
	require.NoError(t, err)
	var calls int
	embedder := newEmbedder(t, &calls)
	docs := []schema.Document{{PageContent: "aaa"}, {PageContent: "a\na b"}, {PageContent: "zzz"}}
	byStore := zeplangchain.NewVectorStore(client, library, zeplangchain.WithEmbedder(embedder))
	_, err = byStore.AddDocuments(ctx, docs)
	require.NoError(t, err)
	assert.Equal(t, 2, calls, "batches of two")
	byCall := zeplangchain.NewVectorStore(client, library)
	option := vectorstores.WithEmbedder(embedder)
	_, err = byCall.AddDocuments(ctx, []schema.Document{{PageContent: "bbb"}}, option)
	require.NoError(t, err)
	_, err = byCall.AddDocuments(ctx, nil, option)
	require.NoError(t, err)
	assert.Equal(t, 3, calls)

	want := []string{"bbb", "a\na b"}
	got, err := byStore.SimilaritySearch(ctx, "B", 2)
	require.NoError(t, err)
	assert.Equal(t, want, texts(got), "the texts are stored as they are")
	got, err = byCall.SimilaritySearch(ctx, "B", 2, option)
	require.NoError(t, err)
	assert.Equal(t, want, texts(got))
	assert.InDelta(t, (1+1/math.Sqrt(5))/2, got[1].Score, 1e-6)

	_, err = byCall.AddDocuments(ctx, docs)
	require.ErrorIs(t, err, zep.ErrBadRequest)
	assert.ErrorContains(t, err, "without embeddings")
	newCollection(t, client, "embedded")
	_, err = byStore.AddDocuments(ctx, docs, vectorstores.WithNameSpace("embedded"))
	require.ErrorIs(t, err, zep.ErrServer)
	assert.ErrorContains(t, err, "with embeddings in an auto-embedded collection")
}

// fixedEmbedder returns what it has, whatever the texts.
type fixedEmbedder struct {
	vectors [][]float32
	query   []float32
	err     error
}

func (e fixedEmbedder) EmbedDocuments(context.Context, []string) ([][]float32, error) {
	return e.vectors, e.err
}

func (e fixedEmbedder) EmbedQuery(context.Context, string) ([]float32, error) {
	return e.query, e.err
}

func TestVectorStore_BadEmbedder(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server, client := newServer(t)
	broken := errors.New("no credit left")
	for want, embedder := range map[string]fixedEmbedder{
		"AddDocuments: embed the documents: no credit left": {err: broken},
		"1 vectors for 2 documents":                         {vectors: [][]float32{{1}}},
		"3 vectors for 2 documents":                         {vectors: [][]float32{{1}, {1}, {1}}},
		"empty vector for document 1":                       {vectors: [][]float32{{1}, {}}},
		"has an embedding of 2 numbers":                     {vectors: [][]float32{{1}, {1, 2}}},
	} {
		store := zeplangchain.NewVectorStore(client, library, zeplangchain.WithEmbedder(embedder))
		_, err := store.AddDocuments(ctx, manyDocuments(2))
		require.ErrorContains(t, err, want)
	}
	for want, embedder := range map[string]fixedEmbedder{
		"SimilaritySearch: embed the query: no credit left": {err: broken},
		"the embedder returned an empty vector":             {},
	} {
		store := zeplangchain.NewVectorStore(client, library, zeplangchain.WithEmbedder(embedder))
		_, err := store.SimilaritySearch(ctx, "q", 1)
		require.ErrorContains(t, err, want)
	}
	assert.Equal(t, 0, server.Requests())
}

// TestSimilaritySearch_NotEmbedded has more documents that are not embedded than the searches ask
// for. The server lists those first.
func TestSimilaritySearch_NotEmbedded(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, options := range map[string][]zeplangchain.StoreOption{
		"similarity": nil,
		"MMR":        {zeplangchain.WithMMR(0.9)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, client := newServer(t, zeptest.WithDelayedEnrichment())
			store := newStore(t, client, novels, options...)
			for range 2 { // before and after some are embedded
				got, err := store.SimilaritySearch(ctx, "true places", 2)
				require.NoError(t, err)
				assert.Empty(t, got)
			}
			server.Enrich()
			for _, more := range []int{1, 2, 30, 300} {
				_, err := store.AddDocuments(ctx, shoes(more))
				require.NoError(t, err)
				got, err := store.SimilaritySearch(ctx, "true places", 2)
				require.NoError(t, err)
				assert.ElementsMatch(t, texts(novels[1:3]), texts(got), more)
				got, err = store.SimilaritySearch(ctx, "true places", 9)
				require.NoError(t, err)
				assert.ElementsMatch(t, texts(novels), texts(got), more)
			}
			_, err := store.AddDocuments(ctx, shoes(2000))
			require.NoError(t, err)
			_, err = store.SimilaritySearch(ctx, "true places", 2)
			require.ErrorIs(t, err, zeplangchain.ErrNotEmbedded)
			assert.ErrorContains(t, err, `in collection "library"`)
			server.Enrich()
			got, err := store.SimilaritySearch(ctx, "true places", 2)
			require.NoError(t, err)
			assert.ElementsMatch(t, texts(novels[1:3]), texts(got))
		})
	}
}

// shoes has n documents that have nothing in common with the novels.
func shoes(n int) []schema.Document {
	return slices.Repeat([]schema.Document{{PageContent: "shoes"}}, n)
}

// TestSimilaritySearch_Requests checks that a search is one request, unless documents wait.
func TestSimilaritySearch_Requests(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	server, client := newServer(t)
	store := newStore(t, client, novels)
	for _, n := range []int{1, 2, 4, 5} {
		before := server.Requests()
		_, err := store.SimilaritySearch(ctx, "true places", n)
		require.NoError(t, err)
		assert.Equal(t, 1, server.Requests()-before, n)
	}
	server.Inject(zeptest.Fault{Method: "POST", Route: searchRoute, Status: 400, Body: "no\n"})
	_, err := store.SimilaritySearch(ctx, "true places", 1)
	assert.ErrorIs(t, err, zep.ErrBadRequest)
}

// TestWithMMR_AsServer compares the order with that of the server's own ranking, for random
// vectors.
func TestWithMMR_AsServer(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, client := newServer(t)
	_, err := client.Collection.Add(ctx, &zep.CreateCollectionRequest{
		Name:                library,
		EmbeddingDimensions: 8,
	})
	require.NoError(t, err)
	random := rand.New(rand.NewPCG(1, 2))
	vector := func() []float32 {
		vector := make([]float32, 8)
		for i := range vector {
			vector[i] = float32(random.NormFloat64())
		}
		return vector
	}
	embedder, err := embeddings.NewEmbedder(embeddings.EmbedderClientFunc(
		func(_ context.Context, texts []string) ([][]float32, error) {
			vectors := make([][]float32, len(texts))
			for i := range vectors {
				vectors[i] = vector()
			}
			return vectors, nil
		}))
	require.NoError(t, err)
	store := zeplangchain.NewVectorStore(client, library, zeplangchain.WithEmbedder(embedder))
	_, err = store.AddDocuments(ctx, manyDocuments(60))
	require.NoError(t, err)
	different := map[string]bool{}
	for _, lambda := range []float64{0.1, 0.25, 0.5, 0.75, 1} {
		store := zeplangchain.NewVectorStore(client, library, zeplangchain.WithMMR(lambda))
		for _, n := range []int{1, 3, 7, 20} {
			query := fixedEmbedder{query: vector()}
			got, err := store.SimilaritySearch(ctx, "q", n, vectorstores.WithEmbedder(query))
			require.NoError(t, err)
			want, err := client.Collection.Search(ctx, library, &zep.SearchDocumentsRequest{
				Embedding: query.query,
				Type:      zep.SearchTypeMMR,
				MMRLambda: float32(lambda),
				Limit:     n,
			})
			require.NoError(t, err)
			var wanted []string
			for _, result := range want.Results {
				wanted = append(wanted, result.Content)
			}
			assert.Equal(t, wanted, texts(got), "lambda %v, %d documents", lambda, n)
			different[strings.Join(texts(got), "\n")] = true
		}
	}
	assert.Greater(t, len(different), 15)
}

func TestWithMMR(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, client := newServer(t)
	docs := []schema.Document{
		{PageContent: "fresh bread"}, {PageContent: "fresh bread, fresh bread"},
		{PageContent: "bread knife"}, {PageContent: "shoes"},
	}
	newStore(t, client, docs)
	for _, test := range []struct {
		lambda    float64
		threshold float32
		want      []string
	}{
		{1, 0, []string{"fresh bread", "fresh bread, fresh bread"}},
		{0, 0, []string{"fresh bread", "shoes"}},
		{0, 0.6, []string{"fresh bread", "bread knife"}},
		{0, 0.9, []string{"fresh bread", "fresh bread, fresh bread"}},
		{0, 1, []string{}},
	} {
		store := zeplangchain.NewVectorStore(client, library, zeplangchain.WithMMR(test.lambda))
		got, err := store.SimilaritySearch(ctx, "fresh bread today", 2,
			vectorstores.WithScoreThreshold(test.threshold))
		require.NoError(t, err)
		assert.Equal(t, test.want, texts(got), test)
	}
	plain := zeplangchain.NewVectorStore(client, library)
	got, err := plain.SimilaritySearch(ctx, "fresh bread today", 1)
	require.NoError(t, err)
	assert.Equal(t, []string{"fresh bread"}, texts(got))
}

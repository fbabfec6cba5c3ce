package zeplangchain

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/tmc/langchaingo/embeddings"
	"github.com/tmc/langchaingo/schema"
	"github.com/tmc/langchaingo/vectorstores"

	"github.com/zep-go/zep"
)

// ErrNotEmbedded is the error of a search that met more than 1,000 documents that are not
// embedded yet. The server lists them before all others, so the search would have to fetch each
// of them.
var ErrNotEmbedded = errors.New("zeplangchain: too many documents are not embedded yet")

// maxWaiting is the number of documents without an embedding that a search passes over.
const maxWaiting = 1000

// VectorStore keeps documents in a Zep collection, which must exist: [zep.CollectionService.Add]
// makes one. It is safe for concurrent use.
//
// In a collection with IsAutoEmbedded, the server embeds the documents, some time after it has
// taken them, and the texts of searches. In one without, an embedder of LangChainGo does:
// [WithEmbedder], or vectorstores.WithEmbedder for one call. The server refuses documents with
// embeddings in a collection that it embeds itself, and documents without in one that it does
// not. The embedder of a search must be that of the documents, or the scores mean nothing.
//
// The options of LangChainGo are used as follows; an option that makes no sense in a call is
// refused.
//
//	WithNameSpace       the name of the collection, in place of the store's
//	WithEmbedder        the embedder, in place of the store's
//	WithDeduplicater    of AddDocuments: leaves out the documents for which it returns true
//	WithScoreThreshold  of SimilaritySearch: the least score, 0 to 1; 0 is none
//	WithFilters         of SimilaritySearch: a zep.Condition, such as zep.Equal("author", "Melville")
type VectorStore struct {
	client     *zep.Client
	collection string
	embedder   embeddings.Embedder
	documentID func(schema.Document) string
	mmr        bool
	lambda     float64
}

var _ vectorstores.VectorStore = (*VectorStore)(nil)

// StoreOption changes a [VectorStore].
type StoreOption func(*VectorStore)

// WithEmbedder makes an embedder of LangChainGo embed the documents and the texts of searches, in
// place of the server.
func WithEmbedder(embedder embeddings.Embedder) StoreOption {
	return func(s *VectorStore) { s.embedder = embedder }
}

// WithMMR makes searches rank by maximal marginal relevance: a document that repeats a better one
// ranks lower. lambda is the weight of the similarity to the query, from 1 for that alone to 0
// for the difference from the other documents alone; Zep's own default is 0.5. The documents are
// chosen from the most similar ones, twice as many as are asked for, and at least 10, as the
// server does; but this package does it, because the server fails (500) while a document is not
// embedded.
func WithMMR(lambda float64) StoreOption {
	return func(s *VectorStore) { s.mmr, s.lambda = true, lambda }
}

// WithDocumentID gives each document that is added the DocumentID that id returns: an id of your
// own, unique in the collection, at most 100 characters of printable ASCII, or "" for none. By
// default it is a random UUID.
func WithDocumentID(id func(schema.Document) string) StoreOption {
	return func(s *VectorStore) { s.documentID = id }
}

// NewVectorStore returns a store over a collection. It sends nothing. Without a name, every call
// needs vectorstores.WithNameSpace.
func NewVectorStore(client *zep.Client, collection string, options ...StoreOption) *VectorStore {
	s := &VectorStore{
		client:     client,
		collection: collection,
		documentID: func(schema.Document) string { return uuid.NewString() },
	}
	for _, option := range options {
		option(s)
	}
	return s
}

// AddDocuments adds documents and returns the UUIDs of those that it added, in their order. Any
// number of documents goes up in batches. Each has a DocumentID, see [WithDocumentID], so a batch
// whose response was lost is sent again, and stored once. If a batch fails, AddDocuments returns
// the UUIDs of the documents before it, which are stored, together with the error. The Score of
// the documents is ignored, and neither they nor their metadata is written to. Numbers in
// metadata come back as float64.
//
// If the server embeds the documents, searches find them only after that: compare the
// DocumentEmbeddedCount of the collection.
//
// The error is [zep.ErrNotFound] if there is no such collection, and [zep.ErrAlreadyExists] if an
// id of [WithDocumentID] is taken. A batch is stored whole or not at all.
//
// POST /api/v1/collection/{collectionName}/document
func (s *VectorStore) AddDocuments(
	ctx context.Context, docs []schema.Document, options ...vectorstores.Option,
) ([]string, error) {
	o := s.apply(options)
	if o.ScoreThreshold != 0 || o.Filters != nil {
		return nil, fmt.Errorf("zeplangchain: AddDocuments: %w: WithScoreThreshold and WithFilters "+
			"are for SimilaritySearch", zep.ErrBadRequest)
	}
	if o.Deduplicater != nil {
		known := func(doc schema.Document) bool { return o.Deduplicater(ctx, doc) }
		docs = slices.DeleteFunc(slices.Clone(docs), known)
	}
	documents := make([]*zep.CreateDocumentRequest, len(docs))
	for i, doc := range docs {
		documents[i] = &zep.CreateDocumentRequest{
			DocumentID: s.documentID(doc),
			Content:    doc.PageContent,
			Metadata:   doc.Metadata,
		}
	}
	if o.Embedder != nil && len(documents) > 0 {
		if err := embed(ctx, o.Embedder, documents); err != nil {
			return nil, fmt.Errorf("zeplangchain: AddDocuments: %w", err)
		}
	}
	return s.client.Document.Add(ctx, o.NameSpace, documents)
}

// SimilaritySearch returns the documents that are most similar to the query, best first, at most
// numDocuments. Their Score is from 0 to 1, and 0.5 if they have nothing in common with the
// query: Zep's score is (1 + cosine) / 2. With [WithMMR] they are in the order in which they were
// chosen.
//
// Documents that are not embedded yet are never among them, and do not count into numDocuments,
// though the server lists them first: the search asks for more then. While more than 1,000 wait,
// it can be [ErrNotEmbedded].
//
// The error is [zep.ErrNotFound] if there is no such collection, and [zep.ErrBadRequest], before
// anything is sent, if the query is empty, numDocuments is less than 1, or an option is invalid.
//
// POST /api/v1/collection/{collectionName}/search
func (s *VectorStore) SimilaritySearch(
	ctx context.Context, query string, numDocuments int, options ...vectorstores.Option,
) ([]schema.Document, error) {
	o := s.apply(options)
	request, err := s.newSearch(query, numDocuments, o)
	if err != nil {
		return nil, fmt.Errorf("zeplangchain: SimilaritySearch: %w: %w", zep.ErrBadRequest, err)
	}
	if o.Embedder != nil {
		request.Text = ""
		request.Embedding, err = embedQuery(ctx, o.Embedder, query)
		if err != nil {
			return nil, fmt.Errorf("zeplangchain: SimilaritySearch: %w", err)
		}
	}
	hits, vector, err := s.find(ctx, o.NameSpace, request)
	if err != nil {
		return nil, err
	}
	hits = slices.DeleteFunc(hits, func(hit *zep.DocumentSearchResult) bool {
		return float32(hit.Score) < o.ScoreThreshold
	})
	if s.mmr {
		hits = mostRelevant(vector, hits, s.lambda, numDocuments)
	}
	docs := make([]schema.Document, len(hits))
	for i, hit := range hits {
		docs[i] = schema.Document{
			PageContent: hit.Content,
			Metadata:    hit.Metadata,
			Score:       float32(hit.Score),
		}
	}
	return docs, nil
}

// apply returns the options of a call, with the collection as their NameSpace.
func (s *VectorStore) apply(options []vectorstores.Option) vectorstores.Options {
	o := vectorstores.Options{NameSpace: s.collection, Embedder: s.embedder}
	for _, option := range options {
		option(&o)
	}
	return o
}

// embed sets the embeddings of documents.
func embed(
	ctx context.Context, embedder embeddings.Embedder, documents []*zep.CreateDocumentRequest,
) error {
	texts := make([]string, len(documents))
	for i, document := range documents {
		texts[i] = document.Content
	}
	vectors, err := embedder.EmbedDocuments(ctx, texts)
	if err != nil {
		return fmt.Errorf("embed the documents: %w", err)
	}
	if len(vectors) != len(documents) {
		return fmt.Errorf("the embedder returned %d vectors for %d documents",
			len(vectors), len(documents))
	}
	for i, vector := range vectors {
		if len(vector) == 0 {
			return fmt.Errorf("the embedder returned an empty vector for document %d", i)
		}
		documents[i].Embedding = vector
	}
	return nil
}

func embedQuery(
	ctx context.Context, embedder embeddings.Embedder, query string,
) ([]float32, error) {
	vector, err := embedder.EmbedQuery(ctx, query)
	switch {
	case err != nil:
		return nil, fmt.Errorf("embed the query: %w", err)
	case len(vector) == 0: // without it, the server would list documents in any order
		return nil, errors.New("the embedder returned an empty vector for the query")
	}
	return vector, nil
}

// newSearch returns a search by text, or the reason why the call is invalid.
func (s *VectorStore) newSearch(
	query string, numDocuments int, o vectorstores.Options,
) (*zep.SearchDocumentsRequest, error) {
	request := &zep.SearchDocumentsRequest{Text: query, Limit: numDocuments}
	switch {
	case query == "":
		return nil, errors.New("the query is empty")
	case numDocuments < 1:
		return nil, fmt.Errorf("numDocuments is %d, must be at least 1", numDocuments)
	case !(o.ScoreThreshold >= 0 && o.ScoreThreshold <= 1):
		return nil, fmt.Errorf("WithScoreThreshold is %v, must be 0 to 1", o.ScoreThreshold)
	case o.Deduplicater != nil:
		return nil, errors.New("WithDeduplicater is for AddDocuments")
	case s.mmr && !(s.lambda >= 0 && s.lambda <= 1):
		return nil, fmt.Errorf("the lambda of WithMMR is %v, must be 0 to 1", s.lambda)
	}
	if s.mmr {
		request.Limit = max(2*numDocuments, 10)
	}
	switch where := o.Filters.(type) {
	case nil:
	case zep.Condition:
		request.Metadata = zep.SearchFilter{Where: where}.Metadata()
	default:
		return nil, fmt.Errorf("WithFilters is a %T, must be a zep.Condition, such as zep.Equal(…)",
			where)
	}
	return request, nil
}

// find returns the best documents that are embedded, as many as the request's limit, and the
// embedding of the query. The server lists documents that are not embedded first, and counts them
// into the limit; so find asks for more until it has enough, or all.
func (s *VectorStore) find(
	ctx context.Context, collection string, request *zep.SearchDocumentsRequest,
) (hits []*zep.DocumentSearchResult, query []float32, err error) {
	want := request.Limit
	for {
		found, err := s.client.Collection.Search(ctx, collection, request)
		if err != nil {
			return nil, nil, err
		}
		all := len(found.Results)
		hits := slices.DeleteFunc(found.Results, func(result *zep.DocumentSearchResult) bool {
			return !result.IsEmbedded
		})
		if len(hits) >= want || all < request.Limit {
			return hits[:min(want, len(hits))], found.QueryVector, nil
		}
		waiting := all - len(hits)
		if waiting > maxWaiting {
			return nil, nil, fmt.Errorf("%w: %d in collection %.100q", ErrNotEmbedded, waiting,
				collection)
		}
		request.Limit = want + 2*waiting
	}
}

package zep

import (
	"context"
	"regexp"
	"strings"
)

// CollectionService manages collections of documents and searches them: [Client.Collection].
// [DocumentService] fills them. The server lower-cases the name of a collection.
type CollectionService struct{ client *Client }

// Add creates a collection and returns it as the server reads it back. The error is
// [ErrBadRequest], before anything is sent, if the server would not take the name or the number
// of dimensions.
//
// A name that is taken is [ErrAlreadyExists]. If the response to an attempt was lost and the
// collection exists with exactly these properties, this call created it, and Add returns it.
//
// Add is done once, unless the network delivers an attempt after its successor was answered: that
// adds the collection again after a deletion. Add waits while a session that was deleted early
// holds up the server: see [SessionService.Delete].
//
// POST /api/v1/collection/{collectionName}, which answers OK, and GET
func (s *CollectionService) Add(
	ctx context.Context, req *CreateCollectionRequest, opts ...RequestOption,
) (*Collection, error) {
	if err := req.validate(); err != nil {
		return nil, s.client.precheck(opts, err)
	}
	get := func(ctx context.Context) (*Collection, error) { return s.Get(ctx, req.Name, opts...) }
	return do(ctx, s.client, call[*Collection]{
		endpoint: "POST /collection/{collectionName}",
		ids:      []string{req.Name},
		body:     req,
		readBack: get,
		reconcile: func(ctx context.Context, body []byte, failure *Error) (*Collection, error) {
			get := func() (*Collection, error) { return get(ctx) }
			return reconcileAdd(failure, body, sameCollection, get)
		},
	}, opts)
}

// Get returns a collection. The error is [ErrNotFound] if there is none. Its DocumentCount
// includes deleted documents.
//
// GET /api/v1/collection/{collectionName}
func (s *CollectionService) Get(
	ctx context.Context, name string, opts ...RequestOption,
) (*Collection, error) {
	return do(ctx, s.client, call[*Collection]{
		endpoint: "GET /collection/{collectionName}",
		ids:      []string{name},
		decode:   decodeCollection,
	}, opts)
}

// Update changes the description and the metadata of a collection, and returns it as the server
// reads it back. The error is [ErrNotFound] if there is none. Empty fields are not sent. Metadata
// replaces the stored metadata: it is not merged.
//
// Updates of one collection through one Client go one at a time, in the order of the calls: see
// [WithConcurrentUpdates]. Update is done once, unless the network delivers an attempt after its
// successor was answered: that reverts a later update.
//
// PATCH /api/v1/collection/{collectionName}, which answers OK, and GET
func (s *CollectionService) Update(
	ctx context.Context, req *UpdateCollectionRequest, opts ...RequestOption,
) (*Collection, error) {
	if err := req.validate(); err != nil {
		return nil, s.client.precheck(opts, err)
	}
	return do(ctx, s.client, call[*Collection]{
		endpoint: "PATCH /collection/{collectionName}",
		ids:      []string{req.Name},
		body:     req,
		update:   updateOf("collection", strings.ToLower(req.Name)),
		readBack: func(ctx context.Context) (*Collection, error) {
			return s.Get(ctx, req.Name, opts...)
		},
	}, opts)
}

// Delete removes a collection and its documents. The error is [ErrNotFound] if there is none. A
// "not found" after an attempt whose response was lost is success.
//
// Delete is done once, unless the network delivers an attempt after its successor was answered:
// that deletes a collection that was added again.
//
// DELETE /api/v1/collection/{collectionName}
func (s *CollectionService) Delete(
	ctx context.Context, name string, opts ...RequestOption,
) error {
	_, err := do(ctx, s.client, call[none]{
		endpoint:  "DELETE /collection/{collectionName}",
		ids:       []string{name},
		decode:    decodeOK,
		reconcile: reconcileDelete,
	}, opts)
	return err
}

// List returns all collections, in no promised order. The server has no pages here.
//
// GET /api/v1/collection
func (s *CollectionService) List(
	ctx context.Context, opts ...RequestOption,
) ([]*Collection, error) {
	return do(ctx, s.client, call[[]*Collection]{
		endpoint: "GET /collection",
		decode:   decodeCollections,
	}, opts)
}

// CreateIndex makes the server index a collection anew, which makes searches fast and slightly less
// exact. force does so even if the server finds too few documents for it.
//
// The server answers before the index is made. A second request would wait for it, drop it and
// begin again, so an attempt whose response was lost is not repeated. [CollectionService.Get]
// tells when there is an index.
//
// POST /api/v1/collection/{collectionName}/index/create
func (s *CollectionService) CreateIndex(
	ctx context.Context, name string, force bool, opts ...RequestOption,
) error {
	_, err := do(ctx, s.client, call[none]{
		endpoint: "POST /collection/{collectionName}/index/create",
		ids:      []string{name},
		query:    indexQuery{force},
		resend:   noRetry,
		decode:   decodeOK,
	}, opts)
	return err
}

// Search finds documents of a collection by the similarity of their text or embedding, by their
// metadata, or by both, best first. The server embeds documents after it has answered the upload.
// Those that are not embedded yet come first, with a Score of 0, and count into the limit:
// IsEmbedded tells them apart. With [SearchTypeMMR] they can make the search fail with
// [ErrServer].
//
// The error is [ErrNotFound] if there is no such collection. It is [ErrBadRequest], before
// anything is sent, if there is neither Text, Embedding nor Metadata, or if Limit is negative or
// over 2^31-1.
//
// POST /api/v1/collection/{collectionName}/search
func (s *CollectionService) Search(
	ctx context.Context, name string, req *SearchDocumentsRequest, opts ...RequestOption,
) (*DocumentSearchResults, error) {
	if err := req.validate(); err != nil {
		return nil, s.client.precheck(opts, err)
	}
	return do(ctx, s.client, call[*DocumentSearchResults]{
		endpoint: "POST /collection/{collectionName}/search",
		ids:      []string{name},
		query:    searchQuery{req.Limit},
		body:     req,
		resend:   readOnly,
		decode:   decodeDocumentSearch,
	}, opts)
}

// The limits of the server.
const (
	minDimensions = 8
	maxDimensions = 2000
)

var collectionName = regexp.MustCompile(`^[a-zA-Z0-9]{3,40}$`)

// sameCollection reports whether a stored collection has the properties that were sent.
func sameCollection(sent, stored *Collection) bool {
	return stored.Description == sent.Description &&
		stored.EmbeddingDimensions == sent.EmbeddingDimensions &&
		stored.IsAutoEmbedded == sent.IsAutoEmbedded &&
		sameMetadata(sent.Metadata, stored.Metadata)
}

// indexQuery is the query string of an index.
type indexQuery struct {
	Force bool `url:"force,omitempty"`
}

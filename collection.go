package zep

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// CollectionService manages collections of documents, and searches them: [Client.Collection]. [DocumentService] fills them. The
// server takes the upper case of a collection's name for lower.
type CollectionService struct{ client *Client }

// What the server allows.
const (
	minDimensions = 8
	maxDimensions = 2000
)

var collectionName = regexp.MustCompile(`^[a-zA-Z0-9]{3,40}$`)

// Add creates a collection and returns it as the server reads it back. A name or a number of dimensions that the server does
// not allow is [ErrBadRequest] before anything is sent.
//
// A name that is taken is [ErrAlreadyExists]. If the answer to an attempt was lost, and the collection turns out to be there with
// just these properties, it is this call's, and is returned.
//
// POST /api/v1/collection/{collectionName}, which answers OK, and GET
func (s *CollectionService) Add(ctx context.Context, req *CreateCollectionRequest, opts ...RequestOption) (*Collection, error) {
	if req == nil {
		return do(ctx, s.client, call[*Collection]{refused: errNilRequest("Collection.Add")}, opts)
	}
	refused := checkID("name", req.Name)
	switch d := req.EmbeddingDimensions; {
	case refused != nil:
	case !collectionName.MatchString(req.Name):
		refused = fmt.Errorf("%w: Collection.Add: name %.100q: want 3 to 40 letters and digits", ErrBadRequest, req.Name)
	case d < minDimensions || d > maxDimensions:
		refused = fmt.Errorf("%w: Collection.Add: EmbeddingDimensions is %d: want %d to %d", ErrBadRequest, d, minDimensions, maxDimensions)
	}
	get := func(ctx context.Context) (*Collection, error) { return s.Get(ctx, req.Name, opts...) }
	return do(ctx, s.client, call[*Collection]{
		method: http.MethodPost, route: "/collection/{collectionName}", ids: []string{req.Name}, body: req, refused: refused,
		then: get,
		settle: func(ctx context.Context, failure *Error) (*Collection, error) {
			return settleAdd(failure, req, sameCollection, func() (*Collection, error) { return get(ctx) })
		},
	}, opts)
}

// sameCollection: the collection that is there has the properties that were sent.
func sameCollection(sent, there *Collection) bool {
	return there.Description == asStored(sent.Description) && there.EmbeddingDimensions == sent.EmbeddingDimensions &&
		there.IsAutoEmbedded == sent.IsAutoEmbedded && sameMetadata(sent.Metadata, there.Metadata)
}

// Get returns a collection, or [ErrNotFound].
//
// GET /api/v1/collection/{collectionName}
func (s *CollectionService) Get(ctx context.Context, name string, opts ...RequestOption) (*Collection, error) {
	return do(ctx, s.client, call[*Collection]{method: http.MethodGet, route: "/collection/{collectionName}", ids: []string{name}, decode: decodeCollection}, opts)
}

// Update changes the description and the metadata of a collection, and returns it as the server reads it back; [ErrNotFound] if
// there is none. Empty fields are not sent. Metadata replaces what is there: it is not merged.
//
// Updates of one collection through one Client go one after the other: see [WithConcurrentUpdates].
//
// PATCH /api/v1/collection/{collectionName}, which answers OK, and GET
func (s *CollectionService) Update(ctx context.Context, req *UpdateCollectionRequest, opts ...RequestOption) (*Collection, error) {
	if req == nil {
		return do(ctx, s.client, call[*Collection]{refused: errNilRequest("Collection.Update")}, opts)
	}
	return do(ctx, s.client, call[*Collection]{
		method: http.MethodPatch, route: "/collection/{collectionName}", ids: []string{req.Name}, body: req,
		updates: []record{{"collection", strings.ToLower(req.Name)}},
		then:    func(ctx context.Context) (*Collection, error) { return s.Get(ctx, req.Name, opts...) },
	}, opts)
}

// Delete removes a collection and its documents; [ErrNotFound] if there is none. A "not found" after an attempt whose answer was
// lost is success.
//
// DELETE /api/v1/collection/{collectionName}
func (s *CollectionService) Delete(ctx context.Context, name string, opts ...RequestOption) error {
	_, err := do(ctx, s.client, call[none]{
		method: http.MethodDelete, route: "/collection/{collectionName}", ids: []string{name}, decode: decodeOK, settle: settleDelete,
	}, opts)
	return err
}

// List returns all collections, in no promised order. The server knows no pages here.
//
// GET /api/v1/collection
func (s *CollectionService) List(ctx context.Context, opts ...RequestOption) ([]*Collection, error) {
	return do(ctx, s.client, call[[]*Collection]{method: http.MethodGet, route: "/collection", decode: decodeCollections}, opts)
}

// CreateIndex makes the server index a collection anew, which makes searches fast and slightly less exact. force does so also where
// the server thinks that there are too few documents for it.
//
// The index is made after the server has answered, and a second request would wait for it, drop it and begin again: so an attempt
// whose answer was lost is not followed by another. [CollectionService.Get] tells when there is an index.
//
// POST /api/v1/collection/{collectionName}/index/create
func (s *CollectionService) CreateIndex(ctx context.Context, name string, force bool, opts ...RequestOption) error {
	_, err := do(ctx, s.client, call[none]{
		method: http.MethodPost, route: "/collection/{collectionName}/index/create", ids: []string{name},
		query: struct {
			Force bool `url:"force,omitempty"`
		}{force},
		decode: decodeOK, once: true,
	}, opts)
	return err
}

// Search finds documents of a collection by the likeness of their text or embedding, by their metadata, or both; best first.
// [ErrNotFound] if there is no such collection. What was added a moment ago may be missing: it is embedded after the add was
// answered. Neither Text, Embedding nor Metadata, or a negative Limit, is [ErrBadRequest] before anything is sent.
//
// POST /api/v1/collection/{collectionName}/search
func (s *CollectionService) Search(ctx context.Context, name string, req *SearchDocumentsRequest, opts ...RequestOption) (*DocumentSearchResults, error) {
	var refused error
	switch {
	case req == nil:
		return do(ctx, s.client, call[*DocumentSearchResults]{refused: errNilRequest("Collection.Search")}, opts)
	case req.Text == "" && len(req.Embedding) == 0 && len(req.Metadata) == 0:
		refused = fmt.Errorf("%w: Collection.Search: no Text, Embedding or Metadata to search for", ErrBadRequest)
	case req.Limit < 0:
		refused = errNegative("Collection.Search", "Limit", req.Limit)
	}
	return do(ctx, s.client, call[*DocumentSearchResults]{
		method: http.MethodPost, route: "/collection/{collectionName}/search", ids: []string{name},
		query: searchQuery{req.Limit}, body: req, read: true, refused: refused,
		decode: decodeDocumentSearch,
	}, opts)
}

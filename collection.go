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
		return nil, errNilRequest("Collection.Add")
	}
	if err := checkID("name", req.Name); err != nil {
		return nil, err
	}
	if !collectionName.MatchString(req.Name) {
		return nil, fmt.Errorf("%w: Collection.Add: name %q: want 3 to 40 letters and digits", ErrBadRequest, req.Name)
	}
	if d := req.EmbeddingDimensions; d < minDimensions || d > maxDimensions {
		return nil, fmt.Errorf("%w: Collection.Add: EmbeddingDimensions is %d: want %d to %d", ErrBadRequest, d, minDimensions, maxDimensions)
	}
	get := func(ctx context.Context) (*Collection, error) { return s.Get(ctx, req.Name, opts...) }
	return do(ctx, s.client, call[*Collection]{
		method: http.MethodPost, route: "/collection/{collectionName}", ids: []string{req.Name}, body: req,
		then: get,
		settle: func(ctx context.Context, failure *Error) (*Collection, error) {
			return settleAdd(failure, req, sameCollection, func() (*Collection, error) { return get(ctx) })
		},
	}, opts)
}

// sameCollection: the collection that is there has the properties that were sent.
func sameCollection(sent, there *Collection) bool {
	return there.Description == sent.Description && there.EmbeddingDimensions == sent.EmbeddingDimensions &&
		there.IsAutoEmbedded == sent.IsAutoEmbedded && sameMetadata(sent.Metadata, there.Metadata)
}

// Get returns a collection, or [ErrNotFound].
//
// GET /api/v1/collection/{collectionName}
func (s *CollectionService) Get(ctx context.Context, name string, opts ...RequestOption) (*Collection, error) {
	return do(ctx, s.client, call[*Collection]{method: http.MethodGet, route: "/collection/{collectionName}", ids: []string{name}}, opts)
}

// Update changes the description and the metadata of a collection, and returns it as the server reads it back; [ErrNotFound] if
// there is none. Empty fields are not sent. Metadata replaces what is there: it is not merged.
//
// Updates of one collection through one Client go one after the other: see [WithConcurrentUpdates].
//
// PATCH /api/v1/collection/{collectionName}, which answers OK, and GET
func (s *CollectionService) Update(ctx context.Context, req *UpdateCollectionRequest, opts ...RequestOption) (*Collection, error) {
	if req == nil {
		return nil, errNilRequest("Collection.Update")
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
	return do(ctx, s.client, call[[]*Collection]{method: http.MethodGet, route: "/collection", decode: decodeList[Collection]}, opts)
}

// CreateIndex makes the server index a collection anew, which makes searches fast and slightly less exact. force does so also where
// the server thinks that there are too few documents for it.
//
// POST /api/v1/collection/{collectionName}/index/create
func (s *CollectionService) CreateIndex(ctx context.Context, name string, force bool, opts ...RequestOption) error {
	_, err := do(ctx, s.client, call[none]{
		method: http.MethodPost, route: "/collection/{collectionName}/index/create", ids: []string{name},
		query: struct {
			Force bool `url:"force,omitempty"`
		}{force},
		decode: decodeOK,
	}, opts)
	return err
}

// Search finds documents of a collection by the likeness of their text or embedding, by their metadata, or both; best first.
// [ErrNotFound] if there is no such collection. What was added a moment ago may be missing: it is embedded after the add was
// answered.
//
// POST /api/v1/collection/{collectionName}/search
func (s *CollectionService) Search(ctx context.Context, name string, req *SearchDocumentsRequest, opts ...RequestOption) (*DocumentSearchResults, error) {
	switch {
	case req == nil:
		return nil, errNilRequest("Collection.Search")
	case req.Text == "" && len(req.Embedding) == 0 && len(req.Metadata) == 0:
		return nil, fmt.Errorf("%w: Collection.Search: no Text, Embedding or Metadata to search for", ErrBadRequest)
	case req.Limit < 0:
		return nil, errNegative("Collection.Search", "Limit", req.Limit)
	}
	return do(ctx, s.client, call[*DocumentSearchResults]{
		method: http.MethodPost, route: "/collection/{collectionName}/search", ids: []string{name},
		query: searchQuery{req.Limit}, body: req, read: true,
		decode: func(header http.Header, body []byte) (*DocumentSearchResults, error) {
			found, err := decodeJSON[*DocumentSearchResults](header, body)
			if err == nil {
				found.Results, err = withoutNull(found.Results)
			}
			return found, err
		},
	}, opts)
}

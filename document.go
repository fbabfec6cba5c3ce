package zep

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// DocumentService fills collections: [Client.Document]. [CollectionService.Search] finds what is in them.
type DocumentService struct{ client *Client }

// What one request may hold.
const (
	maxBatch      = 500
	maxBatchBytes = 5 << 20

	maxDocumentID = 100
)

// Add uploads documents and returns their UUIDs, in the order of the documents. Any number is fine: they go up in batches that the
// server takes, 500 documents and 5 MiB at the most, one after the other; none, and nothing is sent. [WithTimeout] bounds
// each batch.
//
// If a batch fails, the UUIDs of the batches before it are returned together with the error: those documents are stored. A batch
// is stored whole or not at all.
//
// Before anything is sent, the documents are checked; [ErrBadRequest] names the index of one that is nil, has neither content
// nor embedding, has an embedding of another length than the first's, or has a DocumentID that is not printable ASCII, too long
// or that of an earlier one. One that is over 5 MiB by itself is [ErrTooLarge].
//
// A DocumentID that is taken is [ErrAlreadyExists]; a collection that is not there [ErrNotFound]. A batch whose answer was lost is
// tried again only if each of its documents has a DocumentID: by those it can be told whether it was stored.
//
// POST /api/v1/collection/{collectionName}/document
func (s *DocumentService) Add(ctx context.Context, collection string, documents []*CreateDocumentRequest, opts ...RequestOption) ([]string, error) {
	if err := checkID("collectionName", collection); err != nil {
		return nil, err
	}
	if err := checkDocuments(documents); err != nil {
		return nil, err
	}
	batches, err := split("Document.Add", documents)
	if err != nil {
		return nil, err
	}
	uuids := make([]string, 0, len(documents))
	for _, batch := range batches {
		added, err := s.addBatch(ctx, collection, documents[len(uuids):len(uuids)+len(batch)], batch, opts)
		if err != nil {
			return uuids, afterBatches("Document.Add", "stored", len(uuids), len(documents), err)
		}
		uuids = append(uuids, added...)
	}
	return uuids, nil
}

func (s *DocumentService) addBatch(ctx context.Context, collection string, documents []*CreateDocumentRequest, body []json.RawMessage, opts []RequestOption) ([]string, error) {
	return do(ctx, s.client, call[[]string]{
		method: http.MethodPost, route: "/collection/{collectionName}/document", ids: []string{collection}, body: body,
		once: slices.ContainsFunc(documents, func(d *CreateDocumentRequest) bool { return d.DocumentID == "" }),
		decode: func(header http.Header, body []byte) ([]string, error) {
			uuids, err := decodeJSON[[]string](header, body)
			if err == nil && len(uuids) != len(documents) {
				err = fmt.Errorf("%d UUIDs for %d documents", len(uuids), len(documents))
			}
			return uuids, err
		},
		settle: func(ctx context.Context, failure *Error) ([]string, error) {
			return s.settleAdd(ctx, collection, documents, failure, opts)
		},
	}, opts)
}

// settleAdd reads the "document_id already exists" that follows an attempt whose answer was lost: if every document is there with the
// content that was sent, that attempt stored them.
func (s *DocumentService) settleAdd(ctx context.Context, collection string, documents []*CreateDocumentRequest, failure *Error, opts []RequestOption) ([]string, error) {
	if !errors.Is(failure, ErrAlreadyExists) {
		return nil, failure
	}
	ids := make([]string, len(documents))
	for i, d := range documents {
		ids[i] = d.DocumentID
	}
	there, err := s.GetByIDs(ctx, collection, ids, opts...)
	if err != nil {
		return nil, fmt.Errorf("zep: %s %s: a document_id exists, and whether this call made it cannot be told: %w", failure.Method, failure.Path, err)
	}
	byID := make(map[string]*Document, len(there))
	for _, d := range there {
		byID[d.DocumentID] = d
	}
	uuids := make([]string, len(documents))
	for i, d := range documents {
		stored := byID[d.DocumentID]
		if stored == nil || !sameDocument(d, stored) {
			return nil, failure
		}
		uuids[i] = stored.UUID
	}
	return uuids, nil
}

// sameDocument: the document that is there has the content that was sent. Embeddings are left out: the server keeps them
// in its own precision, or makes them itself.
func sameDocument(sent *CreateDocumentRequest, there *Document) bool {
	var asJSON Metadata
	return there.Content == sent.Content && sent.Metadata.Decode(&asJSON) == nil && sameMetadata(asJSON, there.Metadata)
}

func checkDocuments(documents []*CreateDocumentRequest) error {
	refuse := func(i int, format string, args ...any) error {
		return fmt.Errorf("%w: Document.Add: document %d "+format, append([]any{ErrBadRequest, i}, args...)...)
	}
	earlier := make(map[string]int)
	first := -1 // the document whose embedding sets the length
	for i, d := range documents {
		switch {
		case d == nil:
			return refuse(i, "is nil")
		case d.Content == "" && len(d.Embedding) == 0:
			return refuse(i, "has neither Content nor Embedding")
		case len(d.DocumentID) > maxDocumentID:
			return refuse(i, "has a DocumentID of %d bytes: want at most %d", len(d.DocumentID), maxDocumentID)
		case strings.ContainsFunc(d.DocumentID, func(r rune) bool { return r < ' ' || r > '~' }):
			return refuse(i, "has the DocumentID %q: want printable ASCII", d.DocumentID)
		}
		if len(d.Embedding) > 0 {
			if first < 0 {
				first = i
			}
			if want := len(documents[first].Embedding); len(d.Embedding) != want {
				return refuse(i, "has an embedding of %d numbers, document %d one of %d", len(d.Embedding), first, want)
			}
		}
		if d.DocumentID != "" {
			if before, taken := earlier[d.DocumentID]; taken {
				return refuse(i, "has the DocumentID %q of document %d", d.DocumentID, before)
			}
			earlier[d.DocumentID] = i
		}
	}
	return nil
}

// split makes of any number of items the bodies of requests that the server takes, in their order.
func split[T any](method string, items []T) ([][]json.RawMessage, error) {
	var (
		batches [][]json.RawMessage
		size    int // of the last batch: its brackets, its items and the commas after them
	)
	for i, item := range items {
		raw, err := json.Marshal(item)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: item %d cannot be sent as JSON: %w", ErrBadRequest, method, i, err)
		}
		if len(raw)+len("[]") > maxBatchBytes {
			return nil, fmt.Errorf("%w: %s: item %d takes %d bytes as JSON, and the server takes %d", ErrTooLarge, method, i, len(raw), maxBatchBytes)
		}
		last := len(batches) - 1
		if last < 0 || len(batches[last]) == maxBatch || size+len(raw) > maxBatchBytes {
			batches = append(batches, nil)
			last, size = last+1, len("[]")
		}
		batches[last] = append(batches[last], raw)
		size += len(raw) + len(",")
	}
	return batches, nil
}

// Get returns a document; [ErrNotFound] if there is none, [ErrBadRequest] if the UUID is none.
//
// GET /api/v1/collection/{collectionName}/document/uuid/{documentUUID}
func (s *DocumentService) Get(ctx context.Context, collection, documentUUID string, opts ...RequestOption) (*Document, error) {
	return do(ctx, s.client, call[*Document]{
		method: http.MethodGet, route: documentRoute, ids: []string{collection, documentUUID},
	}, opts)
}

const documentRoute = "/collection/{collectionName}/document/uuid/{documentUUID}"

// GetByUUIDs returns the documents of these UUIDs, in no promised order; those that are not there are missing from it. Without
// UUIDs nothing is sent: the server would answer with every document.
//
// POST /api/v1/collection/{collectionName}/document/list/get
func (s *DocumentService) GetByUUIDs(ctx context.Context, collection string, documentUUIDs []string, opts ...RequestOption) ([]*Document, error) {
	return s.getList(ctx, collection, "uuids", documentUUIDs, opts)
}

// GetByIDs is [DocumentService.GetByUUIDs] for the callers' own ids.
//
// POST /api/v1/collection/{collectionName}/document/list/get
func (s *DocumentService) GetByIDs(ctx context.Context, collection string, documentIDs []string, opts ...RequestOption) ([]*Document, error) {
	return s.getList(ctx, collection, "document_ids", documentIDs, opts)
}

func (s *DocumentService) getList(ctx context.Context, collection, key string, ids []string, opts []RequestOption) ([]*Document, error) {
	if err := checkList(collection, key, ids); err != nil {
		return nil, err
	}
	documents := []*Document{}
	for batch := range slices.Chunk(ids, maxBatch) {
		found, err := do(ctx, s.client, call[[]*Document]{
			method: http.MethodPost, route: "/collection/{collectionName}/document/list/get", ids: []string{collection},
			body: map[string][]string{key: batch}, read: true, decode: decodeList[Document],
		}, opts)
		if err != nil {
			return nil, err
		}
		documents = append(documents, found...)
	}
	return documents, nil
}

// checkList refuses the empty ids that mean everything to the server.
func checkList(collection, key string, ids []string) error {
	if err := checkID("collectionName", collection); err != nil {
		return err
	}
	for i, id := range ids {
		if id == "" {
			return fmt.Errorf("%w: %s: number %d is empty", ErrInvalidID, key, i)
		}
	}
	return nil
}

// Update changes a document's DocumentID and metadata; [ErrNotFound] if there is none. Empty fields are not sent. Metadata
// replaces what is there: it is not merged.
//
// Updates of one document through one Client go one after the other: see [WithConcurrentUpdates].
//
// PATCH /api/v1/collection/{collectionName}/document/uuid/{documentUUID}
func (s *DocumentService) Update(ctx context.Context, collection string, req *UpdateDocumentRequest, opts ...RequestOption) error {
	if req == nil {
		return errNilRequest("Document.Update")
	}
	body := *req
	body.UUID = "" // it is in the path
	_, err := do(ctx, s.client, call[none]{
		method: http.MethodPatch, route: documentRoute, ids: []string{collection, req.UUID}, body: body, decode: decodeOK,
		updates: documentRecords([]*UpdateDocumentRequest{req}),
	}, opts)
	return err
}

// UpdateAll is [DocumentService.Update] for many documents. They go in batches of at most 500 documents and 5 MiB, one after the
// other; none, and nothing is sent. If a batch fails, the error tells how many documents were updated before it. The updates
// of a batch wait for those of each of its documents.
//
// PATCH /api/v1/collection/{collectionName}/document/list/update
func (s *DocumentService) UpdateAll(ctx context.Context, collection string, reqs []*UpdateDocumentRequest, opts ...RequestOption) error {
	if err := checkID("collectionName", collection); err != nil {
		return err
	}
	for i, req := range reqs {
		if req == nil {
			return fmt.Errorf("%w: Document.UpdateAll: request %d is nil", ErrBadRequest, i)
		}
		if req.UUID == "" {
			return fmt.Errorf("%w: Document.UpdateAll: the UUID of request %d is empty", ErrInvalidID, i)
		}
	}
	batches, err := split("Document.UpdateAll", reqs)
	if err != nil {
		return err
	}
	done := 0
	for _, batch := range batches {
		_, err := do(ctx, s.client, call[none]{
			method: http.MethodPatch, route: "/collection/{collectionName}/document/list/update", ids: []string{collection},
			body: batch, decode: decodeOK, updates: documentRecords(reqs[done : done+len(batch)]),
		}, opts)
		if err != nil {
			return afterBatches("Document.UpdateAll", "updated", done, len(reqs), err)
		}
		done += len(batch)
	}
	return nil
}

// documentRecords are what updates wait for: in one order for all, so that no two of them wait for each other.
func documentRecords(reqs []*UpdateDocumentRequest) []record {
	records := make([]record, len(reqs))
	for i, req := range reqs {
		records[i] = record{"document", strings.ToLower(req.UUID)}
	}
	slices.SortFunc(records, func(a, b record) int { return cmp.Compare(a.id, b.id) })
	return slices.Compact(records)
}

// afterBatches adds to an error what was done before it.
func afterBatches(method, done string, n, of int, err error) error {
	if n == 0 {
		return err
	}
	return fmt.Errorf("zep: %s: the first %d of %d are %s: %w", method, n, of, done, err)
}

// Delete removes a document. One that is gone already is no error, to the server either.
//
// DELETE /api/v1/collection/{collectionName}/document/uuid/{documentUUID}
func (s *DocumentService) Delete(ctx context.Context, collection, documentUUID string, opts ...RequestOption) error {
	_, err := do(ctx, s.client, call[none]{
		method: http.MethodDelete, route: documentRoute, ids: []string{collection, documentUUID}, decode: decodeOK, settle: settleDelete,
	}, opts)
	return err
}

// DeleteAll removes documents, in batches of at most 500, one after the other; those that are gone already are no error. Without
// UUIDs nothing is sent. If a batch fails, the error tells how many documents were removed before it.
//
// POST /api/v1/collection/{collectionName}/document/list/delete
func (s *DocumentService) DeleteAll(ctx context.Context, collection string, documentUUIDs []string, opts ...RequestOption) error {
	if err := checkList(collection, "documentUUIDs", documentUUIDs); err != nil {
		return err
	}
	done := 0
	for batch := range slices.Chunk(documentUUIDs, maxBatch) {
		_, err := do(ctx, s.client, call[none]{
			method: http.MethodPost, route: "/collection/{collectionName}/document/list/delete", ids: []string{collection},
			body: batch, decode: decodeOK, settle: settleDelete,
		}, opts)
		if err != nil {
			return afterBatches("Document.DeleteAll", "removed", done, len(documentUUIDs), err)
		}
		done += len(batch)
	}
	return nil
}

package zep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
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
	maxUpdatedID  = 40 // of an update: the server takes longer ones in an add only
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
// A DocumentID that is taken is [ErrAlreadyExists], also when a document had it that was removed; a collection that is not there
// [ErrNotFound]; an embedding of another length than the collection's [ErrServer]. A batch whose answer was lost is
// tried again only if each of its documents has a DocumentID: by those it can be told whether it was stored.
//
// POST /api/v1/collection/{collectionName}/document
func (s *DocumentService) Add(ctx context.Context, collection string, documents []*CreateDocumentRequest, opts ...RequestOption) ([]string, error) {
	if err := s.begin(opts, checkID("collectionName", collection), checkDocuments(documents)); err != nil {
		return nil, err
	}
	batches, err := split("Document.Add", documents, nil)
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

// begin is for what may be several requests or none: the options are looked at before the first, as they are by a call that is one.
func (s *DocumentService) begin(opts []RequestOption, refused ...error) error {
	_, err := s.client.begin(opts, refused...)
	return err
}

func (s *DocumentService) addBatch(ctx context.Context, collection string, documents []*CreateDocumentRequest, body []json.RawMessage, opts []RequestOption) ([]string, error) {
	return do(ctx, s.client, call[[]string]{
		method: http.MethodPost, route: "/collection/{collectionName}/document", ids: []string{collection}, body: body,
		once: slices.ContainsFunc(documents, func(d *CreateDocumentRequest) bool { return d.DocumentID == "" }),
		decode: func(header http.Header, body []byte) ([]string, error) {
			uuids, err := decodeJSON[[]string](header, body)
			if err == nil && (len(uuids) != len(documents) || slices.Contains(uuids, "")) {
				err = fmt.Errorf("%d UUIDs for %d documents, or an empty one", len(uuids), len(documents))
			}
			return uuids, err
		},
		settle: func(ctx context.Context, failure *Error) ([]string, error) {
			return s.settleAdd(ctx, collection, documents, body, failure, opts)
		},
	}, opts)
}

// settleAdd reads the "document_id already exists" that follows an attempt whose answer was lost: if every document is there with the
// content that was sent, that attempt stored them.
func (s *DocumentService) settleAdd(ctx context.Context, collection string, documents []*CreateDocumentRequest, body []json.RawMessage, failure *Error, opts []RequestOption) ([]string, error) {
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
		if stored == nil || !sameDocument(body[i], stored) {
			return nil, failure
		}
		uuids[i] = stored.UUID
	}
	return uuids, nil
}

// sameDocument: the document that is there has the content that was sent. An embedding that was not sent is the server's own.
func sameDocument(body json.RawMessage, there *Document) bool {
	var sent Document
	return json.Unmarshal(body, &sent) == nil && there.Content == asStored(sent.Content) && sameMetadata(sent.Metadata, there.Metadata) &&
		(len(sent.Embedding) == 0 || slices.Equal(sent.Embedding, there.Embedding))
}

func checkDocuments(documents []*CreateDocumentRequest) error {
	refuse := func(i int, format string, args ...any) error {
		return fmt.Errorf("%w: Document.Add: document %d "+format, append([]any{ErrBadRequest, i}, args...)...)
	}
	earlier := make(map[string]int)
	first := -1 // the document whose embedding sets the length
	for i, d := range documents {
		if d == nil {
			return refuse(i, "is nil")
		}
		if d.Content == "" && len(d.Embedding) == 0 {
			return refuse(i, "has neither Content nor Embedding")
		}
		if wrong := wrongDocumentID(d.DocumentID, maxDocumentID); wrong != "" {
			return refuse(i, "has %s", wrong)
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

// wrongDocumentID is what the server would find fault with, "" for nothing.
func wrongDocumentID(id string, most int) string {
	switch {
	case len(id) > most:
		return fmt.Sprintf("a DocumentID of %d bytes: want at most %d", len(id), most)
	case strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' }):
		return fmt.Sprintf("the DocumentID %q: want printable ASCII", id)
	}
	return ""
}

// split makes of any number of items the bodies of requests that the server takes, in their order. apart says that an item cannot
// go in one request with those from another on; nil, that any may.
func split[T any](method string, items []T, apart func(from, item int) bool) ([][]json.RawMessage, error) {
	var (
		batches [][]json.RawMessage
		from    int // the first item of the last batch
		size    int // of the last batch: its brackets, its items and the commas after them
	)
	for i, item := range items {
		raw, err := json.Marshal(item)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: item %d cannot be sent as JSON: %w", ErrBadRequest, method, i, err)
		}
		if alone := len(raw) + len("[]"); alone > maxBatchBytes {
			return nil, fmt.Errorf("%w: %s: item %d takes %d bytes as JSON, and the server takes %d", ErrTooLarge, method, i, alone, maxBatchBytes)
		}
		if i == 0 || i-from == maxBatch || size+len(raw) > maxBatchBytes || apart != nil && apart(from, i) {
			batches = append(batches, nil)
			from, size = i, len("[]")
		}
		last := len(batches) - 1
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
		method: http.MethodGet, route: documentRoute, ids: []string{collection, documentUUID}, decode: decodeDocument,
	}, opts)
}

const documentRoute = "/collection/{collectionName}/document/uuid/{documentUUID}"

// GetByUUIDs returns the documents of these UUIDs, in no promised order; those that are not there are missing from it. They are
// asked for in batches of 500. Without UUIDs nothing is sent: the server would answer with every document. An empty one is
// [ErrInvalidID]; a collection that is not there [ErrNotFound].
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
	if err := s.begin(opts, checkList(collection, key, ids)); err != nil {
		return nil, err
	}
	documents := []*Document{}
	for batch := range slices.Chunk(ids, maxBatch) {
		found, err := do(ctx, s.client, call[[]*Document]{
			method: http.MethodPost, route: "/collection/{collectionName}/document/list/get", ids: []string{collection},
			body: map[string][]string{key: batch}, read: true, decode: decodeDocuments,
		}, opts)
		if err != nil && !isNoneFound(err) {
			return nil, err
		}
		documents = append(documents, found...)
	}
	return documents, nil
}

var noneFoundText = regexp.MustCompile(`^(failed to \w+ documents?: )?documents not found$`)

// isNoneFound: the collection is there, and none of the documents in the list.
func isNoneFound(err error) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound && noneFoundText.MatchString(refused.Message)
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

// Update changes a document's DocumentID, which may have at most 40 characters here, and metadata; [ErrNotFound] if there is none.
// Empty fields are not sent. Metadata replaces what is there: it is not merged.
//
// Updates of one document through one Client go one after the other: see [WithConcurrentUpdates].
//
// PATCH /api/v1/collection/{collectionName}/document/uuid/{documentUUID}
func (s *DocumentService) Update(ctx context.Context, collection string, req *UpdateDocumentRequest, opts ...RequestOption) error {
	if req == nil {
		return s.begin(opts, errNilRequest("Document.Update"))
	}
	var refused error
	if wrong := wrongDocumentID(req.DocumentID, maxUpdatedID); wrong != "" {
		refused = fmt.Errorf("%w: Document.Update: the request has %s", ErrBadRequest, wrong)
	}
	body := *req
	body.UUID = "" // it is in the path
	_, err := do(ctx, s.client, call[none]{
		method: http.MethodPatch, route: documentRoute, ids: []string{collection, req.UUID}, body: body, decode: decodeOK,
		updates: documentRecords([]*UpdateDocumentRequest{req}), refused: refused,
	}, opts)
	return err
}

// UpdateAll is [DocumentService.Update] for many documents, in their order. They go in batches of at most 500 documents and 5 MiB,
// one after the other; none, and nothing is sent. If a batch fails, the error tells how many documents were updated before it.
// Documents that are not there are passed over, unless all of a batch are: [ErrNotFound]. The updates of a batch wait for those of
// each of its documents.
//
// The server changes in every document of a request what it changes in one, and empties it where nothing was sent. So a batch ends
// where the next update has other fields; those with the same are best put side by side.
//
// PATCH /api/v1/collection/{collectionName}/document/list/update
func (s *DocumentService) UpdateAll(ctx context.Context, collection string, reqs []*UpdateDocumentRequest, opts ...RequestOption) error {
	if err := s.begin(opts, checkID("collectionName", collection), checkUpdates(reqs)); err != nil {
		return err
	}
	batches, err := split("Document.UpdateAll", reqs, updatesApart(reqs))
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

func checkUpdates(reqs []*UpdateDocumentRequest) error {
	for i, req := range reqs {
		if req == nil {
			return fmt.Errorf("%w: Document.UpdateAll: request %d is nil", ErrBadRequest, i)
		}
		if req.UUID == "" {
			return fmt.Errorf("%w: Document.UpdateAll: the UUID of request %d is empty", ErrInvalidID, i)
		}
		if wrong := wrongDocumentID(req.DocumentID, maxUpdatedID); wrong != "" {
			return fmt.Errorf("%w: Document.UpdateAll: request %d has %s", ErrBadRequest, i, wrong)
		}
	}
	return nil
}

// updatesApart keeps out of one request what the server would mix up: updates of other fields, and two of one document, of which
// it takes either.
func updatesApart(reqs []*UpdateDocumentRequest) func(from, item int) bool {
	earlier := make([]int, len(reqs)) // the update before of the same document
	last := make(map[string]int)
	for i, req := range reqs {
		key := uuidKey(req.UUID)
		if before, ok := last[key]; ok {
			earlier[i] = before
		} else {
			earlier[i] = -1
		}
		last[key] = i
	}
	return func(from, item int) bool {
		a, b := reqs[from], reqs[item]
		return earlier[item] >= from || (a.DocumentID == "") != (b.DocumentID == "") || (len(a.Metadata) == 0) != (len(b.Metadata) == 0)
	}
}

// documentRecords are what updates wait for.
func documentRecords(reqs []*UpdateDocumentRequest) []record {
	records := make([]record, len(reqs))
	for i, req := range reqs {
		records[i] = record{"document", uuidKey(req.UUID)}
	}
	return records
}

// afterBatches adds to an error what was done before it.
func afterBatches(method, done string, n, of int, err error) error {
	if n == 0 {
		return err
	}
	return fmt.Errorf("zep: %s: the first %d of %d are %s: %w", method, n, of, done, err)
}

// Delete removes a document. One that was removed already is no error, to the server either; one that never was is [ErrNotFound]. Its
// DocumentID stays taken.
//
// DELETE /api/v1/collection/{collectionName}/document/uuid/{documentUUID}
func (s *DocumentService) Delete(ctx context.Context, collection, documentUUID string, opts ...RequestOption) error {
	_, err := do(ctx, s.client, call[none]{
		method: http.MethodDelete, route: documentRoute, ids: []string{collection, documentUUID}, decode: decodeOK, settle: settleDelete,
	}, opts)
	return err
}

// DeleteAll removes documents, in batches of at most 500, one after the other. Those that are not there are passed over; if none of
// them ever was, that is [ErrNotFound]. Without UUIDs nothing is sent. If a batch fails, the error tells how many documents were
// removed before it.
//
// POST /api/v1/collection/{collectionName}/document/list/delete
func (s *DocumentService) DeleteAll(ctx context.Context, collection string, documentUUIDs []string, opts ...RequestOption) error {
	if err := s.begin(opts, checkList(collection, "documentUUIDs", documentUUIDs)); err != nil {
		return err
	}
	done, found := 0, false
	var noneFound error
	for batch := range slices.Chunk(documentUUIDs, maxBatch) {
		_, err := do(ctx, s.client, call[none]{
			method: http.MethodPost, route: "/collection/{collectionName}/document/list/delete", ids: []string{collection},
			body: batch, decode: decodeOK, settle: settleDelete,
		}, opts)
		switch {
		case err == nil:
			found = true
		case isNoneFound(err): // the next batch may have some
			noneFound = err
		default:
			return afterBatches("Document.DeleteAll", "removed", done, len(documentUUIDs), err)
		}
		done += len(batch)
	}
	if found {
		return nil
	}
	return noneFound
}

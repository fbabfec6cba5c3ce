package zep

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/zep-go/zep/internal/exactjson"
)

// DocumentService fills collections: [Client.Document]. [CollectionService.Search] finds what is in
// them.
type DocumentService struct{ client *Client }

// Add uploads documents and returns their UUIDs, in the order of the documents. Their number is not
// limited: they go up in batches of at most 500 documents, one after the other. Without documents
// nothing is sent. [WithTimeout] bounds each batch.
//
// A batch that the server refuses as too large (413) is halved, and the following ones are no
// larger than that. [WithMaxRequestBytes] makes batches that small from the start. A document that
// is too large alone is [ErrTooLarge].
//
// A batch is stored whole or not at all. If one fails, Add returns the UUIDs of the batches
// before it together with the error: those documents are stored.
//
// The documents are checked before anything is sent. [ErrBadRequest] names the index of one that
// is nil, has neither content nor embedding, has an embedding of another length than the first,
// or has a DocumentID that is not printable ASCII, too long, or that of an earlier one.
//
// A DocumentID that is taken, also by a deleted document, is [ErrAlreadyExists]. A collection that
// does not exist is [ErrNotFound], an embedding of another length than the collection's
// [ErrServer]. A batch whose response was lost is sent again only if each of its documents has a
// DocumentID: those tell whether it was stored, and keep an attempt that the network delivers late
// from storing it twice.
//
// POST /api/v1/collection/{collectionName}/document
func (s *DocumentService) Add(
	ctx context.Context, collection string, documents []*CreateDocumentRequest, opts ...RequestOption,
) ([]string, error) {
	err := cmp.Or(checkID("collection", collection), checkDocuments(documents))
	if err := s.client.precheck(opts, err); err != nil {
		return nil, err
	}
	b, err := documentBatches(s.client, "Document.Add", documents, "[]")
	if err != nil {
		return nil, err
	}
	uuids := make([]string, 0, len(documents))
	_, err = b.send(func(first, end int) error {
		added, err := s.addBatch(ctx, collection, documents[first:end], b.items[first:end], opts)
		uuids = append(uuids, added...)
		return err
	})
	if err != nil {
		return uuids, afterBatches("Document.Add", "stored", len(uuids), len(documents), err)
	}
	return uuids, nil
}

// Get returns a document. The error is [ErrNotFound] if there is none, and [ErrBadRequest] if the
// UUID is not one.
//
// GET /api/v1/collection/{collectionName}/document/uuid/{documentUUID}
func (s *DocumentService) Get(
	ctx context.Context, collection, documentUUID string, opts ...RequestOption,
) (*Document, error) {
	return do(ctx, s.client, call[*Document]{
		endpoint: "GET " + documentRoute,
		ids:      []string{collection, documentUUID},
		decode:   decodeDocument,
	}, opts)
}

// GetByUUIDs returns the documents with these UUIDs, in no promised order, without those that do
// not exist. They are asked for in batches of at most 500. A batch is halved if the server refuses
// it as too large (413), or if its response is over 256 MiB. Without UUIDs nothing is sent: the
// server would answer with every document. An empty one is [ErrInvalidID], a collection that does
// not exist [ErrNotFound].
//
// POST /api/v1/collection/{collectionName}/document/list/get
func (s *DocumentService) GetByUUIDs(
	ctx context.Context, collection string, documentUUIDs []string, opts ...RequestOption,
) ([]*Document, error) {
	err := checkList(collection, "documentUUIDs", documentUUIDs)
	return s.getList(ctx, "Document.GetByUUIDs", collection, "uuids", documentUUIDs, err, opts)
}

// GetByIDs is [DocumentService.GetByUUIDs] for DocumentIDs.
//
// POST /api/v1/collection/{collectionName}/document/list/get
func (s *DocumentService) GetByIDs(
	ctx context.Context, collection string, documentIDs []string, opts ...RequestOption,
) ([]*Document, error) {
	err := checkList(collection, "documentIDs", documentIDs)
	return s.getList(ctx, "Document.GetByIDs", collection, "document_ids", documentIDs, err, opts)
}

// All walks all documents of a collection, with their embeddings, in the server's order. An empty
// collection yields nothing, and one that does not exist [ErrNotFound].
//
// All is one request, and decodes its response while it comes. It holds one document at a time, of
// at most 256 MiB as JSON, and up to 40 bytes (80 with Go 1.23) for each document that it has
// yielded. The server loads the whole collection before it answers.
//
// If the response breaks off, All asks for it again, and leaves out the documents that it has
// yielded, by their UUIDs: the order may be another. A document that exists throughout the walk is
// yielded once, and one that is added or deleted during the walk at most once. An error is yielded
// once, and ends the walk.
//
// A break of the loop ends the request. While the loop works on a document, nothing is read, and a
// proxy or the server may cut the connection of a slow loop.
//
// Some options mean something else here:
//   - [RequestTimeout] and [WithTimeout] bound the time in which no data comes, also before the
//     response, and with the waits between attempts. The time of the loop does not count.
//     [WithAttemptTimeout] bounds the same of each attempt, but the Timeout of an http.Client of
//     your own bounds the whole response.
//   - [RequestMaxAttempts] and [WithMaxAttempts] bound the attempts in a row: a new document begins
//     their count anew. With 1 nothing is tried again.
//   - [CaptureResponse] stores a success before its first document is yielded, without the body.
//
// POST /api/v1/collection/{collectionName}/document/list/get
func (s *DocumentService) All(
	ctx context.Context, collection string, opts ...RequestOption,
) iter.Seq2[*Document, error] {
	opts = slices.Clone(opts)
	return func(yield func(*Document, error) bool) {
		yielded := map[[16]byte]struct{}{} // the hashes of their UUIDs
		_, err := do(ctx, s.client, call[none]{
			endpoint: "POST /collection/{collectionName}/document/list/get",
			ids:      []string{collection},
			body:     struct{}{}, // all documents
			resend:   readOnly,
			each: func(record []byte) (isNew, more bool, err error) {
				if err := checkDecodedSize(record, maxDecoded); err != nil {
					return false, false, err
				}
				document, err := decodeDocument(nil, record)
				if err != nil {
					return false, false, err
				}
				hash := sha256.Sum256([]byte(uuidKey(document.UUID)))
				key := [16]byte(hash[:])
				if _, known := yielded[key]; known {
					return false, true, nil
				}
				yielded[key] = struct{}{}
				return true, yield(document, nil), nil
			},
		}, opts)
		switch {
		case err == nil, isNoneFound(err):
		case len(yielded) > 0:
			yield(nil, fmt.Errorf("zep: Document.All: after %d documents: %w", len(yielded), err))
		default:
			yield(nil, err)
		}
	}
}

// Update changes the DocumentID, of at most 40 characters here, and the metadata of a document. The
// error is [ErrNotFound] if there is none. Empty fields are not sent. Metadata replaces the stored
// metadata: it is not merged.
//
// An update of a document that is not embedded yet gives other documents wrong embeddings, for
// good: wait for the collection's DocumentEmbeddedCount.
//
// Updates of one document through one Client go one at a time, in the order of the calls: see
// [WithConcurrentUpdates]. Update is done once, unless the network delivers an attempt after its
// successor was answered: that reverts a later update.
//
// PATCH /api/v1/collection/{collectionName}/document/uuid/{documentUUID}
func (s *DocumentService) Update(
	ctx context.Context, collection string, req *UpdateDocumentRequest, opts ...RequestOption,
) error {
	if why := req.invalid(); why != "" {
		err := fmt.Errorf("%w: Document.Update: the request %s", ErrBadRequest, why)
		return s.client.precheck(opts, err)
	}
	body := *req
	body.UUID = "" // it is in the path
	_, err := do(ctx, s.client, call[none]{
		endpoint: "PATCH " + documentRoute,
		ids:      []string{collection, req.UUID},
		body:     body,
		update:   documentUpdate(collection, []*UpdateDocumentRequest{req}),
		decode:   decodeOK,
	}, opts)
	return err
}

// UpdateAll updates many documents, in their order, as [DocumentService.Update] does one, with the
// same promises. They go in batches of at most 500 documents, one after the other, which are halved
// as those of [DocumentService.Add] are. Without requests nothing is sent. If a batch fails, the
// error tells how many documents were updated before it. Documents that do not exist are passed
// over, unless all of a batch are: [ErrNotFound]. A batch waits for the updates of each of its
// documents.
//
// The server changes in every document of a request what it changes in one, and empties what was
// not sent. So a batch ends where the next update has other fields: updates with the same fields
// are best put side by side.
//
// PATCH /api/v1/collection/{collectionName}/document/list/update
func (s *DocumentService) UpdateAll(
	ctx context.Context, collection string, reqs []*UpdateDocumentRequest, opts ...RequestOption,
) error {
	err := cmp.Or(checkID("collection", collection), checkUpdates(reqs))
	if err := s.client.precheck(opts, err); err != nil {
		return err
	}
	b, err := documentBatches(s.client, "Document.UpdateAll", reqs, "[]")
	if err != nil {
		return err
	}
	b.mustSplit = mustSplitUpdates(reqs)
	done, err := b.send(func(first, end int) error {
		_, err := do(ctx, s.client, call[none]{
			endpoint: "PATCH /collection/{collectionName}/document/list/update",
			ids:      []string{collection},
			body:     b.items[first:end],
			update:   documentUpdate(collection, reqs[first:end]),
			decode:   decodeOK,
		}, opts)
		return err
	})
	if err != nil {
		return afterBatches("Document.UpdateAll", "updated", done, len(reqs), err)
	}
	return nil
}

// Delete removes a document. One that was removed before is no error, to the server either; one
// that never existed is [ErrNotFound]. Its DocumentID stays taken, and its text stays in the
// database until the collection is deleted.
//
// A deletion of a document that is not embedded yet gives other documents wrong embeddings, for
// good: wait for the collection's DocumentEmbeddedCount.
//
// DELETE /api/v1/collection/{collectionName}/document/uuid/{documentUUID}
func (s *DocumentService) Delete(
	ctx context.Context, collection, documentUUID string, opts ...RequestOption,
) error {
	_, err := do(ctx, s.client, call[none]{
		endpoint:  "DELETE " + documentRoute,
		ids:       []string{collection, documentUUID},
		decode:    decodeOK,
		reconcile: reconcileDelete,
	}, opts)
	return err
}

// DeleteAll removes documents, in batches of at most 500, one after the other, which are halved as
// those of [DocumentService.Add] are. Those that do not exist are passed over; if none of them
// ever existed, the error is [ErrNotFound]. Without UUIDs nothing is sent. If a batch fails, the
// error tells how many documents were removed before it.
// Documents that are not embedded yet must not be deleted: see [DocumentService.Delete].
//
// POST /api/v1/collection/{collectionName}/document/list/delete
func (s *DocumentService) DeleteAll(
	ctx context.Context, collection string, documentUUIDs []string, opts ...RequestOption,
) error {
	err := checkList(collection, "documentUUIDs", documentUUIDs)
	if err := s.client.precheck(opts, err); err != nil {
		return err
	}
	b, err := documentBatches(s.client, "Document.DeleteAll", documentUUIDs, "[]")
	if err != nil {
		return err
	}
	found := false
	var noneFound error
	done, err := b.send(func(first, end int) error {
		_, err := do(ctx, s.client, call[none]{
			endpoint:  "POST /collection/{collectionName}/document/list/delete",
			ids:       []string{collection},
			body:      b.items[first:end],
			decode:    decodeOK,
			reconcile: reconcileDelete,
		}, opts)
		if isNoneFound(err) { // the next batch may have some
			noneFound = err
			return nil
		}
		found = found || err == nil
		return err
	})
	if err != nil {
		return afterBatches("Document.DeleteAll", "removed", done, len(documentUUIDs), err)
	}
	if found {
		return nil
	}
	return noneFound
}

// The limits of the server for a DocumentID.
const (
	maxDocumentID = 100
	maxUpdatedID  = 40 // of an update: it takes longer ones in an add only
)

// documentBatches returns the batches of a call about documents. An item that is over the limit of
// the client alone is an error.
func documentBatches[T any](
	c *Client, method string, items []T, envelope string,
) (*batches, error) {
	encoded, err := encodeItems(method, "item %d: ", items)
	if err != nil {
		return nil, err
	}
	b := &batches{
		items:    encoded,
		around:   bytesAround(envelope),
		tooLarge: isRefusedAsTooLarge,
		maxItems: maxBatch,
		maxBytes: c.maxRequestBytes,
	}
	return b, b.check(method)
}

func (s *DocumentService) addBatch(
	ctx context.Context, collection string, documents []*CreateDocumentRequest,
	body []json.RawMessage, opts []RequestOption,
) ([]string, error) {
	resend := reconcilable
	withoutID := func(d *CreateDocumentRequest) bool { return d.DocumentID == "" }
	if slices.ContainsFunc(documents, withoutID) {
		resend = noRetry
	}
	uuids, err := do(ctx, s.client, call[[]string]{
		endpoint: "POST /collection/{collectionName}/document",
		ids:      []string{collection},
		body:     body,
		resend:   resend,
		decode: func(header http.Header, body []byte) ([]string, error) {
			uuids, err := decodeJSON[[]string](header, body)
			if err == nil && (len(uuids) != len(documents) || slices.Contains(uuids, "")) {
				err = fmt.Errorf("%d UUIDs for %d documents, or an empty one",
					len(uuids), len(documents))
			}
			return uuids, err
		},
		reconcile: func(ctx context.Context, _ []byte, failure *Error) ([]string, error) {
			return s.reconcileAdd(ctx, collection, documents, body, failure, opts)
		},
	}, opts)
	if resend == noRetry && errors.Is(err, ErrAmbiguous) {
		err = fmt.Errorf("%w; with a DocumentID in each document it could be sent again safely", err)
	}
	return uuids, err
}

// reconcileAdd reads the "document_id already exists" that follows an attempt whose outcome is
// ambiguous: that attempt stored the documents if every one exists with the content that was sent.
func (s *DocumentService) reconcileAdd(
	ctx context.Context, collection string, documents []*CreateDocumentRequest,
	body []json.RawMessage, failure *Error, opts []RequestOption,
) ([]string, error) {
	if !errors.Is(failure, ErrAlreadyExists) {
		return nil, failure
	}
	ids := make([]string, len(documents))
	for i, d := range documents {
		ids[i] = d.DocumentID
	}
	found, err := s.GetByIDs(ctx, collection, ids, opts...)
	if err != nil {
		return nil, fmt.Errorf("zep: %s: a document_id exists, "+
			"but could not verify whether this call created it: %w", failure.call(), err)
	}
	byID := make(map[string]*Document, len(found))
	for _, d := range found {
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

// sameDocument reports whether a stored document has the content that was sent. If no embedding was
// sent, the stored one is the server's.
func sameDocument(body json.RawMessage, stored *Document) bool {
	var sent Document
	return json.Unmarshal(body, &sent) == nil &&
		stored.Content == sent.Content &&
		sameMetadata(sent.Metadata, stored.Metadata) &&
		(len(sent.Embedding) == 0 || slices.Equal(sent.Embedding, stored.Embedding))
}

func checkDocuments(documents []*CreateDocumentRequest) error {
	earlier := make(map[string]int)
	first := -1 // the document whose embedding sets the length
	for i, d := range documents {
		if first < 0 && d != nil && len(d.Embedding) > 0 {
			first = i
		}
		why := d.invalid()
		if why == "" && len(d.Embedding) > 0 && len(d.Embedding) != len(documents[first].Embedding) {
			why = fmt.Sprintf("has an embedding of %d numbers, document %d one of %d",
				len(d.Embedding), first, len(documents[first].Embedding))
		}
		if why == "" && d.DocumentID != "" {
			if before, taken := earlier[d.DocumentID]; taken {
				why = fmt.Sprintf("has the DocumentID %q of document %d", d.DocumentID, before)
			}
			earlier[d.DocumentID] = i
		}
		if why != "" {
			return fmt.Errorf("%w: Document.Add: document %d %s", ErrBadRequest, i, why)
		}
	}
	return nil
}

// invalid says why the server would not take a document, "" if it would.
func (r *CreateDocumentRequest) invalid() string {
	if r == nil {
		return "is nil"
	}
	if r.Content == "" && len(r.Embedding) == 0 {
		return "has neither Content nor Embedding"
	}
	if why := invalidDocumentID(r.DocumentID, maxDocumentID); why != "" {
		return "has " + why
	}
	return ""
}

// invalidDocumentID says why the server would not take a DocumentID, "" if it would.
func invalidDocumentID(id string, max int) string {
	switch {
	case len(id) > max:
		return fmt.Sprintf("a DocumentID of %d bytes: must be at most %d", len(id), max)
	case strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' }):
		return fmt.Sprintf("the DocumentID %q: must be printable ASCII", id)
	}
	return ""
}

const documentRoute = "/collection/{collectionName}/document/uuid/{documentUUID}"

func (s *DocumentService) getList(
	ctx context.Context, method, collection, key string, ids []string, invalid error,
	opts []RequestOption,
) ([]*Document, error) {
	if err := s.client.precheck(opts, invalid); err != nil {
		return nil, err
	}
	b, err := documentBatches(s.client, method, ids, `{"`+key+`":[]}`)
	if err != nil {
		return nil, err
	}
	b.tooLarge = func(err error) bool { return errors.Is(err, ErrTooLarge) } // also of a response
	documents := []*Document{}
	_, err = b.send(func(first, end int) error {
		found, err := do(ctx, s.client, call[[]*Document]{
			endpoint: "POST /collection/{collectionName}/document/list/get",
			ids:      []string{collection},
			body:     map[string][]json.RawMessage{key: b.items[first:end]},
			resend:   readOnly,
			decode:   decodeDocuments,
		}, opts)
		if err != nil && !isNoneFound(err) {
			return err
		}
		documents = append(documents, found...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return documents, nil
}

var noneFoundText = regexp.MustCompile(`^(failed to \w+ documents?: )?documents not found$`)

// isNoneFound reports whether the collection exists, and none of the documents in the list.
func isNoneFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.StatusCode == http.StatusNotFound &&
		noneFoundText.MatchString(e.Message)
}

// checkList refuses empty ids, which mean all documents to the server, and those that JSON would
// change.
func checkList(collection, name string, ids []string) error {
	if err := checkID("collection", collection); err != nil {
		return err
	}
	if i := slices.Index(ids, ""); i >= 0 {
		return fmt.Errorf("%w: %s[%d] is empty", ErrInvalidID, name, i)
	}
	isBad := func(id string) bool { return exactjson.CheckText(id) != nil }
	if i := slices.IndexFunc(ids, isBad); i >= 0 {
		return checkIDText(fmt.Sprintf("%s[%d]", name, i), ids[i])
	}
	return nil
}

// invalid says why the server would not take an update, "" if it would.
func (r *UpdateDocumentRequest) invalid() string {
	if r == nil {
		return "is nil"
	}
	if why := invalidDocumentID(r.DocumentID, maxUpdatedID); why != "" {
		return "has " + why
	}
	return ""
}

func checkUpdates(reqs []*UpdateDocumentRequest) error {
	for i, req := range reqs {
		if why := req.invalid(); why != "" {
			return fmt.Errorf("%w: Document.UpdateAll: request %d %s", ErrBadRequest, i, why)
		}
		if req.UUID == "" {
			return fmt.Errorf("%w: Document.UpdateAll: the UUID of request %d is empty",
				ErrInvalidID, i)
		}
		if exactjson.CheckText(req.UUID) != nil {
			return checkIDText(fmt.Sprintf("Document.UpdateAll: the UUID of request %d", i), req.UUID)
		}
	}
	return nil
}

// mustSplitUpdates keeps out of one request what the server would mix up: updates of other fields,
// and two of one document, of which it takes either.
func mustSplitUpdates(reqs []*UpdateDocumentRequest) func(first, item int) bool {
	earlier := make([]int, len(reqs)) // the update before of the same document, -1 for none
	last := make(map[string]int)
	for i, req := range reqs {
		key := uuidKey(req.UUID)
		earlier[i] = -1
		if before, ok := last[key]; ok {
			earlier[i] = before
		}
		last[key] = i
	}
	return func(first, item int) bool {
		a, b := reqs[first], reqs[item]
		return earlier[item] >= first ||
			(a.DocumentID == "") != (b.DocumentID == "") ||
			(len(a.Metadata) == 0) != (len(b.Metadata) == 0)
	}
}

// documentUpdate is an update of documents. A Locker locks their collection, so that a batch
// takes one key.
func documentUpdate(collection string, reqs []*UpdateDocumentRequest) update {
	u := updateOf("collection", strings.ToLower(collection))
	u.records = make([]record, len(reqs))
	for i, req := range reqs {
		u.records[i] = record{"document", uuidKey(req.UUID)}
	}
	return u
}

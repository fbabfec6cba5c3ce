package zeptest

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

func (s *Server) documentRoutes() []route {
	const documents = "/collection/{collectionName}/document"
	return []route{
		{http.MethodPost, documents, s.addDocuments},
		{http.MethodGet, documents + "/uuid/{documentUUID}", s.getDocument},
		{http.MethodPatch, documents + "/uuid/{documentUUID}", s.updateDocument},
		{http.MethodDelete, documents + "/uuid/{documentUUID}", s.deleteDocument},
		{http.MethodPost, documents + "/list/get", s.getDocuments},
		{http.MethodPatch, documents + "/list/update", s.updateDocuments},
		{http.MethodPost, documents + "/list/delete", s.deleteDocuments},
	}
}

type document struct {
	UUID       uuid           `json:"uuid"`
	CreatedAt  time.Time      `json:"created_at"`
	UpdatedAt  time.Time      `json:"updated_at"` // an update leaves it as it is
	DocumentID string         `json:"document_id"`
	Content    string         `json:"content"`
	Metadata   map[string]any `json:"metadata,omitempty"`
	Embedding  []float32      `json:"embedding"`
	IsEmbedded bool           `json:"is_embedded"`

	place   int64
	deleted bool // softly: it keeps its document_id, and counts
}

var errNoDocuments = &statusError{http.StatusNotFound, "documents not found"}

// embed embeds a document, if the collection is one that the server embeds. If the server's
// embeddings are of another length than the collection's, the document stays without one.
func (c *collection) embed(d *document, dimensions int) {
	if c.IsAutoEmbedded && c.EmbeddingDimensions == dimensions && !d.IsEmbedded {
		d.Embedding, d.IsEmbedded = embed(d.Content, dimensions), true
	}
}

// live returns the documents that are not deleted, in the order in which the database has them.
func (c *collection) live() []*document {
	var live []*document
	for _, d := range c.documents {
		if !d.deleted {
			live = append(live, d)
		}
	}
	slices.SortFunc(live, func(a, b *document) int { return cmp.Compare(a.place, b.place) })
	return live
}

// newDocument is a CreateDocumentRequest of Zep.
type newDocument struct {
	DocumentID string         `json:"document_id"`
	Content    string         `json:"content"`
	Metadata   map[string]any `json:"metadata"`
	Embedding  []float32      `json:"embedding"`
}

// addDocuments adds documents, all or none.
func (s *Server) addDocuments(r *http.Request) (answer, error) {
	type CreateDocumentRequest newDocument
	var req []CreateDocumentRequest
	if err := decodeJSON(r, &req); err != nil {
		return answer{}, err
	}
	documents := make([]newDocument, len(req))
	for i, d := range req {
		v := validation{of: "CreateDocumentRequest"}
		v.field("DocumentID", printASCII(d.DocumentID), maxLength(d.DocumentID, 100))
		// To the validator, an empty embedding is there.
		either := rule{"required_without", d.Content != "" || d.Embedding != nil}
		v.field("Content", either)
		v.field("Embedding", either)
		if err := v.err(); err != nil {
			return answer{}, err
		}
		documents[i] = newDocument(d)
	}

	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	c, err := s.collection(r)
	if err != nil {
		// Here, Zep's status is 500, not 404.
		return answer{}, errors.New("failed to get collection: " + err.Error())
	}
	if err := c.takes(documents); err != nil {
		return answer{}, err
	}
	if err := c.canInsert(documents); err != nil {
		return answer{}, fmt.Errorf("failed to %s documents: %w", s.version.create(), err)
	}
	var added []uuid // null if there are none
	now := s.store.now()
	for _, d := range documents {
		added = append(added, s.store.addDocument(c, d, now))
	}
	return jsonAnswer(added)
}

// takes says whether the documents have embeddings if, and only if, the collection wants them.
func (c *collection) takes(documents []newDocument) error {
	for _, d := range documents {
		switch own := len(d.Embedding) > 0; {
		case c.IsAutoEmbedded && own:
			return errors.New(
				"cannot create documents with embeddings in an auto-embedded collection")
		case !c.IsAutoEmbedded && !own:
			return badRequest(
				"cannot create documents without embeddings in a non-auto-embedded collection")
		}
	}
	return nil
}

// canInsert says whether the database can insert the documents.
func (c *collection) canInsert(documents []newDocument) error {
	taken := map[string]bool{}
	for _, d := range documents {
		if n := len(d.Embedding); n > 0 && n != c.EmbeddingDimensions {
			return fmt.Errorf("failed to insert documents: ERROR: "+
				"expected %d dimensions, not %d (SQLSTATE=22000)", c.EmbeddingDimensions, n)
		}
		if c.byDocumentID[d.DocumentID] != nil || taken[d.DocumentID] {
			return badRequest("document_id already exists")
		}
		taken[d.DocumentID] = d.DocumentID != ""
	}
	return nil
}

// addDocument adds a document that can be inserted. The caller holds the lock.
func (s *store) addDocument(c *collection, d newDocument, now time.Time) uuid {
	added := &document{
		UUID:       uuid(newUUID()),
		CreatedAt:  now,
		UpdatedAt:  now,
		DocumentID: d.DocumentID,
		Content:    dropNUL(d.Content),
		Metadata:   asStored(d.Metadata),
		place:      s.place(),
	}
	if len(d.Embedding) > 0 {
		added.Embedding, added.IsEmbedded = d.Embedding, true
	} else if !s.delayed {
		c.embed(added, s.dimensions)
	}
	c.documents[added.UUID] = added
	if added.DocumentID != "" {
		c.byDocumentID[added.DocumentID] = added
	}
	return added.UUID
}

// documentUUID returns the UUID on the path.
func documentUUID(r *http.Request) (uuid, error) {
	const required = "documentUUID is required"
	key, err := parseUUID(r.PathValue("documentUUID"))
	switch {
	case err != nil:
		return "", malformedUUID(err, required)
	case key.isNil():
		return "", &statusError{http.StatusBadRequest, required}
	}
	return key, nil
}

func (s *Server) getDocument(r *http.Request) (answer, error) {
	key, err := documentUUID(r)
	if err != nil {
		return answer{}, err
	}
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	found, err := s.findDocuments(r, []uuid{key}, nil)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(found[0])
}

func (s *Server) getDocuments(r *http.Request) (answer, error) {
	type GetDocumentListRequest struct {
		UUIDs       []uuid   `json:"uuids"`
		DocumentIDs []string `json:"document_ids"`
	}
	var req GetDocumentListRequest
	if err := decodeJSON(r, &req); err != nil {
		return answer{}, err
	}
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	found, err := s.findDocuments(r, req.UUIDs, req.DocumentIDs)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(found)
}

// findDocuments finds documents by UUIDs or by ids, or all if neither are asked for. The caller
// holds the lock.
func (s *Server) findDocuments(
	r *http.Request, uuids []uuid, documentIDs []string,
) ([]document, error) {
	const failed = "failed to get documents: "
	if len(uuids) > 0 && len(documentIDs) > 0 {
		return nil, errors.New(failed + "cannot specify both uuids and documentIDs")
	}
	c, err := s.collection(r)
	if err != nil {
		return nil, fmt.Errorf(failed+"failed to get collection: %w", err)
	}
	asked := map[*document]bool{}
	for _, key := range uuids {
		asked[c.documents[key]] = true
	}
	for _, id := range documentIDs {
		asked[c.byDocumentID[id]] = true
	}
	var found []document
	for _, d := range c.live() {
		if len(asked) == 0 || asked[d] {
			listed := *d
			listed.UpdatedAt = time.Time{} // Zep leaves it out of this query
			found = append(found, listed)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf(failed+"%w", errNoDocuments)
	}
	return found, nil
}

// documentUpdate has what is to be changed: empty fields were not sent.
type documentUpdate struct {
	DocumentID string         `json:"document_id"`
	Metadata   map[string]any `json:"metadata"`
}

func (u documentUpdate) validate(v *validation, field string) error {
	// 40, although 100 can be added.
	v.field(field, printASCII(u.DocumentID), maxLength(u.DocumentID, 40))
	return v.err()
}

func (s *Server) updateDocument(r *http.Request) (answer, error) {
	key, err := documentUUID(r)
	if err != nil {
		return answer{}, err
	}
	type UpdateDocumentRequest documentUpdate
	var req UpdateDocumentRequest
	if err := decodeJSON(r, &req); err != nil {
		return answer{}, err
	}
	update := documentUpdate(req)
	if err := update.validate(&validation{of: "UpdateDocumentRequest"}, "DocumentID"); err != nil {
		return answer{}, err
	}
	return s.update(r, []uuid{key}, []documentUpdate{update})
}

func (s *Server) updateDocuments(r *http.Request) (answer, error) {
	type UpdateDocumentRequest documentUpdate
	type UpdateDocumentListRequest struct {
		UUID uuid `json:"uuid"`
		UpdateDocumentRequest
	}
	var req []UpdateDocumentListRequest
	if err := decodeJSON(r, &req); err != nil {
		return answer{}, err
	}
	keys, updates := make([]uuid, len(req)), make([]documentUpdate, len(req))
	for i, u := range req {
		v := validation{of: "UpdateDocumentListRequest"}
		v.field("UUID", rule{"required", !u.UUID.isNil()})
		update := documentUpdate(u.UpdateDocumentRequest)
		if err := update.validate(&v, "UpdateDocumentRequest.DocumentID"); err != nil {
			return answer{}, err
		}
		keys[i], updates[i] = u.UUID, update
	}
	return s.update(r, keys, updates)
}

// update changes documents, all that are there or none. As in Zep, a field that one of the updates
// has is changed in all of the documents, and emptied where the update does not have it.
func (s *Server) update(
	r *http.Request, keys []uuid, updates []documentUpdate,
) (answer, error) {
	const failed = "failed to Update documents: "
	if len(updates) == 0 {
		return okAnswer, nil
	}
	var ids, metadata bool
	for _, u := range updates {
		ids = ids || u.DocumentID != ""
		metadata = metadata || len(u.Metadata) > 0
	}
	if !ids && !metadata {
		return answer{}, errors.New(failed + "no fields to update")
	}

	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	c, err := s.collection(r)
	if err != nil {
		return answer{}, fmt.Errorf(failed+"failed to get collection: %w", err)
	}
	changed := map[*document]documentUpdate{}
	var order []*document
	for i, key := range keys {
		d := c.documents[key]
		if _, twice := changed[d]; d != nil && !d.deleted && !twice {
			changed[d] = updates[i]
			order = append(order, d)
		}
	}
	if len(changed) == 0 {
		return answer{}, fmt.Errorf(failed+"%w", errNoDocuments)
	}
	if ids {
		byDocumentID, ok := c.renamed(order, changed)
		if !ok {
			return answer{}, fmt.Errorf(failed+"failed to update documents: "+
				"ERROR: duplicate key value violates unique constraint "+
				`"docstore_%s_%d_document_id_key" (SQLSTATE=23505)`, c.Name, c.EmbeddingDimensions)
		}
		c.byDocumentID = byDocumentID
	}
	for _, d := range order {
		if ids {
			d.DocumentID = changed[d].DocumentID
		}
		if metadata {
			d.Metadata = asStored(changed[d].Metadata)
		}
		d.place = s.store.place()
	}
	return okAnswer, nil
}

// renamed returns the documents by their ids after a change of ids, done one after the other. It
// is not ok if one of them is taken, if only by a document that would have got another id later.
func (c *collection) renamed(
	order []*document, changed map[*document]documentUpdate,
) (map[string]*document, bool) {
	renamed := make(map[string]*document, len(c.byDocumentID))
	for id, d := range c.byDocumentID {
		renamed[id] = d
	}
	for _, d := range order {
		delete(renamed, d.DocumentID)
		id := changed[d].DocumentID
		if renamed[id] != nil {
			return nil, false
		}
		if id != "" {
			renamed[id] = d
		}
	}
	return renamed, true
}

func (s *Server) deleteDocument(r *http.Request) (answer, error) {
	key, err := documentUUID(r)
	if err != nil {
		return answer{}, err
	}
	return s.delete(r, []uuid{key})
}

func (s *Server) deleteDocuments(r *http.Request) (answer, error) {
	var keys []uuid
	if err := decodeJSON(r, &keys); err != nil {
		return answer{}, err
	}
	return s.delete(r, keys)
}

// delete soft-deletes documents. Those that were deleted before count as found.
func (s *Server) delete(r *http.Request, keys []uuid) (answer, error) {
	const failed = "failed to delete document: "
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	c, err := s.collection(r)
	if err != nil {
		return answer{}, fmt.Errorf(failed+"failed to get collection: %w", err)
	}
	found := false
	for _, key := range keys {
		if d := c.documents[key]; d != nil {
			d.deleted, found = true, true
		}
	}
	if !found {
		return answer{}, fmt.Errorf(failed+"%w", errNoDocuments)
	}
	return okAnswer, nil
}

package zeptest

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (s *Server) collectionRoutes() []route {
	return []route{
		{http.MethodGet, "/collection", s.listCollections},
		{http.MethodPost, "/collection/{collectionName}", s.addCollection},
		{http.MethodGet, "/collection/{collectionName}", s.getCollection},
		{http.MethodPatch, "/collection/{collectionName}", s.updateCollection},
		{http.MethodDelete, "/collection/{collectionName}", s.deleteCollection},
		{http.MethodPost, "/collection/{collectionName}/search", s.searchCollection},
		{http.MethodPost, "/collection/{collectionName}/index/create", s.createIndex},
	}
}

type collection struct {
	UUID                uuid           `json:"uuid"`
	CreatedAt           time.Time      `json:"created_at"`
	UpdatedAt           time.Time      `json:"updated_at"`
	Name                string         `json:"name"`
	Description         string         `json:"description"`
	Metadata            map[string]any `json:"metadata,omitempty"`
	EmbeddingDimensions int            `json:"embedding_dimensions"`
	IsAutoEmbedded      bool           `json:"is_auto_embedded"`
	// IsNormalized is never true, and IsIndexed always: the index is made with the collection.
	IsNormalized          bool `json:"is_normalized"`
	IsIndexed             bool `json:"is_indexed"`
	DocumentCount         int  `json:"document_count"`
	DocumentEmbeddedCount int  `json:"document_embedded_count"`

	place        int64
	documents    map[uuid]*document
	byDocumentID map[string]*document
}

// place returns where the next row goes that is written. PostgreSQL does not change a row in its
// place: it writes a new one behind all others, and unsorted results come in that order. The
// caller holds the lock.
func (s *store) place() int64 {
	s.writes++
	return s.writes
}

// collection finds the collection on the path, whose name may be in upper case. The caller holds
// the lock.
func (s *Server) collection(r *http.Request) (*collection, error) {
	name := collectionName(r)
	found, exists := s.store.collections[name]
	if !exists {
		return nil, &statusError{http.StatusNotFound,
			fmt.Sprintf("collection: %s not found", name)}
	}
	return found, nil
}

func collectionName(r *http.Request) string {
	return strings.ToLower(r.PathValue("collectionName"))
}

// counted returns the collection with its counts, in which deleted documents are.
func (c *collection) counted() *collection {
	counted := *c
	counted.DocumentCount = len(c.documents)
	for _, d := range c.documents {
		if d.IsEmbedded {
			counted.DocumentEmbeddedCount++
		}
	}
	return &counted
}

func (s *Server) listCollections(*http.Request) (answer, error) {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	listed := []*collection{}
	for _, c := range s.store.collections {
		listed = append(listed, c.counted())
	}
	slices.SortFunc(listed, func(a, b *collection) int {
		return cmp.Compare(a.place, b.place)
	})
	return jsonAnswer(listed)
}

// addCollection adds a collection with the name in the body. The one on the path does not matter.
func (s *Server) addCollection(r *http.Request) (answer, error) {
	type CreateDocumentCollectionRequest struct {
		Name                string         `json:"name"`
		Description         string         `json:"description"`
		Metadata            map[string]any `json:"metadata"`
		EmbeddingDimensions int            `json:"embedding_dimensions"`
		IsAutoEmbedded      *bool          `json:"is_auto_embedded"`
	}
	var req CreateDocumentCollectionRequest
	if err := decodeJSON(r, &req); err != nil {
		return answer{}, err
	}
	v := validation{of: "CreateDocumentCollectionRequest"}
	v.field("Name", rule{"required", req.Name != ""}, alphanum(req.Name), minLength(req.Name, 3),
		maxLength(req.Name, 40))
	v.field("Description", maxLength(req.Description, 1000))
	dimensions := req.EmbeddingDimensions
	v.field("EmbeddingDimensions", rule{"required", dimensions != 0},
		rule{"min", dimensions >= 8}, rule{"max", dimensions <= 2000})
	v.field("IsAutoEmbedded", rule{"required", req.IsAutoEmbedded != nil})
	if err := v.err(); err != nil {
		return answer{}, err
	}
	name := strings.ToLower(req.Name)

	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if _, exists := s.store.collections[name]; exists {
		return answer{}, fmt.Errorf("failed to %s collection: %w",
			s.version.create(), badRequest("collection already exists: "+name))
	}
	now := s.store.now()
	s.store.collections[name] = &collection{
		UUID:                uuid(newUUID()),
		CreatedAt:           now,
		UpdatedAt:           now,
		Name:                name,
		Description:         dropNUL(req.Description),
		Metadata:            asStored(req.Metadata),
		EmbeddingDimensions: dimensions,
		IsAutoEmbedded:      *req.IsAutoEmbedded,
		IsIndexed:           true,
		place:               s.store.place(),
		documents:           map[uuid]*document{},
		byDocumentID:        map[string]*document{},
	}
	return okAnswer, nil
}

func (s *Server) getCollection(r *http.Request) (answer, error) {
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	c, err := s.collection(r)
	if err != nil {
		return answer{}, fmt.Errorf("failed to get collection: %w", err)
	}
	return jsonAnswer(c.counted())
}

// updateCollection replaces the metadata, which is not merged here. An empty description counts as
// one that was not sent.
func (s *Server) updateCollection(r *http.Request) (answer, error) {
	type UpdateDocumentCollectionRequest struct {
		Description string         `json:"description"`
		Metadata    map[string]any `json:"metadata"`
	}
	var req UpdateDocumentCollectionRequest
	if err := decodeJSON(r, &req); err != nil {
		return answer{}, err
	}
	v := validation{of: "UpdateDocumentCollectionRequest"}
	v.field("Description", maxLength(req.Description, 1000))
	if err := v.err(); err != nil {
		return answer{}, err
	}

	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	c, err := s.collection(r)
	if err != nil {
		return answer{}, fmt.Errorf("failed to update collection: %w", err)
	}
	if req.Description != "" {
		c.Description = dropNUL(req.Description)
	}
	if req.Metadata != nil {
		c.Metadata = asStored(req.Metadata)
	}
	c.UpdatedAt = s.store.now()
	c.place = s.store.place()
	return okAnswer, nil
}

func (s *Server) deleteCollection(r *http.Request) (answer, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	c, err := s.collection(r)
	if err != nil {
		return answer{}, fmt.Errorf("failed to Delete collection: failed to get collection: %w",
			err)
	}
	delete(s.store.collections, c.Name)
	return okAnswer, nil
}

// createIndex does nothing, as a server does whose indices need no training.
func (s *Server) createIndex(r *http.Request) (answer, error) {
	if force := r.URL.Query().Get("force"); force != "" {
		if _, err := strconv.ParseBool(force); err != nil {
			return answer{}, &statusError{http.StatusBadRequest, err.Error()}
		}
	}
	s.store.mu.RLock()
	defer s.store.mu.RUnlock()
	if _, err := s.collection(r); err != nil {
		// Here, Zep's status is 500, not 404.
		return answer{}, errors.New("failed to get collection: " + err.Error())
	}
	return okAnswer, nil
}

package main

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/zep-go/zep"
)

// difference is a record that a server does not have as an export has it: a line of what verify
// prints, and of the conflicts of an import.
type difference struct {
	Kind       string            `json:"kind"`
	ID         string            `json:"id"`
	In         string            `json:"in,omitempty"` // the session or the collection
	Difference string            `json:"difference"`
	Fields     map[string]change `json:"fields,omitempty"` // of a changed record
	Reason     string            `json:"reason,omitempty"`
}

// The differences.
const (
	isMissing = "missing" // the server does not have the record
	isExtra   = "extra"   // the export does not have it
	isChanged = "changed" // both have it, with other content
	isMoved   = "order"   // a session has its messages in another order
	isRefused = "refused" // the record cannot be stored or read: Reason says why
)

// change is a field that differs.
type change struct {
	Export any `json:"export"`
	Server any `json:"server"`
}

// field is a field of two records that are compared.
type field struct {
	name           string
	export, server any
}

// changes returns the fields that differ, nil if none do.
func changes(fields ...field) map[string]change {
	var changed map[string]change
	for _, f := range fields {
		if reflect.DeepEqual(f.export, f.server) {
			continue
		}
		if changed == nil {
			changed = map[string]change{}
		}
		changed[f.name] = change{f.export, f.server}
	}
	return changed
}

// content returns metadata for a comparison: there is no difference between none and an empty one.
func content(m zep.Metadata) zep.Metadata {
	if len(m) == 0 {
		return nil
	}
	return m
}

// options are how an import changes records: what it stores is compared with that.
type options struct {
	timeKey string // of the metadata of messages, for their times; "" for none
	carry   bool   // the embeddings of collections that their server embeds
}

func compareUsers(export, server *zep.User) map[string]change {
	return changes(
		field{"email", export.Email, server.Email},
		field{"first_name", export.FirstName, server.FirstName},
		field{"last_name", export.LastName, server.LastName},
		field{"metadata", content(export.Metadata), content(server.Metadata)},
	)
}

func compareSessions(export, server *zep.Session) map[string]change {
	return changes(
		field{"user_id", export.UserID, server.UserID},
		field{"metadata", content(export.Metadata), content(server.Metadata)},
	)
}

// compareMessages compares a message that imported returned with one of a server.
func compareMessages(export, server *zep.Message) map[string]change {
	return changes(
		field{"role", export.Role, server.Role},
		field{"content", export.Content, server.Content},
		field{"metadata", withoutSystem(export.Metadata), withoutSystem(server.Metadata)},
	)
}

// withoutSystem returns metadata without what the server itself finds in a message some time after
// it was added.
func withoutSystem(m zep.Metadata) zep.Metadata {
	if _, ok := m["system"]; ok {
		m = maps.Clone(m)
		delete(m, "system")
	}
	return content(m)
}

// message returns a message as an import stores it. A time that is there stays: it is that of the
// server before the last one.
func (o options) message(m *zep.Message) *zep.Message {
	if _, has := m.Metadata[o.timeKey]; has || o.timeKey == "" {
		return m
	}
	stored := *m
	stored.Metadata = maps.Clone(m.Metadata)
	if stored.Metadata == nil {
		stored.Metadata = zep.Metadata{}
	}
	stored.Metadata[o.timeKey] = m.CreatedAt.Format(time.RFC3339Nano)
	return &stored
}

func compareCollections(export, server *zep.Collection) map[string]change {
	return changes(
		field{"description", export.Description, server.Description},
		field{"metadata", content(export.Metadata), content(server.Metadata)},
		field{"embedding_dimensions", export.EmbeddingDimensions, server.EmbeddingDimensions},
		field{"is_auto_embedded", export.IsAutoEmbedded, server.IsAutoEmbedded},
	)
}

// collection returns a collection as an import stores it. A server takes embeddings only for a
// collection that it does not embed itself.
func (o options) collection(c *zep.Collection) *zep.Collection {
	stored := *c
	stored.Name = strings.ToLower(c.Name)
	stored.IsAutoEmbedded = c.IsAutoEmbedded && !o.carry
	return &stored
}

// compareDocuments compares documents, with their embeddings if they do not come from the server.
func compareDocuments(export, server *zep.Document, embeddings bool) map[string]change {
	fields := []field{
		{"content", export.Content, server.Content},
		{"metadata", content(export.Metadata), content(server.Metadata)},
	}
	if embeddings && !slices.Equal(export.Embedding, server.Embedding) {
		fields = append(fields, field{"embedding", export.Embedding, server.Embedding})
	}
	return changes(fields...)
}

// documentID returns the document_id with which an import stores a document. One that has none gets
// its UUID: without an id, a repeated import would add it again.
func documentID(d *zep.Document) string {
	if d.DocumentID == "" {
		return d.UUID
	}
	return d.DocumentID
}

package zep_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

var collectionConformance = []conformanceTest{
	{"add reads back what is there, its name in lower case", func(t *testing.T, c *testClient) {
		collection := c.addCollectionAs(t, zep.CreateCollectionRequest{
			Name:                c.collection("DOCS"),
			Description:         "d",
			Metadata:            zep.Metadata{"a": 1},
			EmbeddingDimensions: 8,
		})
		assert.NotEmpty(t, collection.UUID)
		assert.Equal(t, c.collection("docs"), collection.Name)
		assert.Equal(t, "d", collection.Description)
		assert.Equal(t, zep.Metadata{"a": 1.0}, collection.Metadata)
		assert.Equal(t, 8, collection.EmbeddingDimensions)
		assert.False(t, collection.IsAutoEmbedded)
		assert.Zero(t, collection.DocumentCount)
		for _, name := range []string{"docs", "DOCS", "Docs"} {
			got, err := c.Collection.Get(c.ctx, c.collection(name))
			require.NoError(t, err)
			assert.Equal(t, collection, got)
		}
	}},
	{"add one whose name is taken", func(t *testing.T, c *testClient) {
		c.addCollection(t, "twice")
		_, err := c.Collection.Add(c.ctx, &zep.CreateCollectionRequest{
			Name:                c.collection("TWICE"),
			EmbeddingDimensions: 8,
		})
		require.ErrorIs(t, err, zep.ErrAlreadyExists)
	}},
	{"add what the server would not take", func(t *testing.T, c *testClient) {
		for _, req := range []zep.CreateCollectionRequest{
			{Name: "ab", EmbeddingDimensions: 8},
			{Name: "a-b", EmbeddingDimensions: 8},
			{Name: c.collection("x"), EmbeddingDimensions: 7},
			{Name: c.collection("x"), EmbeddingDimensions: 2001},
			{Name: strings.Repeat("x", 41), EmbeddingDimensions: 8},
		} {
			_, err := c.Collection.Add(c.ctx, &req)
			require.ErrorIs(t, err, zep.ErrBadRequest, "%+v", req)
		}
	}},
	{"get one that is not there", func(t *testing.T, c *testClient) {
		_, err := c.Collection.Get(c.ctx, c.collection("none"))
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"list", func(t *testing.T, c *testClient) {
		a, b := c.addCollection(t, "a"), c.addCollection(t, "b")
		collections, err := c.Collection.List(c.ctx)
		require.NoError(t, err)
		var mine []*zep.Collection
		for _, collection := range collections {
			if strings.HasPrefix(collection.Name, c.collection("")) {
				mine = append(mine, collection)
			}
		}
		assert.ElementsMatch(t, []*zep.Collection{a, b}, mine)
	}},
	{"update replaces the metadata", func(t *testing.T, c *testClient) {
		c.addCollectionAs(t, zep.CreateCollectionRequest{
			Name:                c.collection("upd"),
			Description:         "d",
			Metadata:            zep.Metadata{"a": 1},
			EmbeddingDimensions: 8,
		})
		updated, err := c.Collection.Update(c.ctx, &zep.UpdateCollectionRequest{
			Name:        c.collection("upd"),
			Description: "d2",
			Metadata:    zep.Metadata{"b": 2},
		})
		require.NoError(t, err)
		assert.Equal(t, "d2", updated.Description)
		assert.Equal(t, zep.Metadata{"b": 2.0}, updated.Metadata)
	}},
	{"update one that is not there", func(t *testing.T, c *testClient) {
		_, err := c.Collection.Update(c.ctx, &zep.UpdateCollectionRequest{
			Name:        c.collection("none"),
			Description: "d2",
		})
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"delete, and what is left", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "gone")
		c.addDocuments(t, collection.Name, &zep.CreateDocumentRequest{Content: "v"})
		require.NoError(t, c.Collection.Delete(c.ctx, collection.Name))
		require.ErrorIs(t, c.Collection.Delete(c.ctx, collection.Name), zep.ErrNotFound)
		again := c.addCollection(t, "gone")
		assert.NotEqual(t, collection.UUID, again.UUID)
		assert.Zero(t, again.DocumentCount)
	}},
	{"index", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "index")
		c.addDocuments(t, collection.Name,
			&zep.CreateDocumentRequest{Content: "v"},
			&zep.CreateDocumentRequest{Content: "w"})
		for _, force := range []bool{false, true} {
			require.NoError(t, c.Collection.CreateIndex(c.ctx, collection.Name, force))
		}
	}},
	{"search by embedding, best first", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "vec")
		c.addDocuments(t, collection.Name,
			&zep.CreateDocumentRequest{Content: "v"},
			&zep.CreateDocumentRequest{Content: "w"})
		results, err := c.Collection.Search(c.ctx, collection.Name, &zep.SearchDocumentsRequest{
			Embedding: axis(1),
			Limit:     1,
		})
		require.NoError(t, err)
		assert.Equal(t, axis(1), results.QueryVector)
		assert.Equal(t, 1, results.ResultCount)
		require.Len(t, results.Results, 1)
		assert.Equal(t, "w", results.Results[0].Content)
		assert.InDelta(t, 1, results.Results[0].Score, 1e-6)
	}},
	{"search by metadata", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "meta")
		c.addDocuments(t, collection.Name,
			&zep.CreateDocumentRequest{Content: "v", Metadata: zep.Metadata{"z": 8}},
			&zep.CreateDocumentRequest{Content: "w", Metadata: zep.Metadata{"z": 9}})
		results, err := c.Collection.Search(c.ctx, collection.Name, &zep.SearchDocumentsRequest{
			Embedding: axis(0),
			Metadata:  zep.SearchFilter{Where: zep.JSONPath(`$[*] ? (@.z == 9)`)}.Metadata(),
		})
		require.NoError(t, err)
		require.Len(t, results.Results, 1)
		assert.Equal(t, "w", results.Results[0].Content)
	}},
	{"search by MMR", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "mmr")
		c.addDocuments(t, collection.Name,
			&zep.CreateDocumentRequest{Content: "v"},
			&zep.CreateDocumentRequest{Content: "w"})
		results, err := c.Collection.Search(c.ctx, collection.Name, &zep.SearchDocumentsRequest{
			Embedding: []float32{3, 4, 0, 0, 0, 0, 0, 0},
			Type:      zep.SearchTypeMMR,
			MMRLambda: 0.4,
			Limit:     2,
		})
		require.NoError(t, err)
		require.Len(t, results.Results, 2)
		assert.Equal(t, "w", results.Results[0].Content)
	}},
	// The server embeds these itself, with the 384 dimensions of the model that Zep comes with.
	{"search by text", func(t *testing.T, c *testClient) {
		collection := c.addCollectionAs(t, zep.CreateCollectionRequest{
			Name:                c.collection("text"),
			EmbeddingDimensions: 384,
			IsAutoEmbedded:      true,
		})
		_, err := c.Document.Add(c.ctx, collection.Name, []*zep.CreateDocumentRequest{
			{Content: "the quick brown fox"}, {Content: "lazy dogs sleep"},
		})
		require.NoError(t, err)
		soon(t, func() bool { // a search finds any document that is not embedded yet
			counted, err := c.Collection.Get(c.ctx, collection.Name)
			return err == nil && counted.DocumentEmbeddedCount == 2
		}, "the embeddings of both documents")
		results, err := c.Collection.Search(c.ctx, collection.Name,
			&zep.SearchDocumentsRequest{Text: "quick fox", Limit: 1})
		require.NoError(t, err)
		require.Len(t, results.Results, 1)
		assert.Equal(t, "the quick brown fox", results.Results[0].Content)
	}},
	{"search one that is not there", func(t *testing.T, c *testClient) {
		_, err := c.Collection.Search(c.ctx, c.collection("none"),
			&zep.SearchDocumentsRequest{Text: "x"})
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
}

var documentConformance = []conformanceTest{
	{"add returns the UUIDs in order", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "docs")
		uuids := c.addDocuments(t, collection.Name,
			&zep.CreateDocumentRequest{Content: "a", DocumentID: "d1"},
			&zep.CreateDocumentRequest{Content: "b", DocumentID: "d2"},
			&zep.CreateDocumentRequest{Content: "c"})
		for i, want := range []string{"a", "b", "c"} {
			document, err := c.Document.Get(c.ctx, collection.Name, uuids[i])
			require.NoError(t, err)
			assert.Equal(t, uuids[i], document.UUID)
			assert.Equal(t, want, document.Content)
			assert.Equal(t, axis(i), document.Embedding)
			assert.True(t, document.IsEmbedded)
		}
		counted, err := c.Collection.Get(c.ctx, collection.Name)
		require.NoError(t, err)
		assert.Equal(t, 3, counted.DocumentCount)
	}},
	{"add of none", func(t *testing.T, c *testClient) {
		uuids, err := c.Document.Add(c.ctx, c.addCollection(t, "docs").Name, nil)
		require.NoError(t, err)
		assert.Empty(t, uuids)
	}},
	{"add with a document_id that is taken", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "docs")
		c.addDocuments(t, collection.Name, &zep.CreateDocumentRequest{
			Content:    "a",
			DocumentID: "d1",
		})
		_, err := c.Document.Add(c.ctx, collection.Name, []*zep.CreateDocumentRequest{
			{Content: "b", Embedding: axis(0)},
			{Content: "again", DocumentID: "d1", Embedding: axis(1)},
		})
		require.ErrorIs(t, err, zep.ErrAlreadyExists)
		counted, err := c.Collection.Get(c.ctx, collection.Name)
		require.NoError(t, err)
		assert.Equal(t, 1, counted.DocumentCount)
	}},
	{"add with other dimensions than the collection's", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "docs")
		_, err := c.Document.Add(c.ctx, collection.Name, []*zep.CreateDocumentRequest{
			{Content: "v", Embedding: []float32{1, 0}},
		})
		require.ErrorIs(t, err, zep.ErrServer)
		assert.ErrorContains(t, err, "expected 8 dimensions, not 2")
	}},
	{"add to a collection that is not there", func(t *testing.T, c *testClient) {
		_, err := c.Document.Add(c.ctx, c.collection("none"),
			[]*zep.CreateDocumentRequest{{Content: "x"}})
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"get one that is not there, or with a malformed UUID", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "docs")
		_, err := c.Document.Get(c.ctx, collection.Name, unknownUUID)
		require.ErrorIs(t, err, zep.ErrNotFound)
		_, err = c.Document.Get(c.ctx, collection.Name, "xyz")
		require.ErrorIs(t, err, zep.ErrBadRequest)
	}},
	{"get many, by UUID and by id; none of none", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "docs")
		uuids := c.addDocuments(t, collection.Name,
			&zep.CreateDocumentRequest{Content: "a", DocumentID: "d1"},
			&zep.CreateDocumentRequest{Content: "b", DocumentID: "d2"},
			&zep.CreateDocumentRequest{Content: "c", DocumentID: "d3"})
		for name, get := range map[string]func() ([]*zep.Document, error){
			"UUIDs": func() ([]*zep.Document, error) {
				return c.Document.GetByUUIDs(c.ctx, collection.Name, uuids[:2])
			},
			"ids": func() ([]*zep.Document, error) {
				return c.Document.GetByIDs(c.ctx, collection.Name, []string{"d1", "d2", "d9"})
			},
		} {
			documents, err := get()
			require.NoError(t, err, name)
			var texts []string
			for _, d := range documents {
				texts = append(texts, d.Content)
			}
			assert.ElementsMatch(t, []string{"a", "b"}, texts, name)
		}
		documents, err := c.Document.GetByUUIDs(c.ctx, collection.Name, nil)
		require.NoError(t, err)
		assert.Empty(t, documents)
		documents, err = c.Document.GetByIDs(c.ctx, collection.Name, nil)
		require.NoError(t, err)
		assert.Empty(t, documents)
	}},
	{"walk all", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "docs")
		all := c.Document.All(c.ctx, collection.Name)
		documents, err := zep.Collect(all)
		require.NoError(t, err)
		assert.Empty(t, documents)
		uuids := c.addDocuments(t, collection.Name,
			&zep.CreateDocumentRequest{Content: "a", DocumentID: "d1", Metadata: zep.Metadata{"k": 1}},
			&zep.CreateDocumentRequest{Content: "b"},
			&zep.CreateDocumentRequest{Content: "c"})
		require.NoError(t, c.Document.Delete(c.ctx, collection.Name, uuids[2]))
		want, err := c.Document.GetByUUIDs(c.ctx, collection.Name, uuids)
		require.NoError(t, err)
		documents, err = zep.Collect(all)
		require.NoError(t, err)
		require.Len(t, documents, 2)
		assert.ElementsMatch(t, want, documents)
		_, err = zep.Collect(c.Document.All(c.ctx, c.collection("none")))
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"update replaces the metadata", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "docs")
		uuids := c.addDocuments(t, collection.Name, &zep.CreateDocumentRequest{
			Content:    "a",
			DocumentID: "d1",
			Metadata:   zep.Metadata{"k": 1},
		})
		require.NoError(t, c.Document.Update(c.ctx, collection.Name, &zep.UpdateDocumentRequest{
			UUID:       uuids[0],
			DocumentID: "d1b",
			Metadata:   zep.Metadata{"z": 9},
		}))
		document, err := c.Document.Get(c.ctx, collection.Name, uuids[0])
		require.NoError(t, err)
		assert.Equal(t, "d1b", document.DocumentID)
		assert.Equal(t, zep.Metadata{"z": 9.0}, document.Metadata)
		assert.Equal(t, "a", document.Content)
	}},
	{"update many", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "docs")
		uuids := c.addDocuments(t, collection.Name,
			&zep.CreateDocumentRequest{Content: "a"},
			&zep.CreateDocumentRequest{Content: "b"})
		updates := []*zep.UpdateDocumentRequest{
			{UUID: uuids[1], DocumentID: "d2", Metadata: zep.Metadata{"y": 1}},
			{UUID: uuids[0], DocumentID: "d1", Metadata: zep.Metadata{"y": 0}},
		}
		require.NoError(t, c.Document.UpdateAll(c.ctx, collection.Name, updates))
		for i, uuid := range uuids {
			document, err := c.Document.Get(c.ctx, collection.Name, uuid)
			require.NoError(t, err)
			assert.Equal(t, fmt.Sprint("d", i+1), document.DocumentID)
			assert.Equal(t, zep.Metadata{"y": float64(i)}, document.Metadata)
		}
	}},
	{"update one that is not there", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "docs")
		err := c.Document.Update(c.ctx, collection.Name, &zep.UpdateDocumentRequest{
			UUID:     unknownUUID,
			Metadata: zep.Metadata{"z": 9},
		})
		require.ErrorIs(t, err, zep.ErrNotFound)
	}},
	{"delete, again, and many", func(t *testing.T, c *testClient) {
		collection := c.addCollection(t, "docs")
		uuids := c.addDocuments(t, collection.Name,
			&zep.CreateDocumentRequest{Content: "a"},
			&zep.CreateDocumentRequest{Content: "b"},
			&zep.CreateDocumentRequest{Content: "c"})
		for range 2 {
			require.NoError(t, c.Document.Delete(c.ctx, collection.Name, uuids[0]))
		}
		_, err := c.Document.Get(c.ctx, collection.Name, uuids[0])
		require.ErrorIs(t, err, zep.ErrNotFound)
		require.NoError(t, c.Document.DeleteAll(c.ctx, collection.Name, uuids[:2]))
		require.NoError(t, c.Document.DeleteAll(c.ctx, collection.Name, nil))
		left, err := c.Document.GetByUUIDs(c.ctx, collection.Name, uuids)
		require.NoError(t, err)
		require.Len(t, left, 1)
		assert.Equal(t, "c", left[0].Content)
	}},
}

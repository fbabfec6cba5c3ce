package zep_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// chaosDocumentCall is one add of documents, with its result.
type chaosDocumentCall struct {
	*chaosCall
	chaosVerdict chaosVerdict
	documents    []*zep.CreateDocumentRequest
	uuids        []string
}

// TestChaosDocuments checks that the returned UUIDs are the stored ones, and that nothing is
// stored twice, with DocumentIDs and without.
func TestChaosDocuments(t *testing.T) { chaosEachSeed(t, chaosDocuments(chaosHTTP1, 800)) }

// chaosDocuments returns TestChaosDocuments in a network, with its usual number of writes.
func chaosDocuments(network chaosNetwork, usual int) func(*testing.T, uint64) {
	return func(t *testing.T, seed uint64) {
		c := newChaosRun(t, seed, network, chaosUnwrapped)
		_, err := c.direct.Collection.Add(context.Background(),
			&zep.CreateCollectionRequest{
				Name:                "chaos",
				EmbeddingDimensions: 8,
				IsAutoEmbedded:      true,
			})
		require.NoError(t, err)
		adds := make([][]chaosDocumentCall, chaosWriters)
		each := (chaosWrites(usual) + chaosWriters - 1) / chaosWriters
		c.each(func(g int) {
			w := &chaosWriter{chaosWorld: &chaosWorld{chaosRun: c}, Rand: c.random(g), g: g}
			for i := range each {
				adds[g] = append(adds[g], w.addDocuments(i))
			}
		})

		stored := map[string]*zep.Document{} // by content
		total := 0
		for _, d := range chaosEveryDocument(t, c.server) {
			if stored[d.Content] != nil {
				c.violation(chaosDuplicated, "\t%.60q is stored twice", d.Content)
			}
			stored[d.Content] = d
			total++
		}
		for _, add := range slices.Concat(adds...) {
			add.compare(stored)
		}
		for content := range stored {
			c.violation(chaosWrong, "\twas never sent: %.60q", content)
		}
		t.Logf("seed %d: %d documents", seed, total)
		c.report()
	}
}

// TestChaosDocumentAll checks that a walk of all documents yields each once, though some of its
// responses break, and that one that fails has yielded none twice.
func TestChaosDocumentAll(t *testing.T) { chaosEachSeed(t, chaosDocumentAll(chaosHTTP1, 160)) }

// chaosDocumentAll returns TestChaosDocumentAll in a network, with its usual number of walks.
func chaosDocumentAll(network chaosNetwork, usual int) func(*testing.T, uint64) {
	return func(t *testing.T, seed uint64) {
		const documents = 80
		c := newChaosRun(t, seed, network, chaosUnwrapped)
		ctx := context.Background()
		_, err := c.direct.Collection.Add(ctx, &zep.CreateCollectionRequest{
			Name:                "chaos",
			EmbeddingDimensions: 8,
			IsAutoEmbedded:      true,
		})
		require.NoError(t, err)
		random := c.random(chaosWriters)
		var added []*zep.CreateDocumentRequest
		for i := range documents {
			content := fmt.Sprintf("%d %s", i, strings.Repeat("x", random.IntN(1000)))
			added = append(added, &zep.CreateDocumentRequest{Content: content})
		}
		uuids, err := c.direct.Document.Add(ctx, "chaos", added)
		require.NoError(t, err)
		contents := map[string]string{}
		for i, uuid := range uuids {
			contents[uuid] = added[i].Content
		}
		each := (chaosWrites(usual) + chaosWriters - 1) / chaosWriters
		c.each(func(g int) {
			w := &chaosWriter{chaosWorld: &chaosWorld{chaosRun: c}, Rand: c.random(g), g: g}
			for range each {
				w.walkDocuments(contents)
			}
		})
		c.report()
	}
}

// walkDocuments walks all documents, whose contents are given by their UUIDs.
func (w *chaosWriter) walkDocuments(contents map[string]string) {
	call := w.private(w.newCall(false, "walk all documents"))
	call.streamed = true
	seen := map[string]bool{}
	verdict := call.do(w.chaosRun, func(ctx context.Context, opts ...zep.RequestOption) error {
		for d, err := range w.client.Document.All(ctx, "chaos", opts...) {
			if err != nil {
				return err
			}
			if content, ok := contents[d.UUID]; !ok || content != d.Content {
				call.violation(chaosWrong, "document %s is not one of the server's", d.UUID)
			}
			if seen[d.UUID] {
				call.violation(chaosDuplicated, "document %s was yielded twice", d.UUID)
			}
			seen[d.UUID] = true
		}
		return nil
	})
	switch {
	case verdict == acknowledged && len(seen) != len(contents):
		call.violation(chaosLost, "%d of %d documents were yielded", len(seen), len(contents))
	case verdict == exists, verdict == missing:
		call.violation(chaosWrong, "refused by the server")
	}
}

// chaosEveryDocument asks the server for all documents at once, without the client.
func chaosEveryDocument(t *testing.T, server *zeptest.Server) (documents []*zep.Document) {
	req := httptest.NewRequest(http.MethodPost, "/api/v1/collection/chaos/document/list/get",
		strings.NewReader("{}"))
	answer := httptest.NewRecorder()
	server.ServeHTTP(answer, req)
	require.Equal(t, http.StatusOK, answer.Code, answer.Body)
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &documents))
	return documents
}

// addDocuments uploads a few documents, sometimes large ones, sometimes enough for three
// batches.
func (w *chaosWriter) addDocuments(i int) chaosDocumentCall {
	n, size := 1+w.IntN(4), w.IntN(100)
	switch {
	case i == w.g && i%8 == 0:
		n = 1001 + w.IntN(100)
	case w.IntN(10) == 0:
		size = 1000 * (1 + w.IntN(30))
	}
	withIDs := w.IntN(2) == 0
	add := chaosDocumentCall{
		chaosCall: w.private(w.newCall(true, "add %d documents, with ids: %t", n, withIDs)),
	}
	add.nonIdempotent, add.batched, add.noRetry = true, true, !withIDs
	if n > 1000 {
		add.timeout = 0 // the upload takes longer
	}
	padding := strings.Repeat("x", size)
	for i := range n {
		d := &zep.CreateDocumentRequest{
			Content:  fmt.Sprintf("%s, document %d %s", add.Label, i, padding),
			Metadata: zep.Metadata{"i": i},
		}
		if withIDs {
			d.DocumentID = fmt.Sprintf("%s/%d", add.Label, i)
		}
		add.documents = append(add.documents, d)
	}
	add.chaosVerdict = add.do(w.chaosRun,
		func(ctx context.Context, opts ...zep.RequestOption) (err error) {
			add.uuids, err = w.client.Document.Add(ctx, "chaos", add.documents, opts...)
			return err
		})
	switch {
	case add.chaosVerdict == exists, add.chaosVerdict == missing:
		add.violation(chaosWrong, "refused by the server")
	case add.chaosVerdict == acknowledged && len(add.uuids) != n:
		add.violation(chaosLost, "%d UUIDs for %d documents", len(add.uuids), n)
	case add.chaosVerdict != acknowledged && (len(add.uuids)%500 != 0 || len(add.uuids) >= n):
		add.violation(chaosWrong, "%d UUIDs for the batches before the failed one",
			len(add.uuids))
	}
	return add
}

// compare checks the stored documents of the add, and removes them from stored.
func (add chaosDocumentCall) compare(stored map[string]*zep.Document) {
	const batch = 500
	there := 0 // in the batch that failed
	for i, d := range add.documents {
		got := stored[d.Content]
		delete(stored, d.Content)
		switch {
		case i < len(add.uuids) && got == nil:
			add.violation(chaosLost, "document %d is missing", i)
		case i < len(add.uuids) && (got.UUID != add.uuids[i] || got.DocumentID != d.DocumentID):
			add.violation(chaosWrong, "document %d (%q) is stored as %s (%q), not as %s", i,
				d.DocumentID, got.UUID, got.DocumentID, add.uuids[i])
		case i >= len(add.uuids) && got != nil &&
			(add.chaosVerdict == notDone || i >= len(add.uuids)+batch):
			add.violation(chaosWrong, "document %d must not be stored", i)
		case i >= len(add.uuids) && got != nil:
			there++
		}
	}
	if failed := min(batch, len(add.documents)-len(add.uuids)); there != 0 && there != failed {
		add.violation(chaosWrong, "%d of the %d documents of the failed batch are stored",
			there, failed)
	}
}

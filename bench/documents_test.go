package bench

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/zep-go/zep"
)

// BenchmarkAllDocuments walks a collection of 200,000 documents with embeddings of 384 numbers, which
// the server renders on demand: zep with Document.All, and net/http with a json.Decoder that takes
// the documents one by one. live-MiB and heap-MiB are those of BenchmarkMemory.
func BenchmarkAllDocuments(b *testing.B) {
	const documents = 200_000
	server := httptest.NewServer(newDocumentStream(documents))
	b.Cleanup(server.Close)
	for _, name := range choose("floor", "zep") {
		b.Run("peer="+name, func(b *testing.B) {
			heap := watchHeap()
			for b.Loop() {
				n, embeddings := 0, 0
				if name == "zep" {
					for document, err := range NewClient(server.URL).Document.All(b.Context(), "docs") {
						must(b, err)
						n++
						embeddings += len(document.Embedding)
					}
				} else {
					must(b, decodeEach(server.URL, func(document *Document) {
						n++
						embeddings += len(document.Embedding)
					}))
				}
				if n != documents || embeddings != documents*dimensions {
					b.Fatalf("%d documents, %d numbers", n, embeddings)
				}
			}
			live, all := heap.stop()
			b.SetBytes(newDocumentStream(documents).size())
			b.ReportMetric(live, "live-MiB")
			b.ReportMetric(all, "heap-MiB")
		})
	}
}

// decodeEach asks for all documents with net/http, and decodes them one by one.
func decodeEach(url string, yield func(*Document)) error {
	resp, err := http.Post(url+"/api/v1/collection/docs/document/list/get", "application/json",
		strings.NewReader("{}"))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	decoder := json.NewDecoder(resp.Body)
	if _, err := decoder.Token(); err != nil {
		return err
	}
	for decoder.More() {
		document := new(Document)
		if err := decoder.Decode(document); err != nil {
			return err
		}
		yield(document)
	}
	_, err = decoder.Token()
	return err
}

// documentStream responds with that many documents, each with a UUID of its own. Their other fields
// are those of the same 500.
type documentStream struct {
	documents int
	texts     [][]byte // behind the UUID
}

func newDocumentStream(documents int) documentStream {
	var texts []json.RawMessage
	if err := json.Unmarshal(renderDocuments(500), &texts); err != nil {
		panic(err) // impossible: it is JSON
	}
	s := documentStream{documents: documents}
	for i, text := range texts {
		s.texts = append(s.texts, bytes.TrimPrefix(text, []byte(`{"uuid":"`+DocumentUUID(i))))
	}
	return s
}

// size returns the length of the response.
func (s documentStream) size() (bytes int64) {
	for i := range s.documents {
		bytes += int64(len(`,{"uuid":"`+DocumentUUID(i)) + len(s.texts[i%len(s.texts)]))
	}
	return bytes + int64(len("]\n"))
}

func (s documentStream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	buffer := []byte("[")
	for i := range s.documents {
		if i > 0 {
			buffer = append(buffer, ',')
		}
		buffer = append(append(buffer, `{"uuid":"`...), DocumentUUID(i)...)
		buffer = append(buffer, s.texts[i%len(s.texts)]...)
		if len(buffer) >= 64<<10 {
			if _, err := w.Write(buffer); err != nil {
				return
			}
			buffer = buffer[:0]
		}
	}
	_, _ = w.Write(append(buffer, "]\n"...))
}

// TestDocumentStream checks that the server of the benchmark sends what both peers read.
func TestDocumentStream(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newDocumentStream(1234))
	t.Cleanup(server.Close)
	client := NewClient(server.URL)
	t.Cleanup(client.CloseIdleConnections)
	documents, err := zep.Collect(client.Document.All(t.Context(), "docs"))
	if err != nil || len(documents) != 1234 {
		t.Fatalf("%d documents, %v", len(documents), err)
	}
	i := 0
	err = decodeEach(server.URL, func(document *Document) {
		if got := documents[i]; got.UUID != document.UUID || got.UUID != DocumentUUID(i) ||
			got.Content != document.Content || got.Embedding[383] != document.Embedding[383] {
			t.Fatalf("document %d differs", i)
		}
		i++
	})
	http.DefaultClient.CloseIdleConnections()
	if err != nil || i != 1234 {
		t.Fatalf("%d documents, %v", i, err)
	}
	var length int64
	resp, err := http.Post(server.URL, "application/json", nil)
	if err == nil {
		length, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	if want := newDocumentStream(1234).size(); err != nil || length != want {
		t.Fatalf("%d bytes, want %d: %v", length, want, err)
	}
}

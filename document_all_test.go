package zep

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// docJSON returns a document whose UUID tells its number.
func docJSON(n int) string {
	return fmt.Sprintf(`{"uuid":"%s","content":"document %d","embedding":[0.5,%d]}`, docUUID(n), n, n)
}

func docUUID(n int) string { return fmt.Sprintf("07beed2b-392e-4ed8-a00b-%012x", n) }

// docListJSON returns an array of the documents with these numbers.
func docListJSON(numbers ...int) string {
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = docJSON(n)
	}
	return "[" + strings.Join(texts, ",") + "]"
}

// collectDocs returns the contents of all documents in the order of the walk.
func collectDocs(c *Client, opts ...RequestOption) (contents []string, err error) {
	documents, err := Collect(c.Document.All(context.Background(), "docs", opts...))
	for _, d := range documents {
		contents = append(contents, strings.TrimPrefix(d.Content, "document "))
	}
	return contents, err
}

func TestDocumentAll(t *testing.T) {
	t.Parallel()
	answer := `[{"uuid":"` + uuid1 + `","document_id":"d1","content":"fox","metadata":{"k":1},` +
		`"embedding":[0.5,-1],"is_embedded":true,"created_at":"2024-05-01T12:00:00Z"},` +
		docJSON(2) + "]\n"
	c, s, _ := scripted(t, nil, answers(200, answer), answers(200, docListJSON(1)))
	all := c.Document.All(context.Background(), "docs")
	assert.Empty(t, s.requests(), "nothing is sent before the first range")
	documents, err := Collect(all)
	require.NoError(t, err)
	require.Len(t, documents, 2)
	assert.Equal(t, &Document{
		UUID:       uuid1,
		DocumentID: "d1",
		Content:    "fox",
		Metadata:   Metadata{"k": 1.0},
		Embedding:  []float32{0.5, -1},
		IsEmbedded: true,
		CreatedAt:  time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC),
	}, documents[0])
	assert.Equal(t, Metadata{}, documents[1].Metadata, "is never nil")
	sent := s.requests()[0]
	assert.Equal(t, "POST", sent.method)
	assert.Equal(t, mockURL+"/api/v1/collection/docs/document/list/get", sent.url)
	assert.Equal(t, "{}", sent.body)

	again, err := Collect(all)
	require.NoError(t, err)
	assert.Len(t, again, 1, "a second range asks again")
}

// noDocuments is what the server says of a collection without documents.
const noDocuments = "failed to get documents: documents not found"

// TestDocumentAll_None checks the answers of a server that has no document.
func TestDocumentAll_None(t *testing.T) {
	t.Parallel()
	for _, answer := range []step{
		answers(404, noDocuments), answers(200, "[]"), answers(200, "null"),
	} {
		c, _, _ := scripted(t, nil, answer)
		got, err := collectDocs(c)
		require.NoError(t, err)
		assert.Empty(t, got)
	}
	c, _, _ := scripted(t, nil, answers(404,
		"failed to get documents: failed to get collection: collection: docs not found"))
	_, err := collectDocs(c)
	require.ErrorIs(t, err, ErrNotFound)
	c, s, _ := scripted(t, nil)
	_, err = collectDocs(c, After(1))
	require.ErrorIs(t, err, ErrBadRequest)
	assert.Empty(t, s.requests())
}

// TestDocumentAll_Broken checks that a response that breaks is asked for again, and that no
// document is yielded twice, also if the server has them in another order then.
func TestDocumentAll_Broken(t *testing.T) {
	t.Parallel()
	both := docJSON(1) + "," + docJSON(2)
	for name, test := range map[string]struct {
		broken step
		first  []string // what it yields
	}{
		"cut at once":               {truncated(200, ""), nil},
		"cut after a bracket":       {truncated(200, "["), nil},
		"cut after a document":      {truncated(200, "["+both), []string{"1"}},
		"cut after a comma":         {truncated(200, "["+both+","), []string{"1", "2"}},
		"cut in a document":         {truncated(200, "["+both+`,{"uuid":"`), []string{"1", "2"}},
		"cut after the array":       {truncated(200, "["+both+"]"), []string{"1", "2"}},
		"ends in a document":        {answers(200, "["+both+`,{"uuid":"`), []string{"1", "2"}},
		"ends after a document":     {answers(200, "["+both), []string{"1"}},
		"garbage":                   {answers(200, "["+both+",\x00\xff]"), []string{"1", "2"}},
		"garbage after a document":  {answers(200, "["+both+" garbage]"), []string{"1"}},
		"garbage after the array":   {answers(200, "["+both+"]garbage"), []string{"1", "2"}},
		"the text of an error":      {answers(200, "["+both+",Internal Server"), []string{"1", "2"}},
		"a page":                    {answers(200, "["+both+",<html>502</html>"), []string{"1", "2"}},
		"a page at once":            {answers(200, "<html>"), nil},
		"a number":                  {answers(200, "["+both+",17]"), []string{"1", "2"}},
		"null":                      {answers(200, "["+both+",null]"), []string{"1", "2"}},
		"an object without a UUID":  {answers(200, "["+both+`,{"content":"x"}]`), []string{"1", "2"}},
		"a UUID of another type":    {answers(200, "["+both+`,{"uuid":1}]`), []string{"1", "2"}},
		"nothing between commas":    {answers(200, "["+both+`,,`+docJSON(3)+`]`), []string{"1", "2"}},
		"a comma before the end":    {answers(200, "["+both+`,]`), []string{"1", "2"}},
		"another bracket":           {answers(200, "["+both+"}"), []string{"1"}},
		"an error with half a text": {truncated(500, "panic"), nil},
	} {
		c, s, clock := scripted(t, nil, test.broken, answers(503, "down"),
			answers(200, docListJSON(4, 2, 3, 1)))
		want := slices.Clone(test.first)
		for _, n := range []string{"4", "2", "3", "1"} {
			if !slices.Contains(test.first, n) {
				want = append(want, n)
			}
		}
		got, err := collectDocs(c)
		require.NoError(t, err, name)
		assert.Equal(t, want, got, name)
		assert.Len(t, s.requests(), 3, name)
		assert.Len(t, clock.waited(), 2, name)
	}
}

// TestDocumentAll_Unusable checks the errors of responses without a document.
func TestDocumentAll_Unusable(t *testing.T) {
	t.Parallel()
	const unexpected = "unexpected response: "
	for text, want := range map[string]string{
		"":                     "unexpected EOF",
		"[":                    "unexpected EOF",
		"\n<html>proxy</html>": unexpected + "an HTML page: not a Zep response",
		`{"error":"x"}`:        unexpected + `"{\"error\":\"x\"}": not an array`,
		"[null]":               unexpected + "record 1: null",
		"[{}]":                 unexpected + "record 1: no uuid: not a Zep response",
		"[]x":                  unexpected + `"x" after the array: not an array`,
		"[,]":                  unexpected + "record 1: unexpected end of JSON input",
		"[{]":                  "unexpected EOF",
	} {
		c, s, _ := scripted(t, nil, repeat(4, answers(200, text))...)
		got, err := collectDocs(c)
		const call = "zep: POST /zep/api/v1/collection/docs/document/list/get: 200: "
		require.EqualError(t, err, call+want+" (4 attempts)")
		require.NotErrorIs(t, err, ErrAmbiguous, "it is a read")
		assert.Empty(t, got)
		assert.Len(t, s.requests(), 4)
	}
}

// TestDocumentAll_Duplicate checks that a document that the server sends twice is yielded once.
func TestDocumentAll_Duplicate(t *testing.T) {
	t.Parallel()
	upper := strings.ReplaceAll(docJSON(1), docUUID(1), strings.ToUpper(docUUID(1)))
	answer := "[" + docJSON(1) + "," + docJSON(2) + "," + docJSON(1) + "," + upper + "]"
	c, _, _ := scripted(t, nil, answers(200, answer))
	got, err := collectDocs(c)
	require.NoError(t, err)
	assert.Equal(t, []string{"1", "2"}, got)
}

// TestDocumentAll_Attempts checks that a new document begins the count of the attempts anew, and
// their waits.
func TestDocumentAll_Attempts(t *testing.T) {
	t.Parallel()
	cutAfter := func(numbers ...int) step {
		return truncated(200, strings.TrimSuffix(docListJSON(numbers...), "]")+",")
	}
	c, s, clock := scripted(t, []Option{WithBackoff(time.Second, time.Minute)},
		answers(500, "1"), answers(500, "2"), cutAfter(1), cutAfter(1), answers(500, "3"), cutAfter(2, 1),
		answers(500, "4"), cutAfter(1, 2), answers(500, "disk full"))
	got, err := collectDocs(c, RequestTimeout(time.Hour))
	require.ErrorIs(t, err, ErrServer)
	require.EqualError(t, err, "zep: Document.All: after 2 documents: "+
		"zep: POST /zep/api/v1/collection/docs/document/list/get: 500: disk full (9 attempts)")
	assert.Equal(t, []string{"1", "2"}, got)
	assert.Len(t, s.requests(), 9)
	const second = time.Second
	assert.Equal(t, []time.Duration{
		second, 2 * second, second, 2 * second, 4 * second, second, 2 * second, 4 * second,
	}, clock.waited())

	c, s, _ = scripted(t, nil, cutAfter(1))
	got, err = collectDocs(c, RequestMaxAttempts(1))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorContains(t, err, "after 1 documents: ")
	assert.Equal(t, []string{"1"}, got)
	assert.Len(t, s.requests(), 1)

	many := make([]step, 50)
	for i := range many {
		many[i] = cutAfter(i)
	}
	c, _, _ = scripted(t, nil, append(many, answers(200, docListJSON(3)))...)
	got, err = collectDocs(c)
	require.NoError(t, err)
	assert.Len(t, got, 50)

	// All documents were deleted after the response broke off.
	c, _, _ = scripted(t, nil, cutAfter(1), answers(404, noDocuments))
	got, err = collectDocs(c)
	require.NoError(t, err)
	assert.Len(t, got, 1)
	c, _, _ = scripted(t, nil, cutAfter(1), answers(401, "token is expired"))
	_, err = collectDocs(c)
	require.ErrorIs(t, err, ErrUnauthorized)
}

// TestDocumentAll_Limit checks that the limit is that of a document, not of the response.
func TestDocumentAll_Limit(t *testing.T) {
	t.Parallel()
	numbers := make([]int, 1000)
	for i := range numbers {
		numbers[i] = i
	}
	all := docListJSON(numbers...)
	large := strings.Replace(all, "document 500", strings.Repeat("x", 5000), 1)
	c, s, _ := scripted(t, nil, answers(200, all), answers(200, large))
	limitResponses(c, 4<<10)
	got, err := collectDocs(c)
	require.NoError(t, err)
	assert.Len(t, got, 1000)
	got, err = collectDocs(c)
	require.ErrorIs(t, err, ErrTooLarge)
	require.ErrorContains(t, err, "after 500 documents: zep: POST "+
		"/zep/api/v1/collection/docs/document/list/get: 200: "+
		"zep: too large: record 501 of the response is over 4096 bytes")
	assert.Len(t, got, 500)
	assert.Len(t, s.requests(), 2, "the next one would be as large")

	// A document that is small on the wire may be large in memory.
	decoded := `[{"uuid":"u","metadata":{"a":[` + strings.Repeat("{},", 5<<20) + `{}]}}]`
	c, s, _ = scripted(t, nil, answers(200, decoded))
	_, err = collectDocs(c)
	require.ErrorIs(t, err, ErrTooLarge)
	require.ErrorContains(t, err, "bytes when it is decoded")
	assert.Len(t, s.requests(), 1)
}

func TestDocumentAll_CapturedResponse(t *testing.T) {
	t.Parallel()
	c, _, _ := scripted(t, []Option{WithAPIKey(secret)}, answers(500, "down"),
		answers(200, docListJSON(1), "X-Echo", secret, "X-N", "1"))
	var response *http.Response
	for _, err := range c.Document.All(context.Background(), "docs", CaptureResponse(&response)) {
		require.NoError(t, err)
		require.NotNil(t, response, "it is there before the first document")
		assert.Equal(t, 200, response.StatusCode)
		assert.Equal(t, "1", response.Header.Get("X-N"))
		text := shown(t, response)
		assertNoSecret(t, text)
		assert.NotContains(t, text, "document")
	}
	c, _, _ = scripted(t, nil, repeat(4, answers(500, "down"))...)
	_, err := collectDocs(c, CaptureResponse(&response))
	require.Error(t, err)
	assert.Contains(t, shown(t, response), "down")
}

// docServer returns a client of a server that answers as the function writes.
func docServer(t *testing.T, write func(w http.ResponseWriter, r *http.Request)) *Client {
	c, _ := clientWithServer(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		write(w, r)
	})
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// endlessDocs writes documents until the client leaves.
func endlessDocs(left chan<- struct{}) func(w http.ResponseWriter, r *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		_, err := io.WriteString(w, "["+docJSON(0))
		for n := 1; err == nil; n++ {
			_, err = io.WriteString(w, ","+docJSON(n))
		}
		<-r.Context().Done()
		close(left)
	}
}

// TestDocumentAll_Ends checks that the request ends with the loop, however that ends.
func TestDocumentAll_Ends(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	for name, loop := range map[string]func(context.Context, context.CancelFunc, *Client) error{
		"break": func(ctx context.Context, _ context.CancelFunc, c *Client) error {
			for range c.Document.All(ctx, "docs") {
				break
			}
			return stop
		},
		"break late": func(ctx context.Context, _ context.CancelFunc, c *Client) error {
			n := 0
			for range c.Document.All(ctx, "docs") {
				if n++; n == 5000 {
					return stop
				}
			}
			return nil
		},
		"panic": func(ctx context.Context, _ context.CancelFunc, c *Client) (err error) {
			defer func() { err, _ = recover().(error) }()
			for range c.Document.All(ctx, "docs") {
				panic(stop)
			}
			return nil
		},
		"runtime.Goexit": func(ctx context.Context, _ context.CancelFunc, c *Client) error {
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range c.Document.All(ctx, "docs") {
					runtime.Goexit()
				}
			}()
			<-done
			return stop
		},
		"the context": func(ctx context.Context, cancel context.CancelFunc, c *Client) error {
			var last error
			for _, err := range c.Document.All(ctx, "docs") {
				cancel()
				last = err
			}
			if errors.Is(last, context.Canceled) && !errors.Is(last, context.DeadlineExceeded) {
				return stop
			}
			return last
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			left := make(chan struct{})
			c := docServer(t, endlessDocs(left))
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			require.Equal(t, stop, loop(ctx, cancel, c))
			<-left
		})
	}
}

// TestDocumentAll_Timeout checks that the timeout is that without data, and that the time of the
// loop does not count.
func TestDocumentAll_Timeout(t *testing.T) {
	t.Parallel()
	hang := func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	for name, begin := range map[string]string{
		"before the data": "",
		"in a document":   "[" + docJSON(1) + ",",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			c := docServer(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				_, _ = io.WriteString(w, begin)
				hang(w, r)
			})
			_, err := collectDocs(c, RequestTimeout(time.Second))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NotErrorIs(t, err, context.Canceled)
			assert.True(t, requireError(t, err).Timeout())
			assert.LessOrEqual(t, requests.Load(), int32(1), "no time is left")
		})
	}
	t.Run("before the response", func(t *testing.T) {
		t.Parallel()
		c := docServer(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		_, err := collectDocs(c, RequestTimeout(time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, context.Canceled)
	})
	t.Run("slow loop", func(t *testing.T) {
		t.Parallel()
		const timeout = 2 * time.Second
		goOn := make(chan struct{})
		var requests atomic.Int32
		c := docServer(t, func(w http.ResponseWriter, _ *http.Request) {
			requests.Add(1)
			_, _ = io.WriteString(w, "["+docJSON(1)+",")
			http.NewResponseController(w).Flush()
			<-goOn
			<-time.After(timeout / 10)
			_, _ = io.WriteString(w, docJSON(2)+"]")
		})
		n := 0
		for _, err := range c.Document.All(context.Background(), "docs", RequestTimeout(timeout)) {
			require.NoError(t, err)
			if n++; n == 1 {
				<-time.After(timeout + timeout/4)
				close(goOn)
			}
		}
		assert.Equal(t, 2, n)
		assert.EqualValues(t, 1, requests.Load())
	})
	t.Run("slow server", func(t *testing.T) {
		t.Parallel()
		const timeout = 2 * time.Second
		c := docServer(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "["+docJSON(0))
			for n := range 6 {
				http.NewResponseController(w).Flush()
				<-time.After(timeout / 4)
				_, _ = io.WriteString(w, ","+docJSON(n+1))
			}
			_, _ = io.WriteString(w, "]")
		})
		got, err := collectDocs(c, RequestTimeout(timeout))
		require.NoError(t, err, "there was always data in time")
		assert.Len(t, got, 7)
	})
	t.Run("of an attempt", func(t *testing.T) {
		t.Parallel()
		var requests atomic.Int32
		c, _ := clientWithServer(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if requests.Add(1) > 1 {
				_, _ = io.WriteString(w, docListJSON(2, 1))
				return
			}
			_, _ = io.WriteString(w, "["+docJSON(1)+",")
			hang(w, r)
		}, WithAttemptTimeout(2*time.Second))
		t.Cleanup(c.CloseIdleConnections)
		got, err := collectDocs(c)
		require.NoError(t, err)
		assert.Equal(t, []string{"1", "2"}, got)
	})
}

// hangingBody ends with the context of the request, and reports that it was closed.
type hangingBody struct {
	io.Reader
	ctx    context.Context
	closed atomic.Bool
}

func (b *hangingBody) Read(p []byte) (int, error) {
	if n, err := b.Reader.Read(p); err == nil {
		return n, nil
	}
	<-b.ctx.Done()
	return 0, b.ctx.Err()
}

func (b *hangingBody) Close() error {
	b.closed.Store(true)
	return nil
}

// TestDocumentAll_OtherTransport checks the same with a transport that knows no more of the end of
// the time than the context's error, and that a walk leaves neither the body nor the context.
func TestDocumentAll_OtherTransport(t *testing.T) {
	t.Parallel()
	var body *hangingBody
	answer := func(text string) step {
		return func(req *http.Request) (*http.Response, error) {
			body = &hangingBody{Reader: strings.NewReader(text), ctx: req.Context()}
			resp, err := answers(200, "")(req)
			resp.Body = body
			return resp, err
		}
	}
	for name, first := range map[string]step{
		"before the response": func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		},
		"before the data": answer(""),
		"in a document":   answer("[" + docJSON(1) + ","),
	} {
		c, _, _ := scripted(t, nil, first) // one attempt: no time is left
		_, err := collectDocs(c, RequestTimeout(time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded, name)
		require.NotErrorIs(t, err, context.Canceled, name)
	}
	for name, end := range map[string]func(){
		"panic":          func() { panic("no") },
		"runtime.Goexit": runtime.Goexit,
	} {
		c, _, _ := scripted(t, nil, answer("["+docJSON(1)+","))
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() { _ = recover() }()
			for range c.Document.All(context.Background(), "docs") {
				end()
			}
		}()
		<-done
		assert.True(t, body.closed.Load(), name)
		require.ErrorIs(t, body.ctx.Err(), context.Canceled, name)
	}
}

func TestDocumentAll_Gzip(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	zipper := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(zipper, docListJSON(1, 2, 3))
	require.NoError(t, zipper.Close())
	whole := zipped.Bytes()
	var requests atomic.Int32
	c := docServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		answer := whole
		if requests.Add(1) == 1 {
			answer = whole[:len(whole)-5]
		}
		_, _ = w.Write(answer)
	})
	got, err := collectDocs(c)
	require.NoError(t, err)
	assert.Equal(t, []string{"1", "2", "3"}, got)
	assert.EqualValues(t, 2, requests.Load())
}

// TestDocumentAll_LiveHeap is not parallel: it measures the heap. bench/ has a larger collection.
func TestDocumentAll_LiveHeap(t *testing.T) {
	const n, most = 20_000, 8 << 20 // the response has 20 MB, and its decoded documents more
	c := docServer(t, func(w http.ResponseWriter, _ *http.Request) {
		document := strings.Replace(docJSON(0), "document 0", strings.Repeat("x", 1000), 1)
		for i := range n {
			separator := ","
			if i == 0 {
				separator = "["
			}
			_, _ = io.WriteString(w, separator+strings.Replace(document, docUUID(0), docUUID(i), 1))
		}
		_, _ = io.WriteString(w, "]")
	})
	live := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before, walked := live(), 0
	for document, err := range c.Document.All(context.Background(), "docs") {
		require.NoError(t, err)
		if walked++; walked%5000 == 0 {
			assert.Less(t, live(), before+most, "live heap after %d documents", walked)
		}
		runtime.KeepAlive(document)
	}
	assert.Equal(t, n, walked)
}

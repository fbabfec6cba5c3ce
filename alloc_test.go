//go:build go1.26

package zep

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// cannedTransport always responds with the same text, and allocates as little as possible.
type cannedTransport struct {
	body     bytes.Reader
	text     []byte
	header   http.Header
	response http.Response
}

func (m *cannedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_, _ = io.Copy(io.Discard, req.Body)
		_ = req.Body.Close()
	}
	m.body.Reset(m.text)
	m.response = http.Response{
		StatusCode:    http.StatusOK,
		Header:        m.header,
		Body:          m,
		ContentLength: int64(len(m.text)),
		Request:       req,
	}
	return &m.response, nil
}

func (m *cannedTransport) Read(p []byte) (int, error) { return m.body.Read(p) }

func (m *cannedTransport) Close() error { return nil }

// TestAllocations compares the allocations of each kind of call, less those of the same request
// with net/http alone, with an exact number. The allocations of net/http differ between versions
// of Go.
//
// The numbers are for Go 1.26 and 1.27; the standard library of earlier versions allocates a few
// times more. The test is not parallel, and takes the least of several measurements, because the
// race detector makes pools drop values.
func TestAllocations(t *testing.T) {
	ctx := context.Background()
	user := `{"uuid":"07beed2b-392e-4ed8-a00b-000000000001","id":1,` +
		`"created_at":"2024-05-01T12:00:00.123456Z","updated_at":"2024-05-01T12:00:00.123456Z",` +
		`"deleted_at":null,"user_id":"jane","email":"jane@example.com",` +
		`"first_name":"Jane","last_name":"Smith"}`
	m := &cannedTransport{header: http.Header{}}
	hc := &http.Client{Transport: m}
	c, err := NewClient(WithBaseURL(mockURL), WithAPIKey(secret), WithHTTPClient(hc))
	require.NoError(t, err)

	least := func(call func() error) float64 {
		n := testing.AllocsPerRun(1, func() { require.NoError(t, call()) })
		for range 50 {
			n = min(n, testing.AllocsPerRun(1, func() { _ = call() }))
		}
		return n
	}
	var read [64 << 10]byte
	bare := func(method, body string) float64 {
		m.text = nil
		target := mockURL + "/api/v1/user/jane"
		return least(func() error {
			var content io.Reader
			if body != "" {
				content = strings.NewReader(body)
			}
			req, err := http.NewRequestWithContext(ctx, method, target, content)
			if err != nil {
				return err
			}
			req.Header.Set("Authorization", "Bearer "+secret)
			resp, err := hc.Do(req)
			if err != nil {
				return err
			}
			_, _ = resp.Body.Read(read[:])
			return resp.Body.Close()
		})
	}
	for _, test := range []struct {
		name, method, answer string
		call                 func() error
		over                 float64
	}{
		{"User.Get", "GET", user, func() error {
			_, err := c.User.Get(ctx, "jane")
			return err
		}, 26},
		{"User.Add", "POST", user, func() error {
			_, err := c.User.Add(ctx, &CreateUserRequest{UserID: "jane"})
			return err
		}, 29},
		{"User.Update", "PATCH", user, func() error {
			_, err := c.User.Update(ctx, &UpdateUserRequest{UserID: "jane"})
			return err
		}, 34},
		{"User.Delete", "DELETE", "OK", func() error { return c.User.Delete(ctx, "jane") }, 23},
		{"User.List", "GET", "[" + user + "]", func() error {
			_, err := c.User.List(ctx, &ListOptions{Limit: 1})
			return err
		}, 35},
		{"Health", "GET", ".", func() error {
			_, err := c.Health(ctx)
			return err
		}, 21},
	} {
		body := ""
		if test.method == "POST" || test.method == "PATCH" {
			body = "{}"
		}
		floor := bare(test.method, body)
		m.text = []byte(test.answer)
		assert.Equal(t, test.over, least(test.call)-floor, test.name)
	}
}

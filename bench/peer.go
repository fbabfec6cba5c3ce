package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/zep-go/zep"
	"resty.dev/v3"
)

// Peer is one way to call Zep from Go. It returns records in its own types, so that no peer has to
// convert them.
type Peer struct {
	Name   string
	Get    func(ctx context.Context, userID string) (user any, err error)
	Add    func(context.Context, *Write) (user any, err error)
	Update func(context.Context, *Write) (user any, err error)

	// Memory requests the last messages of a session, and Documents those with the UUIDs.
	Memory    func(ctx context.Context, sessionID string, lastN int) (memory any, err error)
	Documents func(ctx context.Context, collection string, uuids []string) (list any, err error)

	// Page requests one list. A limit of 0 is no limit.
	Page func(ctx context.Context, limit int, cursor int64) (users int, last int64, err error)

	// Chunks walks all users in chunks of a size. All walks them one by one, in the fastest way
	// that the peer has.
	Chunks func(ctx context.Context, size int, yield func(users int) bool) error
	All    func(ctx context.Context, yield func(user any) bool) error

	// Close closes the idle connections.
	Close func()
}

// NetHTTP returns the floor: net/http and encoding/json, with careful code around them and nothing
// more. The transport is usually [DefaultTransport] or [TunedTransport].
func NetHTTP(name, baseURL string, transport http.RoundTripper) Peer {
	client := &http.Client{Transport: transport}
	return byHand(name, func(ctx context.Context, method, path string, body, into any) error {
		var reader io.Reader
		if body != nil {
			data, err := json.Marshal(body)
			if err != nil {
				return err
			}
			reader = bytes.NewReader(data)
		}
		req, err := http.NewRequestWithContext(ctx, method, baseURL+path, reader)
		if err != nil {
			return err
		}
		if body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		return decode(resp, into)
	}, client.CloseIdleConnections)
}

// DefaultTransport returns a transport like http.DefaultTransport, with its own connections.
func DefaultTransport() *http.Transport {
	return http.DefaultTransport.(*http.Transport).Clone()
}

// TunedTransport returns a transport that keeps as many idle connections to one host as zep does.
func TunedTransport() *http.Transport {
	t := DefaultTransport()
	t.MaxIdleConns = 0
	t.MaxIdleConnsPerHost = 256
	return t
}

// RetryableHTTP returns go-retryablehttp with its defaults, but without its log. A nil transport
// is its own.
func RetryableHTTP(baseURL string, transport http.RoundTripper) Peer {
	client := retryablehttp.NewClient()
	client.Logger = nil
	if transport != nil {
		client.HTTPClient.Transport = transport
	}
	do := func(ctx context.Context, method, path string, body, into any) error {
		var data any // nil, or []byte
		if body != nil {
			b, err := json.Marshal(body)
			if err != nil {
				return err
			}
			data = b
		}
		req, err := retryablehttp.NewRequestWithContext(ctx, method, baseURL+path, data)
		if err != nil {
			return err
		}
		if body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		return decode(resp, into)
	}
	return byHand("retryablehttp", do, client.HTTPClient.CloseIdleConnections)
}

// Resty returns resty v3 with its defaults, which are without retries. A nil transport is its own.
func Resty(baseURL string, transport http.RoundTripper) Peer {
	client := resty.New()
	if transport != nil {
		client = resty.NewWithClient(&http.Client{Transport: transport})
	}
	client.SetBaseURL(baseURL)
	return byHand("resty", func(ctx context.Context, method, path string, body, into any) error {
		// Zep sends JSON as text/plain.
		req := client.R().SetContext(ctx).SetResult(into).
			SetResponseForceContentType("application/json")
		if body != nil {
			req.SetContentType("application/json").SetBody(body)
		}
		resp, err := req.Execute(method, path)
		if err == nil && resp.IsStatusFailure() {
			err = fmt.Errorf("%s: %s", resp.Status(), resp.String())
		}
		return err
	}, func() {
		client.Client().CloseIdleConnections()
		_ = client.Close()
	})
}

// Zep returns this SDK with its defaults (retries, deadline, order of updates) and the options.
func Zep(name, baseURL string, opts ...zep.Option) Peer {
	client := NewClient(baseURL, opts...)
	return Peer{
		Name: name,
		Get: func(ctx context.Context, userID string) (any, error) {
			return client.User.Get(ctx, userID)
		},
		Add: func(ctx context.Context, w *Write) (any, error) {
			return client.User.Add(ctx, (*zep.CreateUserRequest)(w))
		},
		Update: func(ctx context.Context, w *Write) (any, error) {
			return client.User.Update(ctx, (*zep.UpdateUserRequest)(w))
		},
		Memory: func(ctx context.Context, sessionID string, lastN int) (any, error) {
			return client.Memory.Get(ctx, sessionID, &zep.GetMemoryOptions{LastN: lastN})
		},
		Documents: func(ctx context.Context, collection string, uuids []string) (any, error) {
			return client.Document.GetByUUIDs(ctx, collection, uuids)
		},
		Page: func(ctx context.Context, limit int, cursor int64) (int, int64, error) {
			users, err := client.User.List(ctx, &zep.ListOptions{Limit: limit, Cursor: cursor})
			if len(users) > 0 {
				cursor = users[len(users)-1].ID
			}
			return len(users), cursor, err
		},
		Chunks: func(ctx context.Context, size int, yield func(int) bool) error {
			for users, err := range client.User.ListChunked(ctx, size) {
				if err != nil || !yield(len(users)) {
					return err
				}
			}
			return nil
		},
		All: func(ctx context.Context, yield func(any) bool) error {
			for user, err := range client.User.All(ctx) {
				if err != nil || !yield(user) {
					return err
				}
			}
			return nil
		},
		Close: func() {}, // the connections are closed by the server
	}
}

// NewClient returns a client of this SDK that ignores the environment.
func NewClient(baseURL string, opts ...zep.Option) *zep.Client {
	defaults := []zep.Option{zep.WithBaseURL(baseURL), zep.WithAPIKey("")}
	client, err := zep.NewClient(append(defaults, opts...)...)
	if err != nil {
		panic(err) // impossible: the URL of a Server is valid
	}
	return client
}

// DisabledLogger returns a logger with the debug level off, as in production.
func DisabledLogger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// doer makes one request. It sends body as JSON, unless it is nil, and decodes the response into
// what into points to.
type doer func(ctx context.Context, method, path string, body, into any) error

// byHand returns a Peer whose calls and walks are written by hand, as most users would write them.
func byHand(name string, do doer, closeIdle func()) Peer {
	const users = "/api/v1/user"
	one := func(ctx context.Context, method, path string, body any) (any, error) {
		user := new(User)
		err := do(ctx, method, path, body, user)
		return user, err
	}
	page := func(ctx context.Context, limit int, cursor int64) (page []*User, err error) {
		path := users
		if limit > 0 {
			path += "?limit=" + strconv.Itoa(limit) + "&cursor=" + strconv.FormatInt(cursor, 10)
		}
		err = do(ctx, http.MethodGet, path, nil, &page)
		return page, err
	}
	chunks := func(ctx context.Context, size int, yield func([]*User) bool) error {
		for cursor := int64(0); ; {
			users, err := page(ctx, size, cursor)
			if err != nil || len(users) == 0 || !yield(users) {
				return err
			}
			cursor = users[len(users)-1].ID
		}
	}
	return Peer{
		Name: name,
		Get: func(ctx context.Context, userID string) (any, error) {
			return one(ctx, http.MethodGet, users+"/"+url.PathEscape(userID), nil)
		},
		Add: func(ctx context.Context, w *Write) (any, error) {
			return one(ctx, http.MethodPost, users, w)
		},
		Update: func(ctx context.Context, w *Write) (any, error) {
			return one(ctx, http.MethodPatch, users+"/"+url.PathEscape(w.UserID), w)
		},
		Memory: func(ctx context.Context, sessionID string, lastN int) (any, error) {
			path := "/api/v1/sessions/" + url.PathEscape(sessionID) + "/memory?lastn=" +
				strconv.Itoa(lastN)
			memory := new(Memory)
			err := do(ctx, http.MethodGet, path, nil, memory)
			return memory, err
		},
		Documents: func(ctx context.Context, collection string, uuids []string) (any, error) {
			path := "/api/v1/collection/" + url.PathEscape(collection) + "/document/list/get"
			var documents []*Document
			err := do(ctx, http.MethodPost, path, map[string][]string{"uuids": uuids}, &documents)
			return documents, err
		},
		Page: func(ctx context.Context, limit int, cursor int64) (int, int64, error) {
			users, err := page(ctx, limit, cursor)
			if len(users) > 0 {
				cursor = users[len(users)-1].ID
			}
			return len(users), cursor, err
		},
		Chunks: func(ctx context.Context, size int, yield func(int) bool) error {
			return chunks(ctx, size, func(users []*User) bool { return yield(len(users)) })
		},
		All: func(ctx context.Context, yield func(any) bool) error {
			return chunks(ctx, 1000, func(users []*User) bool {
				for _, user := range users {
					if !yield(user) {
						return false
					}
				}
				return true
			})
		},
		Close: closeIdle,
	}
}

// decode decodes a success, reads the rest of the body, and closes it.
func decode(resp *http.Response, into any) error {
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, resp.Body)
	return err
}

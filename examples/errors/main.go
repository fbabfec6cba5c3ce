// Errors makes calls fail in many ways, and shows how to match the errors.
//
//	go run ./examples/errors
//
// It needs no Zep server: it starts one in its own process, which fails on demand.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// advice shows how a program tells errors apart: with errors.Is, the most specific first. It
// matches what it can act on, and no texts.
func advice(err error) string {
	switch {
	case err == nil:
		return "continue"
	case errors.Is(err, zep.ErrInvalidID):
		return "use another id; nothing was sent"
	case errors.Is(err, zep.ErrUserNotFound):
		return "add the user first"
	case errors.Is(err, zep.ErrNotFound):
		return "add it first"
	case errors.Is(err, zep.ErrAlreadyExists):
		return "update it instead"
	case errors.Is(err, zep.ErrUnauthorized):
		return "set the API key"
	case errors.Is(err, zep.ErrEndpointNotFound):
		return "set the base URL"
	case errors.Is(err, zep.ErrTooLarge):
		return "send less at once"
	case errors.Is(err, zep.ErrBadRequest):
		return "correct the request"
	case errors.Is(err, zep.ErrRateLimited):
		return "retry later, at a lower rate"
	case errors.Is(err, context.DeadlineExceeded):
		return "allow more time, or do without a response"
	case errors.Is(err, context.Canceled):
		return "do nothing: the caller canceled"
	case errors.Is(err, zep.ErrServer):
		return "check the log of the server"
	default:
		return "check the network"
	}
}

// call is a call to the API, without its result.
type call func(context.Context) error

// scenario is a call, and a fault of the server.
type scenario struct {
	title string
	fault zeptest.Fault
	call  call
}

func run(ctx context.Context, w io.Writer) error {
	server := zeptest.NewServer(zeptest.WithAPIKey("the-key"))
	defer server.Close()
	client, err := server.Client(zep.WithBackoff(time.Millisecond, time.Millisecond))
	if err != nil {
		return err
	}
	wrongKey, err := server.Client(zep.WithAPIKey("another-key"))
	if err != nil {
		return err
	}
	wrongPath, err := server.Client(zep.WithBaseURL(server.URL + "/zep"))
	if err != nil {
		return err
	}
	if _, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: "jane"}); err != nil {
		return err
	}
	get := func(client *zep.Client, id string, opts ...zep.RequestOption) call {
		return func(ctx context.Context) error {
			_, err := client.User.Get(ctx, id, opts...)
			return err
		}
	}
	add := func(id string) call {
		return func(ctx context.Context) error {
			_, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: id})
			return err
		}
	}

	for _, scenario := range []scenario{
		{title: "a user that does not exist", call: get(client, "joe")},
		{title: "a user that exists already", call: add("jane")},
		{title: "an id that a URL cannot contain", call: get(client, "../jane")},
		{title: "an empty id", call: get(client, "")},
		{title: "a session for a user that does not exist", call: func(ctx context.Context) error {
			_, err := client.Session.Add(ctx, &zep.CreateSessionRequest{
				SessionID: "chat",
				UserID:    "joe",
			})
			return err
		}},
		{title: "the wrong API key", call: get(wrongKey, "jane")},
		{title: "the wrong base URL", call: get(wrongPath, "jane")},
		{
			title: "a rate limit, in every attempt",
			fault: zeptest.Fault{Status: 429, Body: "slow down\n", Times: 4},
			call:  get(client, "jane"),
		},
		{
			title: "a rate limit that lasts longer than the timeout", // fails at once
			fault: zeptest.Fault{
				Status: 429,
				Body:   "slow down\n",
				Header: http.Header{"Retry-After": {"20"}},
			},
			call: get(client, "jane", zep.RequestTimeout(10*time.Second)),
		},
		{
			title: "a server that hangs",
			fault: zeptest.Fault{Delay: time.Hour},
			call:  get(client, "jane", zep.RequestTimeout(200*time.Millisecond)),
		},
		{
			title: "a canceled call",
			call: func(ctx context.Context) error {
				ctx, cancel := context.WithCancel(ctx)
				cancel()
				return get(client, "jane")(ctx)
			},
		},
		{
			title: "a write that fails on the server", // not sent again: it may have been executed
			fault: zeptest.Fault{Status: 500, Body: "failed to write: disk full\n"},
			call:  add("joe"),
		},
		{
			title: "a read that fails on the server once", // sent again
			fault: zeptest.Fault{Status: 500},
			call:  get(client, "jane"),
		},
		{
			title: "a write whose response is lost", // sent again; the user is found to exist
			fault: zeptest.Fault{Status: 502, Apply: true},
			call:  add("joe"),
		},
	} {
		fmt.Fprintf(w, "%s\n", scenario.title)
		if scenario.fault.Status != 0 || scenario.fault.Delay != 0 {
			server.Inject(scenario.fault)
		}
		before := server.Requests()
		err := scenario.call(ctx)
		if err != nil {
			fmt.Fprintf(w, "  error     %v\n", err)
		}
		// The *zep.Error has the details.
		var details *zep.Error
		if errors.As(err, &details) {
			fmt.Fprintf(w, "  details   status %d, %q, Retry-After %q\n",
				details.StatusCode, details.Message, details.Header.Get("Retry-After"))
		}
		fmt.Fprintf(w, "  requests  %d\n  advice    %s\n\n", server.Requests()-before, advice(err))
	}
	return nil
}

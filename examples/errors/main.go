// Errors shows what goes wrong with a call, and how to match it.
//
//	go run ./examples/errors
//
// It needs no Zep server: it starts one in this process, and makes it fail on demand.
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

// advice is how a program tells errors apart: with errors.Is, the most urgent first. It matches what it can act on, and no texts.
func advice(err error) string {
	switch {
	case err == nil:
		return "go on"
	case errors.Is(err, zep.ErrInvalidID):
		return "choose another id; nothing was sent"
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
		return "mend the request"
	case errors.Is(err, zep.ErrRateLimited):
		return "come back later, and more slowly"
	case errors.Is(err, context.DeadlineExceeded):
		return "allow more time, or do without an answer"
	case errors.Is(err, context.Canceled):
		return "nothing: somebody called it off"
	case errors.Is(err, zep.ErrServer):
		return "tell whoever runs the server"
	default:
		return "look at the network"
	}
}

// A lesson is a call that fails, or does not.
type lesson struct {
	title string
	fault zeptest.Fault
	call  func(context.Context) error
}

func run(ctx context.Context, w io.Writer) error {
	server := zeptest.NewServer(zeptest.WithAPIKey("the key"))
	defer server.Close()
	client, err := server.Client(zep.WithBackoff(time.Millisecond, time.Millisecond))
	if err != nil {
		return err
	}
	wrongKey, err := server.Client(zep.WithAPIKey("another key"))
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
	get := func(client *zep.Client, id string, opts ...zep.RequestOption) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := client.User.Get(ctx, id, opts...)
			return err
		}
	}
	add := func(id string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: id})
			return err
		}
	}

	for _, lesson := range []lesson{
		{title: "a user who is not there", call: get(client, "joe")},
		{title: "a user who is there already", call: add("jane")},
		{title: "an id that no request can carry", call: get(client, "../jane")},
		{title: "no id", call: get(client, "")},
		{title: "a session of a user who is not there", call: func(ctx context.Context) error {
			_, err := client.Session.Add(ctx, &zep.CreateSessionRequest{SessionID: "chat", UserID: "joe"})
			return err
		}},
		{title: "the wrong API key", call: get(wrongKey, "jane")},
		{title: "the wrong base URL", call: get(wrongPath, "jane")},
		{
			title: "a proxy that limits, four times",
			fault: zeptest.Fault{Status: 429, Body: "slow down\n", Times: 4},
			call:  get(client, "jane"),
		},
		{
			title: "a proxy that limits for longer than the call may take", // it gives up at once
			fault: zeptest.Fault{Status: 429, Body: "slow down\n", Header: http.Header{"Retry-After": {"20"}}},
			call:  get(client, "jane", zep.RequestTimeout(10*time.Second)),
		},
		{
			title: "a server that hangs",
			fault: zeptest.Fault{Delay: time.Hour},
			call:  get(client, "jane", zep.RequestTimeout(200*time.Millisecond)),
		},
		{
			title: "a call that is called off",
			call: func(ctx context.Context) error {
				ctx, cancel := context.WithCancel(ctx)
				cancel()
				return get(client, "jane")(ctx)
			},
		},
		{
			title: "a write that the server fails at", // not tried again: it may have been done
			fault: zeptest.Fault{Status: 500, Body: "failed to write: disk full\n"},
			call:  add("joe"),
		},
		{
			title: "a read that the server fails at, once", // tried again
			fault: zeptest.Fault{Status: 500},
			call:  get(client, "jane"),
		},
		{
			title: "a write whose answer is lost", // tried again, and found done
			fault: zeptest.Fault{Status: 502, Apply: true},
			call:  add("joe"),
		},
	} {
		fmt.Fprintf(w, "%s\n", lesson.title)
		if lesson.fault.Status != 0 || lesson.fault.Delay != 0 {
			server.Inject(lesson.fault)
		}
		before := server.Requests()
		err := lesson.call(ctx)
		if err != nil {
			fmt.Fprintf(w, "  error     %v\n", err)
		}
		// What no sentinel tells is in the *zep.Error.
		var answer *zep.Error
		if errors.As(err, &answer) {
			fmt.Fprintf(w, "  details   status %d, %q, Retry-After %q\n", answer.StatusCode, answer.Message, answer.Header.Get("Retry-After"))
		}
		fmt.Fprintf(w, "  requests  %d\n  advice    %s\n\n", server.Requests()-before, advice(err))
	}
	return nil
}

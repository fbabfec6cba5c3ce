// Chat is a chat service that remembers, because Zep does: it stores each turn, and answers from
// the last messages and from a search of all of them.
//
//	go run ./examples/chat
//	go run ./examples/chat -i
//	go run ./examples/chat -addr 127.0.0.1:8080
//
// The first command starts the service, visits it three times with lines from a script, and ends.
// The service is restarted between the visits: it keeps nothing itself. With -i the lines of the
// standard input are what you say, until a line is "bye". With -addr the service stays, until an
// interrupt (Ctrl-C) or SIGTERM. These are its routes:
//
//	POST /chat/{session} {"user": "jane", "text": "…"}   {"answer": "…", "facts": […]}
//	GET /chat/{session}?last=20                          {"user": "jane", "messages": […]}
//	DELETE /chat/{session}
//
//	curl -d '{"user": "jane", "text": "I must not eat nuts."}' http://127.0.0.1:8080/chat/s1
//
// Users and sessions are added when they are first seen, and a deleted session is brought back by
// its next turn, without its messages. The service asks nobody who they are: in your program, that
// comes first.
//
// The assistant has no language model: it answers a question with the statement of the user that
// shares most words with it. It chooses from what a program would put into a model's prompt.
//
// Without ZEP_API_URL the program starts a Zep server in its own process, and the conversation
// ends with it. With ZEP_API_URL (and ZEP_API_KEY, if that server requires one) the conversation is
// on that server: run the program again to continue it. -session and -user choose another one. The
// program leaves the user and the session on the server. -forget deletes the session with its
// messages, but not the user, who may have other sessions.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// settings has the values of the flags, and what tests replace.
type settings struct {
	addr          string
	user, session string
	last          int
	interactive   bool
	forget        bool

	in       io.Reader // the lines of the user, if interactive
	terminal bool      // in is a terminal, which shows what is typed
	logger   *slog.Logger
}

func main() {
	s := settings{in: os.Stdin, logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	flag.StringVar(&s.addr, "addr", "", "serve at this `host:port`, and do nothing else")
	flag.StringVar(&s.user, "user", "jane", "`id` of the user")
	flag.StringVar(&s.session, "session", "jane-and-the-assistant", "`id` of the session")
	flag.IntVar(&s.last, "last", 4, "number of last `messages` to show at the start")
	flag.BoolVar(&s.interactive, "i", false, "read what you say from the standard input")
	flag.BoolVar(&s.forget, "forget", false, "only delete the session")
	flag.Parse()
	if info, err := os.Stdin.Stat(); err == nil {
		s.terminal = info.Mode()&os.ModeCharDevice != 0
	}
	ctx, stop := signal.NotifyContext(context.Background(),
		os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, os.Stdout, s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, s settings) error {
	connect := zep.NewClient // to the server at ZEP_API_URL
	if os.Getenv("ZEP_API_URL") == "" {
		server := zeptest.NewServer()
		defer server.Close()
		connect = server.Client
	}
	client, err := connect()
	if err != nil {
		return err
	}
	health, err := client.Health(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Connected to Zep %s.\n", health.Version)
	switch {
	case s.addr != "":
		return stay(ctx, w, client, s)
	case s.forget:
		return visit(ctx, w, client, s, func(v *visitor) error { return v.forget(ctx) })
	case s.interactive:
		fmt.Fprintf(w, "Tell me something, or ask me about it. End with \"bye\".\n")
		return talk(ctx, w, client, s, s.in, s.terminal)
	}
	for _, lines := range script {
		// A new Client and a new service: the memory is on the Zep server.
		client, err := connect()
		if err != nil {
			return err
		}
		if err := talk(ctx, w, client, s, strings.NewReader(lines), false); err != nil {
			return err
		}
	}
	return nil
}

// newService returns the service on a client.
func newService(client *zep.Client, s settings) *service {
	return &service{
		client:  client,
		timeout: 10 * time.Second,
		grace:   10 * time.Second,
		logger:  s.logger,
	}
}

// stay serves until ctx ends.
func stay(ctx context.Context, w io.Writer, client *zep.Client, s settings) error {
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Listening on http://%s/chat/{session}.\n", listener.Addr())
	return newService(client, s).serve(ctx, listener)
}

// visit starts the service on a free port, and ends it when f returns.
func visit(
	ctx context.Context, w io.Writer, client *zep.Client, s settings, f func(*visitor) error,
) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- newService(client, s).serve(serving, listener) }()
	v := newVisitor(w, "http://"+listener.Addr().String(), s)
	err = f(v)
	v.http.CloseIdleConnections()
	stop()
	if failure := <-ended; err == nil {
		err = failure
	}
	return err
}

// talk is a visit: it shows the last messages, and sends the lines.
func talk(
	ctx context.Context, w io.Writer, client *zep.Client, s settings, in io.Reader, prompt bool,
) error {
	return visit(ctx, w, client, s, func(v *visitor) error {
		if err := v.resume(ctx, s.last); err != nil {
			return err
		}
		return v.converse(ctx, in, prompt)
	})
}

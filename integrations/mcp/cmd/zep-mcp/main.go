// Zep-mcp is an MCP server for Zep v0.x over the standard input and output. An MCP client starts
// it, and its language model gets tools to remember, recall and search conversations and
// documents.
//
//	go install github.com/zep-go/zep/integrations/mcp/cmd/zep-mcp@latest
//	ZEP_API_URL=http://localhost:8000 zep-mcp -user jane@example.com
//
// The environment variables ZEP_API_URL and ZEP_API_KEY name the Zep server and its key.
// zep-mcp -help lists the flags. Messages for people go to the standard error output.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/zep-go/zep"
	zepmcp "github.com/zep-go/zep/integrations/mcp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// streams are the standard streams of the process.
type streams struct {
	in       io.ReadCloser
	out, err io.Writer
}

// grace is how long calls have to end after a signal, and updates after that. MCP clients kill a
// server that takes much longer.
const grace = 3 * time.Second

// run runs the command and returns its exit status.
func run(ctx context.Context, args []string, std streams) int {
	flags := flag.NewFlagSet("zep-mcp", flag.ContinueOnError)
	flags.SetOutput(std.err)
	flags.Usage = func() {
		fmt.Fprint(std.err, "Usage: zep-mcp [flags]\n\nAn MCP server for Zep v0.x over the standard "+
			"input and output.\nZEP_API_URL and ZEP_API_KEY name the Zep server and its key.\n\n")
		flags.PrintDefaults()
	}
	var o zepmcp.Options
	flags.BoolVar(&o.ReadOnly, "read-only", false, "offer no tools that write")
	flags.StringVar(&o.UserID, "user", "",
		"confine the memory to the sessions of the user with this `id`")
	flags.IntVar(&o.MaxBytes, "max-bytes", zepmcp.DefaultMaxBytes,
		"largest answer of a tool, in `bytes`")
	timeout := flags.Duration("timeout", 30*time.Second, "longest call of the Zep server")
	verbose := flags.Bool("v", false, "log more")
	version := flags.Bool("version", false, "print the version and exit")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(std.err, "zep-mcp: unexpected argument %q: there are only flags\n", flags.Arg(0))
		return 2
	}
	if *version {
		fmt.Fprintf(std.out, "zep-mcp %s %s\n", zepmcp.Version(), runtime.Version())
		return 0
	}
	level := slog.LevelWarn
	if *verbose {
		level = slog.LevelDebug
	}
	o.Logger = slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{Level: level}))
	client, err := zep.NewClient(zep.WithTimeout(*timeout))
	if err == nil {
		err = serve(ctx, client, &o, std)
	}
	if err != nil {
		fmt.Fprintf(std.err, "zep-mcp: %v\n", err)
		return 1
	}
	return 0
}

// serve serves until the input ends or the context does.
func serve(ctx context.Context, client *zep.Client, o *zepmcp.Options, std streams) error {
	server, err := zepmcp.NewServer(client, o)
	if err != nil {
		return err
	}
	server.AddReceivingMiddleware(cancelCallsAfter(ctx))
	// A session outlives the context of Connect: Close ends it.
	session, err := server.Connect(context.WithoutCancel(ctx),
		&mcp.IOTransport{Reader: std.in, Writer: nopCloser{std.out}}, nil)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- session.Wait() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		go func() { _ = session.Close() }()
		select {
		case <-ended: // by a signal, so whatever it ended with is no failure
		case <-time.After(grace):
			err = errors.New("gave up waiting for calls to end: the client does not read their answers")
		}
	}
	// An update of a Zep record that was given up is allowed to finish.
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	_ = client.Wait(finish)
	client.CloseIdleConnections()
	return err
}

// cancelCallsAfter returns a middleware that cancels the calls under way when the context ends.
// The SDK would wait for them.
func cancelCallsAfter(ctx context.Context) mcp.Middleware {
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(call context.Context, method string, req mcp.Request) (mcp.Result, error) {
			call, cancel := context.WithCancel(call)
			defer cancel()
			defer context.AfterFunc(ctx, cancel)()
			return next(call, method, req)
		}
	}
}

// nopCloser does not close the standard output: answers may still be under way.
type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

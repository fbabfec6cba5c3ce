// Observability shows what one sees of a Client: in its log (slog), in traces and in metrics
// (OpenTelemetry, the metrics by way of Prometheus).
//
//	go run -C examples/observability .
//
// Without ZEP_API_URL the program starts a Zep server in its own process, which fails twice on
// demand. With ZEP_API_URL (and ZEP_API_KEY, if that server requires one) it runs on that server,
// and deletes what it added.
//
// OpenTelemetry and Prometheus are libraries that nothing else here needs. So this program is a Go
// module of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/zep-go/zep"
	otelzep "github.com/zep-go/zep/otel"
	"github.com/zep-go/zep/zeptest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run makes the calls, and then prints what was seen of them.
func run(ctx context.Context, w io.Writer) error {
	spans := &collector{} // in your program an exporter to your backend, and a batcher before it
	tracers := trace.NewTracerProvider(trace.WithSyncer(spans))
	defer tracers.Shutdown(ctx)
	metrics, err := newMetrics()
	if err != nil {
		return err
	}
	defer metrics.close(ctx)

	fmt.Fprintln(w, "Log:")
	client, stop, err := newClient(
		zep.WithLogger(newLogger(w)),
		zep.WithMiddleware(otelzep.Middleware(
			otelzep.WithTracerProvider(tracers),
			otelzep.WithMeterProvider(metrics.provider),
		)),
	)
	if err != nil {
		return err
	}
	defer stop()
	if err := converse(ctx, client, tracers); err != nil {
		return err
	}

	fmt.Fprintln(w, "\nTraces:")
	spans.print(w)
	return metrics.print(ctx, w)
}

// newLogger returns a logger that writes the Client's records: one for each attempt, and one
// before each retry. It leaves the time out, for the sake of short lines.
func newLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

// newClient returns a Client of the server at ZEP_API_URL or, if that is not set, of a new one.
// Call stop when done with it.
func newClient(opts ...zep.Option) (client *zep.Client, stop func(), err error) {
	if os.Getenv("ZEP_API_URL") != "" {
		if client, err = zep.NewClient(opts...); err != nil {
			return nil, nil, err
		}
		return client, client.CloseIdleConnections, nil
	}
	server := zeptest.NewServer()
	server.Inject(
		// A proxy loses the response to an add: the user is added.
		zeptest.Fault{Method: "POST", Route: "/user", Status: http.StatusBadGateway, Apply: true},
		// The server is busy.
		zeptest.Fault{
			Method: "POST",
			Route:  "/sessions/{sessionId}/memory",
			Status: http.StatusTooManyRequests,
		},
	)
	client, err = server.Client(opts...)
	return client, server.Close, err
}

// converse makes calls below spans of the program's own. It deletes the user that it added, and so
// the user's session, even after a failure.
func converse(ctx context.Context, client *zep.Client, tracers *trace.TracerProvider) (err error) {
	tracer := tracers.Tracer("observability")
	// step makes calls below a span.
	step := func(name string, calls func(context.Context) error) error {
		ctx, span := tracer.Start(ctx, name)
		defer span.End()
		return calls(ctx)
	}
	mark := fmt.Sprintf("%08x", rand.Uint32()) // makes the ids unique on any server
	userID, sessionID := "jane-"+mark, "books-"+mark
	defer func() {
		ctx = context.WithoutCancel(ctx)
		err = errors.Join(err, step("sign off", func(ctx context.Context) error {
			return client.User.Delete(ctx, userID)
		}))
	}()

	if err := step("sign up", func(ctx context.Context) error {
		_, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: userID, FirstName: "Jane"})
		return err
	}); err != nil {
		return err
	}
	if err := step("talk", func(ctx context.Context) error {
		return talk(ctx, client, userID, sessionID)
	}); err != nil {
		return err
	}
	return step("look for a stranger", func(ctx context.Context) error {
		_, err := client.User.Get(ctx, "stranger-"+mark)
		if errors.Is(err, zep.ErrNotFound) {
			return nil
		}
		return fmt.Errorf("a user that was not added: %w", err)
	})
}

func talk(ctx context.Context, client *zep.Client, userID, sessionID string) error {
	if _, err := client.Session.Add(ctx, &zep.CreateSessionRequest{
		SessionID: sessionID,
		UserID:    userID,
	}); err != nil {
		return err
	}
	err := client.Memory.Add(ctx, sessionID, &zep.AddMemoryRequest{Messages: []*zep.Message{
		{Role: zep.RoleUser, Content: "Which book should I read on the train?"},
		{Role: zep.RoleAssistant, Content: "Try Moby-Dick."},
	}})
	if err != nil {
		return err
	}
	_, err = client.Memory.Get(ctx, sessionID, &zep.GetMemoryOptions{LastN: 10})
	return err
}

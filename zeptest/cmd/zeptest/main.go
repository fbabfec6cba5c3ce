// Zeptest serves a Zep v0.x server that keeps everything in memory: package
// [github.com/zep-go/zep/zeptest] as a program.
//
//	go run github.com/zep-go/zep/zeptest/cmd/zeptest@latest
//	go run ./zeptest/cmd/zeptest -addr 127.0.0.1:8000 -server-version 0.18.0
//
// It is for first steps, for trying out programs, and for clients in other languages. The default
// address is the one at which [github.com/zep-go/zep.NewClient] looks for a server. When the
// server accepts connections, one line on the standard output says where:
//
//	export ZEP_API_URL=http://127.0.0.1:8000
//
// The flags are
//
//	-addr host:port
//		The address to listen on: 127.0.0.1:8000 by default. Port 0 is any free port. A host
//		that is not loopback serves everyone who can reach this machine.
//	-api-key key
//		The key that requests need. Without the flag it is the value of ZEP_API_KEY, the variable
//		that the client reads. Every user of the machine can read the flag, but not the variable.
//		With neither, no key is needed.
//	-dimensions n
//		The length of the embeddings that the server makes: 384 by default.
//	-server-version version
//		The version to behave as, 0.15.0 to 0.27.2: the last by default.
//	-log
//		Write a line for each request to the standard error output: method, path, status, time.
//
// An interrupt (Ctrl-C) or SIGTERM ends the program: requests that are under way are answered
// first, for at most five seconds, and what was stored is gone. The exit status is 0 then, 1 if the
// server cannot listen, and 2 for a wrong flag. A second signal ends the program at once, as it
// ends any program.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/zep-go/zep/zeptest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the next signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Getenv("ZEP_API_KEY"), os.Stdout, os.Stderr))
}

const (
	failed = 1 // the exit status if the server cannot listen
	misuse = 2 // the exit status for a wrong flag
)

// run runs the program until ctx ends, and returns the exit status.
func run(ctx context.Context, args []string, apiKey string, stdout, stderr io.Writer) int {
	s, err := parse(args, apiKey)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, s.usage)
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "zeptest: %v (-h lists the flags)\n", err)
		return misuse
	}
	if err := serve(ctx, s, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "zeptest: %v\n", err)
		return failed
	}
	return 0
}

// serve serves until ctx ends. Then it answers the requests that are under way.
func serve(ctx context.Context, s settings, stdout, stderr io.Writer) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.addr)
	if err != nil {
		return err
	}
	zepServer := zeptest.NewServer(s.options...) // also at a loopback port that nobody is told of
	defer zepServer.Close()
	server := &http.Server{
		Handler:           zepServer,
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0), // of clients that leave
	}
	if s.log {
		server.Handler = logged(zepServer, log.New(stderr, "", log.Ltime|log.Lmicroseconds))
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	fmt.Fprintf(stdout, "export ZEP_API_URL=%s\n", baseURL(listener.Addr()))

	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
	defer cancel()
	if server.Shutdown(ctx) != nil { // a client keeps its request from ending
		_ = server.Close()
	}
	<-ended
	return nil
}

// baseURL returns the URL for clients on this machine.
func baseURL(addr net.Addr) string {
	host, port, _ := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// logged logs each request when it is answered.
func logged(handler http.Handler, logger *log.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		answer := &statusWriter{ResponseWriter: w}
		defer func() {
			logger.Printf("%s %s %d %v", r.Method, r.URL.RequestURI(),
				cmp.Or(answer.status, http.StatusOK), time.Since(start).Round(time.Microsecond))
		}()
		handler.ServeHTTP(answer, r)
	})
}

// statusWriter keeps the status of a response.
type statusWriter struct {
	http.ResponseWriter

	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

package zep_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/internal/chaos"
	"github.com/zep-go/zep/zeptest"
)

// The chaos tests make thousands of calls from many goroutines through a proxy that injects
// faults into a fifth of the exchanges. A model records what must be true: every response and
// the final state of the server have to agree with it.
//
//	go test -run Chaos -chaos.seed=7 -chaos.n=100000
//
// The seed determines what each goroutine calls and which faults it meets. Timing matters only
// for the records that the goroutines share, so a failing seed nearly always fails again.
var (
	chaosSeed = flag.Uint64("chaos.seed", 0, "seed of the chaos tests; 0 is three of their own")
	chaosN    = flag.Int("chaos.n", 0, "writes of each chaos test; 0 is its own number")
)

const (
	chaosWriters  = 16
	chaosShare    = 0.2
	chaosAttempts = 4 // the default of a client

	// chaosTimeout is shorter than the longest Retry-After that the client honours: after
	// such a response there is no time for another attempt.
	chaosTimeout = 25 * time.Second

	// chaosMaybeText is the text of an error whose call may have been carried out.
	chaosMaybeText = "may have been carried out"
)

// chaosEachSeed runs a test once for each seed.
func chaosEachSeed(t *testing.T, test func(t *testing.T, seed uint64)) {
	t.Parallel()
	seeds := []uint64{1, 2, 3}
	if *chaosSeed != 0 {
		seeds = []uint64{*chaosSeed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			test(t, seed)
		})
	}
}

// chaosWrites returns the number of writes of a test: usual, unless -chaos.n is set.
func chaosWrites(usual int) int {
	if *chaosN > 0 {
		return *chaosN
	}
	return usual
}

// chaosRun is a server behind a proxy, a client of the proxy, and the violations found.
type chaosRun struct {
	t      *testing.T
	seed   uint64
	server *zeptest.Server
	proxy  *chaos.Proxy
	close  func()      // ends the proxy
	client *zep.Client // through the proxy
	direct *zep.Client // directly to the server

	clientOpts []zep.Option
	clients    []*zep.Client // through the proxy

	writes, reads, retries, refused, failed, unseen atomic.Int64

	mu         sync.Mutex
	violations map[string][]string // by class
}

// The classes of violations.
const (
	chaosLost       = "lost"
	chaosDuplicated = "duplicated"
	chaosWrong      = "wrong" // an error or a response
)

// chaosNetwork starts a proxy before a server. It returns the function that ends the proxy, and
// the options of the proxy's clients.
type chaosNetwork func(server http.Handler, seed uint64) (*chaos.Proxy, func(), []zep.Option)

// chaosHTTP1 is a network of HTTP/1.1 connections.
func chaosHTTP1(server http.Handler, seed uint64) (*chaos.Proxy, func(), []zep.Option) {
	proxy := chaos.New(server, seed, chaosShare)
	return proxy, proxy.Close, nil
}

func newChaosRun(t *testing.T, seed uint64, network chaosNetwork,
	before func(http.Handler) http.Handler, opts ...zeptest.Option) *chaosRun {
	t.Helper()
	c := &chaosRun{
		t:          t,
		seed:       seed,
		server:     zeptest.NewServer(opts...),
		violations: map[string][]string{},
	}
	t.Cleanup(c.server.Close)
	c.proxy, c.close, c.clientOpts = network(before(c.server), seed)
	t.Cleanup(c.close)
	c.client = c.newClient()
	var err error
	c.direct, err = c.server.Client()
	require.NoError(t, err)
	return c
}

// newClient returns a client of the proxy.
func (c *chaosRun) newClient(opts ...zep.Option) *zep.Client {
	c.t.Helper()
	client, err := zep.NewClient(slices.Concat(c.clientOpts, []zep.Option{
		zep.WithBaseURL(c.proxy.URL),
		zep.WithAPIKey(""),
		zep.WithTimeout(chaosTimeout),
		zep.WithBackoff(time.Millisecond, 2*time.Millisecond),
		zep.WithLogger(slog.New(chaosLog{c})),
	}, opts)...)
	require.NoError(c.t, err)
	zep.SetPatience(client, 20*time.Millisecond, 100*time.Millisecond)
	c.clients = append(c.clients, client)
	return client
}

// chaosUnwrapped returns the server itself.
func chaosUnwrapped(server http.Handler) http.Handler { return server }

// random returns a goroutine's own generator.
func (c *chaosRun) random(writer int) *rand.Rand {
	return rand.New(rand.NewPCG(c.seed, uint64(writer)))
}

// each runs a function in one goroutine for each writer, and then closes the proxy, after which
// no request reaches the server.
func (c *chaosRun) each(writer func(g int)) {
	start := time.Now()
	var writers sync.WaitGroup
	for g := range chaosWriters {
		writers.Add(1)
		go func() {
			defer writers.Done()
			writer(g)
		}()
	}
	writers.Wait()
	c.close()
	c.t.Logf("seed %d: %v", c.seed, time.Since(start).Round(time.Millisecond))
}

// violation records that the model was violated.
func (c *chaosRun) violation(class, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.violations[class] = append(c.violations[class], fmt.Sprintf(format, args...))
}

// report logs the counts, and fails the test if there were violations.
func (c *chaosRun) report() {
	exchanges, faults := c.proxy.Counts()
	faulty := 0
	var kinds []string
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		faulty += faults[name]
		kinds = append(kinds, fmt.Sprintf("%s: %d", name, faults[name]))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t.Logf("seed %d: %d writes and %d reads in %d exchanges, %d of them with a fault; %d "+
		"retries; %d refusals; %d allowed failures; "+
		"%d lost, %d duplicated, %d wrong\n\t%s",
		c.seed, c.writes.Load(), c.reads.Load(), exchanges, faulty, c.retries.Load(),
		c.refused.Load(), c.failed.Load(),
		len(c.violations[chaosLost]), len(c.violations[chaosDuplicated]),
		len(c.violations[chaosWrong]), strings.Join(kinds, "\n\t"))
	for class, violations := range c.violations {
		shown := violations[:min(len(violations), 10)]
		c.t.Errorf("seed %d: %d %s:\n%s", c.seed, len(violations), class,
			strings.Join(shown, "\n"))
	}
	if int(c.unseen.Load()) > faulty {
		c.t.Errorf("seed %d: %d attempts did not reach the proxy, and only %d exchanges had a "+
			"fault", c.seed, c.unseen.Load(), faulty)
	}
}

// chaosLog is a slog.Handler that counts attempts and retries, in total and for each call.
type chaosLog struct{ run *chaosRun }

func (l chaosLog) Enabled(context.Context, slog.Level) bool { return true }

func (l chaosLog) WithAttrs([]slog.Attr) slog.Handler { return l }

func (l chaosLog) WithGroup(string) slog.Handler { return l }

func (l chaosLog) Handle(ctx context.Context, r slog.Record) error {
	call := ctx.Value(chaosKey{}).(*chaosCall)
	if r.Level > slog.LevelDebug {
		l.run.retries.Add(1)
		return nil
	}
	method, route := "", ""
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "method":
			method = a.Value.String()
		case "route":
			route = a.Value.String()
		}
		return true
	})
	if chaosIsWrite(method, route) {
		call.attempts.Add(1)
	}
	return nil
}

type chaosKey struct{}

func chaosIsWrite(method, path string) bool {
	return method != http.MethodGet && !strings.HasSuffix(path, "/list/get")
}

// chaosCall is one call of the client, with what the proxy saw of it.
type chaosCall struct {
	chaos.Call
	run *chaosRun

	what          string
	write         bool
	nonIdempotent bool          // each execution of the write changes something
	noRetry       bool          // the write is not retried after an ambiguous attempt
	batched       bool          // the write takes several requests
	streamed      bool          // a new record begins the count of the attempts anew
	getOrAdd      bool          // the write may read first, and is refused without a request
	patient       bool          // the caller never gives up
	timeout       time.Duration // of a caller that gives up early; 0 for the default

	attempts atomic.Int64 // of the write, as logged
	err      error
	all      []chaos.Exchange
	seen     []chaos.Exchange // exchanges of the write, or all of a read
	unseen   int              // attempts of the write that did not reach the proxy
}

// chaosVerdict is what the caller can conclude from the result of a call.
type chaosVerdict int

const (
	acknowledged  chaosVerdict = iota
	exists                     // refused: ErrAlreadyExists
	missing                    // refused: ErrNotFound
	notDone                    // failed, and was not carried out
	possiblyDone               // failed, and may have been carried out
	possiblyLater              // failed, and may still be carried out
)

// do makes the call, and checks everything that does not depend on the record.
func (call *chaosCall) do(c *chaosRun,
	f func(context.Context, ...zep.RequestOption) error) chaosVerdict {
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), chaosKey{}, call))
	defer cancel()
	call.run = c
	if !call.patient {
		call.Cancel = cancel
	}
	opts := []zep.RequestOption{zep.RequestHeader(chaos.Header, call.Label)}
	if call.timeout > 0 {
		opts = append(opts, zep.RequestTimeout(call.timeout))
	}
	if call.write {
		c.writes.Add(1)
	} else {
		c.reads.Add(1)
	}
	unwatch := c.proxy.Watch(&call.Call)
	defer unwatch()
	call.err = f(ctx, opts...)
	if call.err != nil {
		for _, client := range c.clients { // an update that was given up goes on
			_ = client.Wait(context.Background())
		}
	}
	call.all = call.Exchanges()
	for _, x := range call.all {
		if !call.write || chaosIsWrite(x.Method, x.Path) {
			call.seen = append(call.seen, x)
		}
	}
	if call.write {
		call.unseen = int(call.attempts.Load()) - len(call.seen)
		call.checkAttempts()
	}
	return call.judge()
}

// String returns the call with all of its exchanges.
func (call *chaosCall) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, call %s: %s: error: %v", call.run.seed, call.Label, call.what,
		call.err)
	for _, x := range call.all {
		fmt.Fprintf(&b, "\n\t\t%v", x)
	}
	if call.unseen != 0 {
		fmt.Fprintf(&b, "\n\t\t%d attempts not seen by the proxy", call.unseen)
	}
	return b.String()
}

func (call *chaosCall) violation(class, format string, args ...any) {
	call.run.violation(class, "\t%s\n\t%v", fmt.Sprintf(format, args...), call)
}

// done returns how many times the server carried the write out.
func (call *chaosCall) done() (times int) {
	for _, x := range call.seen {
		if x.Done() {
			times++
		}
	}
	return times
}

// heldBack reports whether an attempt was held back: it may have been delivered meanwhile, which the
// exchange does not show.
func (call *chaosCall) heldBack() bool {
	return slices.ContainsFunc(call.seen, func(x chaos.Exchange) bool {
		return strings.HasPrefix(x.Fault, "held back")
	})
}

// ambiguous reports whether the outcome of an attempt to write is unknown to the client.
func (call *chaosCall) ambiguous() bool {
	return call.unseen > 0 ||
		slices.ContainsFunc(call.seen,
			func(x chaos.Exchange) bool { return x.Proof == chaos.Unknown })
}

// lostCreateRace reports whether two adds created the session at the same time and this one's
// messages were not stored.
func (call *chaosCall) lostCreateRace(x chaos.Exchange) bool {
	return x.Proof == chaos.Answered && x.Status == http.StatusBadRequest &&
		strings.HasSuffix(x.Path, "/memory")
}

func (call *chaosCall) judge() chaosVerdict {
	switch err := call.err; {
	case err == nil:
		return acknowledged
	case len(call.seen) > 0 && call.lostCreateRace(call.seen[len(call.seen)-1]):
		call.run.failed.Add(1)
		return call.judgeFailure()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		call.run.failed.Add(1) // it keeps the answer that came before
		return call.judgeFailure()
	case call.getOrAdd && errors.Is(err, zep.ErrAlreadyExists) && !errors.As(err, new(*zep.Error)):
		call.run.refused.Add(1)
		return exists
	case errors.Is(err, zep.ErrAlreadyExists) && !call.getOrAdd, errors.Is(err, zep.ErrNotFound):
		call.run.refused.Add(1)
		return call.judgeRefusal()
	default:
		call.run.failed.Add(1)
		return call.judgeFailure()
	}
}

// checkAttempts checks the number, the order and the timing of the attempts of a write.
func (call *chaosCall) checkAttempts() {
	call.run.unseen.Add(int64(max(call.unseen, 0)))
	if call.unseen < 0 {
		call.violation(chaosDuplicated, "sent %d times more often than the client counted",
			-call.unseen)
	}
	requests := [][]chaos.Exchange{call.seen}
	if call.batched {
		requests = chaosBatches(call.seen)
	}
	if n := int(call.attempts.Load()); n > chaosAttempts*max(len(requests), 1) {
		call.violation(chaosWrong, "%d attempts", n)
	}
	for _, call.seen = range requests {
		if times := call.done(); times > 1 && call.nonIdempotent {
			call.violation(chaosDuplicated, "carried out %d times", times)
		}
		for i, x := range call.seen[:max(len(call.seen)-1, 0)] {
			next := call.seen[i+1]
			switch {
			case next.Began.Before(x.NotBefore):
				call.violation(chaosWrong, "retried %v too soon after %v",
					x.NotBefore.Sub(next.Began), x)
			case strings.HasSuffix(x.Fault, "locked"):
				call.violation(chaosWrong, "retried after %v", x)
			case x.Proof == chaos.Undone, call.lostCreateRace(x):
			case x.Proof == chaos.Unknown && !call.noRetry:
			case x.Proof == chaos.Unknown && x.Fault == "cut before, unread":
				// The client can see that the request was not sent.
			default:
				call.violation(chaosWrong, "retried after %v", x)
			}
		}
	}
}

// chaosTakesLock reports whether an exchange can be an update that waits for a lock of the server.
func chaosTakesLock(x chaos.Exchange) bool {
	return x.Method == http.MethodPatch && !strings.Contains(x.Path, "/messages/") &&
		!strings.Contains(x.Path, "/collection/")
}

// chaosBatches splits the exchanges after each one that was answered.
func chaosBatches(exchanges []chaos.Exchange) (batches [][]chaos.Exchange) {
	begin := 0
	for i, x := range exchanges {
		if x.Proof == chaos.Answered || i == len(exchanges)-1 {
			batches = append(batches, exchanges[begin:i+1])
			begin = i + 1
		}
	}
	return batches
}

// judgeRefusal checks that the server refused the write in the last attempt, and that no earlier
// attempt was carried out.
func (call *chaosCall) judgeRefusal() chaosVerdict {
	if call.write && call.done() > 0 {
		call.violation(chaosWrong, "refused, but carried out by an earlier attempt")
	}
	status, v := http.StatusBadRequest, exists
	if errors.Is(call.err, zep.ErrNotFound) {
		status, v = http.StatusNotFound, missing
	}
	if len(call.seen) == 0 {
		call.violation(chaosWrong, "refused, but no exchange was seen")
		return v
	}
	if last := call.seen[len(call.seen)-1]; last.Proof != chaos.Answered || last.Status != status {
		call.violation(chaosWrong, "refused, but the last exchange was %v", last)
	}
	return v
}

// judgeFailure checks that a call failed only because every allowed attempt failed, or because
// the caller gave up.
func (call *chaosCall) judgeFailure() chaosVerdict {
	var e *zep.Error
	if !errors.As(call.err, &e) {
		call.violation(chaosWrong, "no *zep.Error")
		return possiblyLater
	}
	text := call.err.Error()
	if strings.ContainsAny(text, "\n\r") || strings.Contains(text, "<html") {
		call.violation(chaosWrong, "the error is not one line of text")
	}

	var last chaos.Exchange
	if len(call.all) > 0 {
		last = call.all[len(call.all)-1]
	}
	long := !last.NotBefore.IsZero() && last.NotBefore.Sub(last.Began) > chaosTimeout
	hurried := call.timeout > 0 && errors.Is(call.err, context.DeadlineExceeded)
	cancelled := call.Cancelled() && errors.Is(call.err, context.Canceled)
	// It failed while it checked whether an earlier attempt had been carried out.
	reconciling := call.write && len(call.all) > 0 && !chaosIsWrite(last.Method, last.Path)
	exhausted := e.Attempts == chaosAttempts || call.streamed && e.Attempts > chaosAttempts ||
		reconciling && strings.Contains(text, fmt.Sprintf("(%d attempts)", chaosAttempts))
	clean := func(x chaos.Exchange) bool {
		return x.Proof == chaos.Answered && !call.lostCreateRace(x)
	}
	switch {
	case cancelled, hurried, errors.Is(call.err, zep.ErrLocked):
	case strings.Contains(last.Fault, "504") && chaosTakesLock(last):
	case long && errors.Is(call.err, context.DeadlineExceeded):
	case last.Proof == chaos.Failed && call.write && !reconciling &&
		e.StatusCode == http.StatusInternalServerError:
	case call.noRetry && call.ambiguous() && !reconciling:
	case !exhausted:
		call.violation(chaosWrong, "gave up after %d attempts", e.Attempts)
	case call.write && !reconciling && slices.ContainsFunc(call.seen, clean),
		clean(last) && call.unseen == 0:
		call.violation(chaosWrong, "failed, but there was a response")
	}
	if status := chaosStatus(last.Fault); status != 0 && !reconciling && call.unseen == 0 &&
		!cancelled && !hurried && status != e.StatusCode {
		call.violation(chaosWrong, "status %d, but the last exchange was %v", e.StatusCode, last)
	}
	if !call.write {
		return notDone
	}

	saysMaybe := reconciling || strings.Contains(text, chaosMaybeText) ||
		strings.Contains(text, "could not verify")
	late := func(x chaos.Exchange) bool { return strings.HasSuffix(x.Fault, "late") }
	failedWith500 := last.Proof == chaos.Failed
	switch {
	case call.done() > 0 && !saysMaybe && !failedWith500:
		call.violation(chaosLost, "carried out, but the error does not say so")
		return possiblyLater
	case hurried, cancelled && slices.ContainsFunc(call.all, late):
		return possiblyLater
	case saysMaybe, failedWith500:
		return possiblyDone
	}
	return notDone
}

// chaosStatus returns the HTTP status in the name of a fault, or 0.
func chaosStatus(fault string) (status int) {
	_, _ = fmt.Sscanf(fault, "%3d", &status)
	return status
}

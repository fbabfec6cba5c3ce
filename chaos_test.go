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

// The chaos tests make thousands of calls from many goroutines through a proxy that spoils a
// fifth of the exchanges, and keep a model of what must be true. Every answer has to agree with
// the model, and so has the server in the end.
//
//	go test -run Chaos -chaos.seed=7 -chaos.n=100000
//
// What a goroutine calls, and which faults it meets, follows from the seed; only where
// goroutines meet, at the records that they share, does time have a say. So a failing seed
// nearly always fails again.
var (
	chaosSeed = flag.Uint64("chaos.seed", 0, "seed of the chaos tests; 0 is three of their own")
	chaosN    = flag.Int("chaos.n", 0, "writes of each chaos test; 0 is its own number")
)

const (
	chaosWriters  = 16
	chaosShare    = 0.2
	chaosAttempts = 4 // a client's default

	// chaosTimeout is less than the longest Retry-After that is honoured: after such a one
	// there is no time for another attempt.
	chaosTimeout = 25 * time.Second

	// chaosHedge is how an error says that the call may have been carried out.
	chaosHedge = "may have been carried out"
)

// chaosEachSeed runs a test for each seed.
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

// chaosWrites is how many writes a test makes: as many as it usually does, unless a flag says
// otherwise.
func chaosWrites(usual int) int {
	if *chaosN > 0 {
		return *chaosN
	}
	return usual
}

// chaosRun is a server behind a proxy, a client before it, and what was found out.
type chaosRun struct {
	t      *testing.T
	seed   uint64
	server *zeptest.Server
	proxy  *chaos.Proxy
	client *zep.Client // through the proxy
	direct *zep.Client // straight to the server

	writes, reads, retries, refused, failed, unseen atomic.Int64

	mu         sync.Mutex
	complaints map[string][]string // by class
}

// The classes of complaints.
const (
	chaosLost       = "lost"
	chaosDuplicated = "duplicated"
	chaosWrong      = "wrong" // an error or an answer
)

func newChaosRun(t *testing.T, seed uint64, before func(http.Handler) http.Handler,
	opts ...zeptest.Option) *chaosRun {
	t.Helper()
	c := &chaosRun{
		t:          t,
		seed:       seed,
		server:     zeptest.NewServer(opts...),
		complaints: map[string][]string{},
	}
	t.Cleanup(c.server.Close)
	c.proxy = chaos.New(before(c.server), seed, chaosShare)
	t.Cleanup(c.proxy.Close)
	var err error
	c.client, err = zep.NewClient(zep.WithBaseURL(c.proxy.URL), zep.WithAPIKey(""),
		zep.WithTimeout(chaosTimeout),
		zep.WithBackoff(time.Millisecond, 2*time.Millisecond),
		zep.WithLogger(slog.New(chaosLog{c})))
	require.NoError(t, err)
	c.direct, err = c.server.Client()
	require.NoError(t, err)
	return c
}

// chaosAsItIs puts nothing before the server.
func chaosAsItIs(server http.Handler) http.Handler { return server }

// random is a goroutine's own generator.
func (c *chaosRun) random(writer int) *rand.Rand {
	return rand.New(rand.NewPCG(c.seed, uint64(writer)))
}

// each runs a function in as many goroutines as there are writers, and closes the proxy after
// them: then the server has seen all that it will see.
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
	c.proxy.Close()
	c.t.Logf("seed %d: %v", c.seed, time.Since(start).Round(time.Millisecond))
}

// complain notes what must not be.
func (c *chaosRun) complain(class, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.complaints[class] = append(c.complaints[class], fmt.Sprintf(format, args...))
}

// report fails the test if there were complaints, and tells what happened.
func (c *chaosRun) report() {
	exchanges, faults := c.proxy.Counts()
	spoilt := 0
	var kinds []string
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		spoilt += faults[name]
		kinds = append(kinds, fmt.Sprintf("%s: %d", name, faults[name]))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t.Logf("seed %d: %d writes and %d reads in %d exchanges, %d of them with a fault; %d "+
		"retries; %d refusals; %d allowed failures; "+
		"%d lost, %d duplicated, %d wrong\n\t%s",
		c.seed, c.writes.Load(), c.reads.Load(), exchanges, spoilt, c.retries.Load(),
		c.refused.Load(), c.failed.Load(),
		len(c.complaints[chaosLost]), len(c.complaints[chaosDuplicated]),
		len(c.complaints[chaosWrong]), strings.Join(kinds, "\n\t"))
	for class, complaints := range c.complaints {
		shown := complaints[:min(len(complaints), 10)]
		c.t.Errorf("seed %d: %d %s:\n%s", c.seed, len(complaints), class,
			strings.Join(shown, "\n"))
	}
	if int(c.unseen.Load()) > spoilt {
		c.t.Errorf("seed %d: %d attempts did not reach the proxy, and only %d exchanges had a "+
			"fault", c.seed, c.unseen.Load(), spoilt)
	}
}

// chaosLog is a logger that counts attempts and retries, in all and of each call.
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

// chaosCall is one call of the client's, and what the proxy saw of it.
type chaosCall struct {
	chaos.Call
	run *chaosRun

	what    string
	write   bool
	single  bool          // a write that changes something each time that it is carried out
	final   bool          // a write that is not tried again if its outcome is unknown
	batched bool          // a write in several requests
	timeout time.Duration // of a caller in a hurry

	attempts atomic.Int64 // to write, by the log
	err      error
	all      []chaos.Exchange
	seen     []chaos.Exchange // of the write, or all of a read
	unseen   int              // attempts to write that went into a dead connection
}

// chaosVerdict is what the caller has to make of a call.
type chaosVerdict int

const (
	acknowledged chaosVerdict = iota
	exists                    // refused: ErrAlreadyExists
	missing                   // refused: ErrNotFound
	undone                    // failed, and nothing was done
	maybe                     // failed, and it may have been done
	later                     // failed, and it may even be done later
)

// do makes the call, and checks all that can be said of it without knowing the record.
func (call *chaosCall) do(c *chaosRun,
	f func(context.Context, ...zep.RequestOption) error) chaosVerdict {
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), chaosKey{}, call))
	defer cancel()
	call.run, call.Cancel = c, cancel
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

// String tells a call's whole story.
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

func (call *chaosCall) complain(class, format string, args ...any) {
	call.run.complain(class, "\t%s\n\t%v", fmt.Sprintf(format, args...), call)
}

// done is how often the server carried the write out.
func (call *chaosCall) done() (times int) {
	for _, x := range call.seen {
		if x.Done() {
			times++
		}
	}
	return times
}

// leftOpen says that an attempt to write got no answer that proves anything.
func (call *chaosCall) leftOpen() bool {
	return call.unseen > 0 ||
		slices.ContainsFunc(call.seen,
			func(x chaos.Exchange) bool { return x.Proof == chaos.Unknown })
}

// transient: two adds made the session at once, and this one's messages were not stored.
func (call *chaosCall) transient(x chaos.Exchange) bool {
	return x.Proof == chaos.Answered && x.Status == http.StatusBadRequest &&
		strings.HasSuffix(x.Path, "/memory")
}

func (call *chaosCall) judge() chaosVerdict {
	switch err := call.err; {
	case err == nil:
		return acknowledged
	case len(call.seen) > 0 && call.transient(call.seen[len(call.seen)-1]):
		call.run.failed.Add(1)
		return call.judgeFailure()
	case errors.Is(err, zep.ErrAlreadyExists), errors.Is(err, zep.ErrNotFound):
		call.run.refused.Add(1)
		return call.judgeRefusal()
	default:
		call.run.failed.Add(1)
		return call.judgeFailure()
	}
}

// checkAttempts looks at the attempts of a write, whatever came of them.
func (call *chaosCall) checkAttempts() {
	call.run.unseen.Add(int64(max(call.unseen, 0)))
	if call.unseen < 0 {
		call.complain(chaosDuplicated, "sent %d times more often than the client counted",
			-call.unseen)
	}
	requests := [][]chaos.Exchange{call.seen}
	if call.batched {
		requests = chaosBatches(call.seen)
	}
	if n := int(call.attempts.Load()); n > chaosAttempts*max(len(requests), 1) {
		call.complain(chaosWrong, "%d attempts", n)
	}
	for _, call.seen = range requests {
		if times := call.done(); times > 1 && call.single {
			call.complain(chaosDuplicated, "done %d times", times)
		}
		for i, x := range call.seen[:max(len(call.seen)-1, 0)] {
			next := call.seen[i+1]
			switch {
			case next.Began.Before(x.NotBefore):
				call.complain(chaosWrong, "tried again %v too soon after %v",
					x.NotBefore.Sub(next.Began), x)
			case x.Proof == chaos.Undone, call.transient(x):
			case x.Proof == chaos.Unknown &&
				(!call.final ||
					x.Fault == "cut before, unread"): // the client can see that it was cut
			default:
				call.complain(chaosWrong, "tried again after %v", x)
			}
		}
	}
}

// chaosBatches splits the exchanges where one was answered.
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

// judgeRefusal: the server has to have said so of a write that it had not carried out.
func (call *chaosCall) judgeRefusal() chaosVerdict {
	if call.write && call.done() > 0 {
		call.complain(chaosWrong, "refused, but done by an earlier attempt")
	}
	status, v := http.StatusBadRequest, exists
	if errors.Is(call.err, zep.ErrNotFound) {
		status, v = http.StatusNotFound, missing
	}
	if len(call.seen) == 0 {
		call.complain(chaosWrong, "refused by nobody")
		return v
	}
	if last := call.seen[len(call.seen)-1]; last.Proof != chaos.Answered || last.Status != status {
		call.complain(chaosWrong, "refused, but the last exchange was %v", last)
	}
	return v
}

// judgeFailure: an error is allowed only where every allowed attempt failed, or the caller did
// not wait.
func (call *chaosCall) judgeFailure() chaosVerdict {
	var e *zep.Error
	if !errors.As(call.err, &e) {
		call.complain(chaosWrong, "no *zep.Error")
		return later
	}
	text := call.err.Error()
	if strings.ContainsAny(text, "\n\r") || strings.Contains(text, "<html") {
		call.complain(chaosWrong, "the error is not one line of text")
	}

	var last chaos.Exchange
	if len(call.all) > 0 {
		last = call.all[len(call.all)-1]
	}
	long := !last.NotBefore.IsZero() && last.NotBefore.Sub(last.Began) > chaosTimeout
	hurried := call.timeout > 0 && errors.Is(call.err, context.DeadlineExceeded)
	cancelled := call.Cancelled() && errors.Is(call.err, context.Canceled)
	// It failed while it looked whether an earlier attempt had done it.
	settling := call.write && len(call.all) > 0 && !chaosIsWrite(last.Method, last.Path)
	exhausted := e.Attempts == chaosAttempts ||
		settling && strings.Contains(text, fmt.Sprintf("(%d attempts)", chaosAttempts))
	clean := func(x chaos.Exchange) bool { return x.Proof == chaos.Answered && !call.transient(x) }
	switch {
	case cancelled, hurried:
	case long && errors.Is(call.err, context.DeadlineExceeded):
	case last.Proof == chaos.Failed && call.write && !settling &&
		e.StatusCode == http.StatusInternalServerError:
	case call.final && call.leftOpen() && !settling:
	case !exhausted:
		call.complain(chaosWrong, "gave up after %d attempts", e.Attempts)
	case call.write && !settling && slices.ContainsFunc(call.seen, clean),
		clean(last) && call.unseen == 0:
		call.complain(chaosWrong, "failed, but there was an answer")
	}
	if status := chaosStatus(last.Fault); status != 0 && !settling && call.unseen == 0 &&
		!cancelled && !hurried && status != e.StatusCode {
		call.complain(chaosWrong, "status %d, but the last exchange was %v", e.StatusCode, last)
	}
	if !call.write {
		return undone
	}

	hedged := strings.Contains(text, chaosHedge) || strings.Contains(text, "cannot be told") ||
		settling
	by500 := last.Proof == chaos.Failed
	switch {
	case call.done() > 0 && !hedged && !by500:
		call.complain(chaosLost, "done, and the error says nothing of it")
		return later
	case hurried,
		cancelled &&
			slices.ContainsFunc(call.all,
				func(x chaos.Exchange) bool { return strings.HasSuffix(x.Fault, "late") }):
		return later
	case hedged, by500:
		return maybe
	}
	return undone
}

// chaosStatus is the status in a fault's name, 0 for none.
func chaosStatus(fault string) (status int) {
	_, _ = fmt.Sscanf(fault, "%3d", &status)
	return status
}

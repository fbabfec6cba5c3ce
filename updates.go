package zep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/zep-go/zep/internal/fifo"
)

// Locker orders updates over all processes that share it. Clients of one Zep server share one, and
// those of another server have another.
//
// Lock waits until the key is free and takes it, or returns an error when ctx ends or the lock
// cannot be had. unlock gives the key back; it is called once, also when ctx has ended by then.
// held ends when the lock is lost before that; it may be ctx itself, or derived from it: ctx ends
// no sooner than unlock is called, if Lock has succeeded. Lock is called from many goroutines at
// once, for different keys and for the same one. An update takes at most two keys, in sorted
// order, a record's and the one of all metadata updates; the second ctx has the values of the
// first held, so that a Locker with a bounded number of connections can tell it from a first.
type Locker interface {
	Lock(ctx context.Context, key string) (held context.Context, unlock func(), err error)
}

// Wait waits until no request goes on of an update that was given up, or until the context ends,
// whose error it returns. A metadata update whose context ends, or that runs out of time, fails
// at once, but its request is allowed to finish for at most 30 s, because Zep leaves the record
// locked when a request is cut. With [WithConcurrentUpdates], and in [Client.Do], it is cut all the
// same. Call Wait before the end of main, or of a test that looks for goroutines.
func (c *Client) Wait(ctx context.Context) error {
	b := c.background
	b.mu.Lock()
	idle := b.idle
	if b.n == 0 {
		idle = nil
	}
	b.mu.Unlock()
	if idle == nil {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return contextErr(ctx)
	}
}

const (
	// passOnAfter is how long an update may keep the turn of metadata updates. One that is
	// without a response for so long mostly waits for a lock on the server, and holds none.
	passOnAfter = 5 * time.Second

	// finishWithin is how long a metadata update may go on after it was given up.
	finishWithin = 30 * time.Second
)

// update is what a call says of the records that it updates. The zero update is none.
type update struct {
	records []record // each once
	lock    record   // what a Locker locks for them

	// metadata says that the server takes its locks: of metadata of a user or a session. These pass
	// one at a time, whichever records they are of.
	metadata bool

	// finish says that a request that is cut leaves the record locked on the server.
	finish bool
}

// record is what updates are ordered by: a kind of resource, and its id.
type record struct{ kind, id string }

// allMetadata stands for the turn of metadata updates. As a key it is sorted after those of
// records.
var allMetadata = []record{{kind: "zep-metadata"}}

func (r record) key() string {
	if r.id == "" {
		return r.kind
	}
	return r.kind + "/" + r.id
}

// updateOf is an update of one record.
func updateOf(kind, id string) update {
	r := record{kind, id}
	return update{records: []record{r}, lock: r}
}

// metadataUpdateOf is an update of a user or a session. The server takes a lock only for metadata.
func metadataUpdateOf(kind, id string, metadata Metadata) update {
	u := updateOf(kind, id)
	u.metadata = len(metadata) > 0
	u.finish = u.metadata
	return u
}

// turn is the right of an update to be sent. It ends with its last holder: the call, and a request
// that goes on after the call was given up.
type turn struct {
	client  *Client
	record  fifo.Waiter[record]
	updates fifo.Waiter[record] // of metadata updates
	lock    lock
	all     lock // of metadata updates

	mu      sync.Mutex
	holders int
	passed  bool        // the turn of metadata updates is passed on
	timer   *time.Timer // passes it on
}

// takeTurn waits until an update may be sent, until the context ends, or for the timeout. It
// returns what the update waited for with an error.
func (c *Client) takeTurn(
	ctx context.Context, u update, timeout time.Duration,
) (*turn, string, error) {
	deadline := time.Now().Add(timeout)
	t := &turn{client: c, holders: 1, passed: true}
	if err := c.updates.Acquire(ctx, deadline, &t.record, u.records); err != nil {
		return nil, fmt.Sprintf("waiting for earlier updates of the same record (%d in front)",
			t.record.InFront()), err
	}
	if err := t.lock.acquire(ctx, deadline, c.locker, u.lock); err != nil {
		t.release()
		return nil, fmt.Sprintf("the lock of %q: %v", u.lock.key(), err), err
	}
	if !u.metadata || c.parallelUpdates {
		return t, "", nil
	}
	t.passed = false
	if err := c.updates.Acquire(ctx, deadline, &t.updates, allMetadata); err != nil {
		t.passed = true
		t.release()
		return nil, fmt.Sprintf("waiting for earlier metadata updates (%d in front)",
			t.updates.InFront()), err
	}
	if err := t.all.acquire(t.lock.within(ctx), deadline, c.locker, allMetadata[0]); err != nil {
		t.release()
		return nil, fmt.Sprintf("the lock of all metadata updates: %v", err), err
	}
	t.timer = time.AfterFunc(c.passOnAfter, t.passOn)
	return t, "", nil
}

// passOn lets the next metadata update go, while the turn of the record is kept.
func (t *turn) passOn() {
	t.mu.Lock()
	passed := t.passed
	t.passed = true
	t.mu.Unlock()
	if !passed {
		t.all.release()
		t.client.updates.Release(&t.updates)
	}
}

// hold adds a holder of the turn.
func (t *turn) hold() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.holders++
}

// release ends the turn with its last holder.
func (t *turn) release() {
	t.mu.Lock()
	t.holders--
	last := t.holders == 0
	t.mu.Unlock()
	if !last {
		return
	}
	if t.timer != nil {
		t.timer.Stop()
	}
	t.passOn()
	t.lock.release()
	t.client.updates.Release(&t.record)
}

// lost returns why a lock of the turn was lost, nil if none was.
func (t *turn) lost() error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.lock.lost()
	if err == nil && !t.passed {
		err = t.all.lost()
	}
	return err
}

// lock is a key that is held of a Locker. The zero lock holds none.
type lock struct {
	held   context.Context
	cancel context.CancelFunc
	unlock func()
}

// acquire locks the key of a record. The context bounds the wait, but not the lock.
func (l *lock) acquire(ctx context.Context, deadline time.Time, locker Locker, r record) error {
	if locker == nil {
		return nil
	}
	ctx, end := context.WithDeadline(ctx, deadline)
	defer end()
	lockCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	held, unlock, err := locker.Lock(lockCtx, r.key())
	if !stop() && err == nil { // the wait ended when the key was free already
		unlock()
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
			err = fmt.Errorf("%w (%w)", err, ended) // the Locker was told to give up by a cancellation
		}
		return err
	}
	*l = lock{held: held, cancel: cancel, unlock: unlock}
	return nil
}

// within returns the context with the values of held instead of its own, so that a Locker knows a
// second key of the same update, and does not let it wait behind others' first ones.
func (l *lock) within(ctx context.Context) context.Context {
	if l.held == nil {
		return ctx
	}
	return valuesOf{ctx, l.held}
}

// valuesOf is a context with the values of another one.
type valuesOf struct {
	context.Context
	values context.Context
}

func (c valuesOf) Value(key any) any { return c.values.Value(key) }

func (l *lock) release() {
	if l.unlock != nil {
		l.unlock()
		l.cancel()
	}
}

func (l *lock) lost() error {
	if l.held == nil {
		return nil
	}
	return context.Cause(l.held)
}

// letFinish is the transport of a metadata update. When the context of the request ends, the call
// gets its error at once, but the request is not cut: the server would not give its lock back.
// The turn is kept until the response comes, for at most finishWithin more.
type letFinish struct {
	next  http.RoundTripper
	turn  *turn
	trace *sendTrace
	cut   time.Duration // after which the caller's http.Client cuts it; 0 for never
}

// roundTrip is the result of a RoundTripper.
type roundTrip struct {
	resp     *http.Response
	err      error
	panicked any
}

func (l letFinish) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := detached(req.Context(), l.cut)
	l.trace.cancel = cancel
	results := make(chan roundTrip, 1)
	go func() {
		result := roundTrip{err: errors.New("the http.RoundTripper ended its goroutine")}
		defer func() {
			result.panicked = recover()
			results <- result
		}()
		result.resp, result.err = l.next.RoundTrip(req.WithContext(ctx))
	}()
	select {
	case result := <-results:
		return result.deliver(req.Context(), cancel)
	case <-req.Context().Done():
	}
	l.turn.hold()
	l.turn.client.background.add()
	if l.trace.giveUp() {
		time.AfterFunc(l.turn.client.finishWithin, cancel)
	} else {
		cancel()
	}
	go func() { l.finish(<-results, cancel) }()
	return nil, contextErr(req.Context())
}

// detached returns a context that does not end with the given one, but after the limit, if there is
// one.
func detached(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx = context.WithoutCancel(ctx)
	if limit > 0 {
		return context.WithTimeout(ctx, limit)
	}
	return context.WithCancel(ctx)
}

// deliver returns the result in the goroutine of the call. From here on the request ends with the
// context of the call again.
func (r roundTrip) deliver(ctx context.Context, cancel func()) (*http.Response, error) {
	if r.panicked != nil {
		cancel()
		panic(r.panicked)
	}
	if r.err != nil || r.resp == nil {
		cancel()
		return r.resp, r.err
	}
	if r.resp.Body == nil {
		r.resp.Body = http.NoBody
	}
	r.resp.Body = &closingBody{r.resp.Body, ctx, context.AfterFunc(ctx, cancel), cancel}
	return r.resp, nil
}

// finish ends a request that was given up, once it is answered.
func (l letFinish) finish(result roundTrip, cancel func()) {
	if result.resp != nil && result.resp.Body != nil {
		_, _ = io.CopyN(io.Discard, result.resp.Body, maxErrorDrain)
		_ = result.resp.Body.Close()
	}
	cancel()
	l.turn.release()
	l.turn.client.background.done()
}

// closingBody is a body that the end of ctx cuts: stop keeps it from that, and cancel ends the
// request.
type closingBody struct {
	io.ReadCloser
	ctx    context.Context
	stop   func() bool
	cancel context.CancelFunc
}

func (b *closingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && b.ctx.Err() != nil {
		err = b.ctx.Err() // the request was canceled for it
	}
	return n, err
}

func (b *closingBody) Close() error {
	defer b.cancel()
	b.stop()
	return b.ReadCloser.Close()
}

// background counts the requests that go on after their calls were given up.
type background struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n is 0 again
}

func (b *background) add() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n == 0 {
		b.idle = make(chan struct{})
	}
	b.n++
}

func (b *background) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n--; b.n == 0 {
		close(b.idle)
	}
}

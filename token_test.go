package zep

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/internal/redact"
)

// tokens returns a source that gives the tokens one after the other, the last one again and again.
func tokens(values ...string) func(context.Context) (string, error) {
	var asked atomic.Int32
	return func(context.Context) (string, error) {
		return values[min(int(asked.Add(1)), len(values))-1], nil
	}
}

func TestWithTokenSource_EveryAttempt(t *testing.T) {
	t.Parallel()
	source := tokens("token-a", "Bearer token-b\n", "", "token-c", "token-d", "token-e",
		"token-f")
	c, s, _ := scripted(t, []Option{WithTokenSource(source)}, answers(503, ""), neverDialled,
		answers(429, ""), answers(200, janeJSON), answers(200, "."), answers(200, janeJSON))
	ctx := context.Background()
	_, err := c.User.Get(ctx, "jane")
	require.NoError(t, err)
	_, err = c.Health(ctx)
	require.NoError(t, err)
	_, err = c.User.Get(ctx, "jane", RequestHeader("Authorization", "Bearer own"))
	require.NoError(t, err)
	var sent []string
	for _, request := range s.requests() {
		sent = append(sent, strings.Join(request.header["Authorization"], ","))
	}
	assert.Equal(t, []string{
		"Bearer token-a", "Bearer token-b", "", "Bearer token-c", "Bearer token-d", "Bearer own",
	}, sent)
	token, err := source(ctx)
	require.NoError(t, err)
	assert.Equal(t, "token-e", token, "it was not asked for a call with a header of its own")
}

func TestWithTokenSource_EveryCall(t *testing.T) {
	eachServiceCall(t, func(t *testing.T, name string, call serviceCall) {
		opts := []Option{WithTokenSource(tokens("the-token"))}
		c, s, _ := scripted(t, opts, call.steps()...)
		require.NoError(t, invoke(context.Background(), c, name, call.args))
		for _, request := range s.requests() {
			assert.Equal(t, []string{"Bearer the-token"}, request.header["Authorization"])
		}
		cause := errors.New("no token today")
		c, s, _ = scripted(t, []Option{WithTokenSource(
			func(context.Context) (string, error) { return "", cause })})
		err := invoke(context.Background(), c, name, call.args)
		assert.Empty(t, s.requests())
		if len(call.answers) > 0 {
			require.ErrorIs(t, err, cause)
			require.ErrorContains(t, err, "WithTokenSource: no token today")
			require.NotErrorIs(t, err, ErrAmbiguous)
			assert.Zero(t, requireError(t, err).Attempts)
		}
	})
}

// TestWithTokenSource_ErrorAfterAttempt checks that the error of the function is that of the call,
// and what it says of the attempts before.
func TestWithTokenSource_ErrorAfterAttempt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		first     step
		ambiguous bool
	}{
		"lost":    {answerLost, true},
		"refused": {answers(429, "slow down"), false},
		"unsent":  {neverDialled, false},
	} {
		cause := fmt.Errorf("login failed: %w", &textTimeout{})
		first := tokens("token-a", "")
		c, s, _ := scripted(t, []Option{WithTokenSource(func(ctx context.Context) (string, error) {
			if token, _ := first(ctx); token != "" {
				return token, nil
			}
			return "", cause
		})}, test.first)
		_, err := c.User.Add(context.Background(), &CreateUserRequest{UserID: "jane"})
		var inner *textTimeout
		require.ErrorAs(t, err, &inner, name)
		require.ErrorIs(t, err, context.DeadlineExceeded, name)
		require.ErrorContains(t, err, "zep: POST /zep/api/v1/user: WithTokenSource: login failed: slow")
		assert.Equal(t, test.ambiguous, errors.Is(err, ErrAmbiguous), name)
		e := requireError(t, err)
		assert.Equal(t, 1, e.Attempts)
		assert.Zero(t, e.StatusCode, "the words of the function, not of an earlier answer")
		assert.Len(t, s.requests(), 1)
		assert.True(t, idle(c.updates))
	}
}

// textTimeout is an error that looks like the end of the call's time, as those of http.Client do.
type textTimeout struct{}

func (*textTimeout) Error() string { return "slow" }

func (*textTimeout) Is(target error) bool { return target == context.DeadlineExceeded }

// TestWithTokenSource_Secrets checks that no token of a call is shown, also not an earlier one, or
// one that came with an error.
func TestWithTokenSource_Secrets(t *testing.T) {
	t.Parallel()
	other := "0123456789-the-first-token-9876543210"
	echo := func(req *http.Request) (*http.Response, error) {
		text := other + " " + secret
		return answers(429, text, "X-Echo", other, "Location", "/"+other)(req)
	}
	redirect := answers(302, "", "Location", "http://zep.test/"+other)
	assertClean := func(text string) {
		t.Helper()
		assertNoSecret(t, text)
		for i := range len(other) - 7 {
			require.NotContains(t, text, other[i:i+8])
		}
	}
	for _, last := range []step{echo, redirect, failsWith(errors.New("broken at " + other))} {
		opt := WithTokenSource(tokens(other, secret))
		c, s, _ := scripted(t, []Option{opt},
			answers(429, other, "X-Echo", other), last, last, last)
		var captured *http.Response
		_, err := c.User.Get(context.Background(), "jane", CaptureResponse(&captured))
		e := requireError(t, err)
		assertClean(formatted(t, e, *e, fmt.Errorf("wrapped: %w", err), c, *c, c.config, opt))
		for _, cause := range errorTree(err) {
			assertClean(cause.Error())
		}
		require.Contains(t, err.Error(), redact.Mark)
		assertClean(shown(t, captured))
		sent := s.requests()
		assert.Equal(t, "Bearer "+other, sent[0].header.Get("Authorization"))
		assert.Equal(t, "Bearer "+secret, sent[1].header.Get("Authorization"))
	}
	c, _, _ := scripted(t, []Option{WithTokenSource(func(context.Context) (string, error) {
		return other, errors.New("is expired: " + other)
	})})
	_, err := c.User.Get(context.Background(), "jane")
	require.ErrorContains(t, err, "WithTokenSource: is expired: "+redact.Mark)
	for _, cause := range errorTree(err) {
		assertClean(cause.Error())
	}
}

func TestWithTokenSource_Refused(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]string{
		" ":             "the token is empty but for white space or the word Bearer",
		"p4ss w0rd":     "the token has white space in it: set the bare token (it is not shown here)",
		"p4ss\x00w0rd":  "the token has a control character in it",
		"\"p4ssw0rd\"":  "the token has a quotation mark",
		"p4ssw0rd\xff":  "the token has a character that is not ASCII in it",
		"Token p4ssw0r": "the token has white space in it",
	} {
		c, s, _ := scripted(t, []Option{WithTokenSource(tokens(token))})
		_, err := c.User.Get(context.Background(), "jane")
		require.ErrorContains(t, err, "WithTokenSource: "+want)
		assert.NotContains(t, err.Error(), "p4ss")
		assert.Empty(t, s.requests())
	}
}

func TestWithTokenSource_Options(t *testing.T) {
	source := tokens("the-token")
	t.Setenv(envAPIKey, "not\na\nkey")
	_, err := NewClient(WithBaseURL(mockURL), WithTokenSource(source))
	require.NoError(t, err, "the environment's key is not read")
	_, err = NewClient(WithTokenSource(source), WithAPIKey(""))
	require.NoError(t, err)
	const both = "WithAPIKey and WithTokenSource exclude each other: leave one of them out"
	_, err = NewClient(WithTokenSource(source), WithAPIKey(secret))
	require.ErrorContains(t, err, both)
	_, err = NewClient(WithAPIKey(secret), WithTokenSource(source))
	require.ErrorContains(t, err, both)
	_, err = NewClient(WithTokenSource(nil))
	require.ErrorContains(t, err, "WithTokenSource: the function is nil")
}

// sourceOf returns a source that reports each run, with its context, and waits for its result.
func sourceOf(t *testing.T) (func(context.Context) (string, error), <-chan tokenAsk) {
	asks := make(chan tokenAsk)
	return func(ctx context.Context) (string, error) {
		ask := tokenAsk{ctx, make(chan string)}
		asks <- ask
		select {
		case token := <-ask.answer:
			return token, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}, asks
}

type tokenAsk struct {
	ctx    context.Context
	answer chan string
}

// TestWithTokenSource_Leaves checks that a call that waits for a token leaves with its own context,
// and that calls share the function.
func TestWithTokenSource_Leaves(t *testing.T) {
	t.Parallel()
	source, asks := sourceOf(t)
	c, s, _ := scripted(t, []Option{WithTokenSource(source)},
		repeat(40, answers(200, janeJSON))...)
	type key struct{}
	ctx, leave := context.WithCancelCause(context.WithValue(context.Background(), key{}, "mine"))
	get := func(ctx context.Context) <-chan error {
		done := make(chan error, 1)
		go func() {
			_, err := c.User.Get(ctx, "jane")
			done <- err
		}()
		return done
	}
	leaver := get(ctx)
	ask := <-asks
	assert.Nil(t, ask.ctx.Value(key{}), "the token is not for one call alone")
	gone := errors.New("gone")
	leave(gone)
	err := <-leaver
	require.ErrorIs(t, err, gone)
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, requireError(t, err).Attempts)
	<-ask.ctx.Done()

	var others []<-chan error
	for range 40 {
		others = append(others, get(context.Background()))
	}
	for _, done := range others {
		for waiting := true; waiting; {
			select {
			case ask := <-asks:
				close(ask.answer)
			case err := <-done:
				require.NoError(t, err)
				waiting = false
			}
		}
	}
	assert.Len(t, s.requests(), 40)
}

// TestShareRuns checks that the callers that come during a run get its result, that one that leaves
// does not end it, and that it ends with the last.
func TestShareRuns(t *testing.T) {
	t.Parallel()
	source, asks := sourceOf(t)
	shared := shareRuns(source, time.Hour)
	var group sync.WaitGroup
	var waiting atomic.Int32
	ask := func(ctx context.Context, want string, wantErr error) {
		group.Add(1)
		waiting.Add(1)
		go func() {
			defer group.Done()
			token, err := shared(signalDone{ctx, func() { waiting.Add(-1) }})
			assert.Equal(t, want, token)
			assert.ErrorIs(t, err, wantErr)
		}()
	}
	ctx, cancel := context.WithCancel(context.Background())
	for range 20 {
		ask(ctx, "", context.Canceled)
	}
	first := <-asks
	waitUntil(t, "all wait", func() bool { return waiting.Load() == 0 })
	cancel()
	<-first.ctx.Done() // the last one has left
	group.Wait()

	ctx, cancel = context.WithCancel(context.Background())
	ask(ctx, "", context.Canceled)
	second := <-asks // a run that was given up is not joined
	left := make(chan struct{})
	go func() { group.Wait(); close(left) }()
	others := make(chan error, 20)
	for range cap(others) {
		waiting.Add(1)
		go func() {
			token, err := shared(signalDone{context.Background(), func() { waiting.Add(-1) }})
			assert.Equal(t, "token", token)
			others <- err
		}()
	}
	waitUntil(t, "all wait", func() bool { return waiting.Load() == 0 })
	cancel()
	<-left
	require.NoError(t, second.ctx.Err(), "the others wait")
	second.answer <- "token"
	for range cap(others) {
		require.NoError(t, <-others)
	}
	require.Error(t, second.ctx.Err(), "a run that has ended keeps nothing")
}

// TestShareRuns_Hangs checks that a run that does not end, and for which a caller still waits, does
// not keep later callers from a token.
func TestShareRuns_Hangs(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	first := make(chan context.Context, 1)
	var runs atomic.Int32
	shared := shareRuns(func(ctx context.Context) (string, error) {
		if runs.Add(1) == 1 {
			first <- ctx
			<-release
		}
		return "token", nil
	}, 10*time.Millisecond)
	waiter := make(chan error, 1)
	go func() {
		_, err := shared(context.Background())
		waiter <- err
	}()
	hanging := <-first
	select {
	case <-hanging.Done():
	case <-time.After(5 * time.Second): // as without a limit
	}
	later, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	token, err := shared(later)
	close(release)
	require.NoError(t, err)
	assert.Equal(t, "token", token)
	require.ErrorIs(t, hanging.Err(), context.DeadlineExceeded)
	require.NoError(t, <-waiter)
}

// signalDone is a context that reports when it is first waited for.
type signalDone struct {
	context.Context
	waitedFor func()
}

func (c signalDone) Done() <-chan struct{} {
	c.waitedFor()
	return c.Context.Done()
}

// TestWithTokenSource_Hangs checks that a function that does not return is waited for as long as
// the call may take.
func TestWithTokenSource_Hangs(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	returned := make(chan struct{})
	c, s, _ := scripted(t, []Option{WithTokenSource(func(context.Context) (string, error) {
		defer close(returned)
		<-release
		return "late", nil
	})})
	_, err := c.User.Get(context.Background(), "jane", RequestTimeout(20*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "WithTokenSource: context deadline exceeded")
	assert.Equal(t, 1, strings.Count(err.Error(), "deadline"))
	assert.Empty(t, s.requests())
	close(release)
	<-returned
}

func TestWithTokenSource_Panics(t *testing.T) {
	t.Parallel()
	c, _, _ := scripted(t, []Option{WithTokenSource(
		func(context.Context) (string, error) { panic("at the source") })})
	assert.PanicsWithValue(t, "at the source", func() {
		_ = c.User.Delete(context.Background(), "jane")
	})
	c, _, _ = scripted(t, []Option{WithTokenSource(
		func(context.Context) (string, error) { runtime.Goexit(); return "", nil })})
	_, err := c.User.Get(context.Background(), "jane")
	require.ErrorContains(t, err, "WithTokenSource: the function did not return")
}

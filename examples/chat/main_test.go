package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

func TestMain(m *testing.M) {
	os.Unsetenv("ZEP_API_URL") // the tests stay in this process
	goleak.VerifyTestMain(m)
}

// story is what the script's runs print.
var story = []string{`
Run 1 of the conversation chat. It is new.
  jane       Hello!
  assistant  Hello! Tell me what to remember, and ask me for it later.
  jane       My sister Ann lives in Bergen.
  assistant  I will remember that.
  jane       She keeps bees, and sells the honey.
  assistant  I will remember that.
  jane       I must not eat nuts.
  assistant  I will remember that.
  jane       Bye!
  assistant  Goodbye.
`, `
Run 2 of the conversation chat. The last 4 of 10 messages:
  jane       I must not eat nuts.
  assistant  I will remember that.
  jane       Bye!
  assistant  Goodbye.
And now:
  jane       Hello again!
  assistant  Welcome back.
  jane       Where does my sister live?
  (search)   0.37  My sister Ann lives in Bergen.
  (search)   0.00  She keeps bees, and sells the honey.
  assistant  You told me in run 1: "My sister Ann lives in Bergen."
  jane       What must I not eat?
  (search)   0.80  I must not eat nuts.
  (search)   0.00  My sister Ann lives in Bergen.
  assistant  You told me in run 1: "I must not eat nuts."
  jane       I have a ticket for the night train to Bergen on Friday.
  assistant  I will remember that.
  jane       Bye!
  assistant  Goodbye.
`, `
Run 3 of the conversation chat. The last 4 of 20 messages:
  jane       I have a ticket for the night train to Bergen on Friday.
  assistant  I will remember that.
  jane       Bye!
  assistant  Goodbye.
And now:
  jane       When does my train leave?
  (search)   0.18  My sister Ann lives in Bergen.
  (search)   0.13  I have a ticket for the night train to Bergen on Friday.
  assistant  You told me in run 2: "I have a ticket for the night train to Bergen on Friday."
  jane       Who sells honey?
  (search)   0.44  She keeps bees, and sells the honey.
  (search)   0.00  My sister Ann lives in Bergen.
  assistant  You told me in run 1: "She keeps bees, and sells the honey."
  jane       What is my brother called?
  (search)   0.18  My sister Ann lives in Bergen.
  (search)   0.00  She keeps bees, and sells the honey.
  assistant  You have not told me.
  jane       Thank you!
  assistant  You are welcome.
  jane       Bye!
  assistant  Goodbye.
`}

var scripted = settings{user: "jane", session: "chat", last: 4}

// typed are the settings of a run in which the user says lines.
func typed(lines string) settings {
	s := scripted
	s.interactive, s.in = true, strings.NewReader(lines)
	return s
}

func newServer(t *testing.T, opts ...zeptest.Option) (*zeptest.Server, *zep.Client) {
	t.Helper()
	server := zeptest.NewServer(opts...)
	t.Cleanup(server.Close)
	client, err := server.Client(zep.WithBackoff(0, 0))
	require.NoError(t, err)
	return server, client
}

// talked is what one run prints.
func talked(t *testing.T, client *zep.Client, s settings) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, talk(context.Background(), &out, client, s))
	return out.String()
}

func TestRun(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), &out, scripted))
	greeting, rest, _ := strings.Cut(out.String(), "\n")
	assert.Regexp(t, `^Zep 0\.\d+\.\d+\S* .*is there\.$`, greeting)
	assert.Equal(t, strings.Join(story, ""), rest)
}

// TestRunsOfTheProgram: with a server, the runs of the program are those of the conversation, and there is always one more.
func TestRunsOfTheProgram(t *testing.T) { // t.Setenv: not in parallel
	server, _ := newServer(t)
	t.Setenv("ZEP_API_URL", server.URL)
	t.Setenv("ZEP_API_KEY", "")
	for i := range 4 {
		var out bytes.Buffer
		require.NoError(t, run(context.Background(), &out, scripted))
		_, rest, _ := strings.Cut(out.String(), "\n")
		rest, again := strings.CutSuffix(rest, "\nRun it again, and the conversation goes on.\n")
		assert.True(t, again)
		if i < len(story) {
			assert.Equal(t, story[i], rest)
			continue
		}
		assert.Contains(t, rest, "\nRun 4 of the conversation chat. The last 4 of 30 messages:\n")
		assert.Contains(t, rest, "And now:\n  jane       Hello!\n  assistant  Welcome back.\n  jane       My sister Ann lives in Bergen.\n")
	}

	s := scripted
	s.forget = true
	for _, want := range []string{"The session chat is forgotten.", "There is no session chat to forget."} {
		var out bytes.Buffer
		require.NoError(t, run(context.Background(), &out, s))
		assert.Contains(t, out.String(), want)
	}
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), &out, scripted))
	assert.Contains(t, out.String(), story[0], "the conversation begins anew")
}

func TestInteractive(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), &out, typed("\n  hi  \nThe key is under the mat.\nWhere is the key?\nbye\nThis is not read.\n")))
	_, rest, _ := strings.Cut(out.String(), "\n")
	assert.Equal(t, `Say something. Ask, and it is recalled. End with "bye".
What you say is gone in the end: set ZEP_API_URL to a server's address to keep it.

Run 1 of the conversation chat. It is new.
  jane       hi
  assistant  Hello! Tell me what to remember, and ask me for it later.
  jane       The key is under the mat.
  assistant  I will remember that.
  jane       Where is the key?
  (search)   0.71  The key is under the mat.
  assistant  You just told me: "The key is under the mat."
  jane       bye
  assistant  Goodbye.
`, rest)
}

// TestTerminal: a terminal shows what is typed, so the program prints what goes before it, and no more.
func TestTerminal(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	s := typed("Thanks.\n\n") // and the end of the input
	s.terminal = true
	assert.Equal(t, `
Run 1 of the conversation chat. It is new.
  jane         assistant  You are welcome.
  jane         jane       
`, talked(t, client, s))
}

// TestAMixOfRuns: what is typed and what is in the script are one conversation, and whose it is.
func TestAMixOfRuns(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	assert.Contains(t, talked(t, client, typed("My brother is called Tom.")), "I will remember that.\n")
	talked(t, client, scripted)
	assert.Contains(t, talked(t, client, scripted), `You told me in run 1: "My brother is called Tom."`)

	s := scripted
	s.user = "joe"
	err := talk(context.Background(), new(bytes.Buffer), client, s)
	assert.ErrorContains(t, err, `the session chat is of the user "jane", not of "joe": choose another -session`)
	s.session = "another"
	out := talked(t, client, s)
	assert.Contains(t, out, "It is new.\n  joe        Hello!\n")
}

// TestSearchesThatMissWhatIsNew: the answers are the same if the server has embedded nothing yet.
func TestSearchesThatMissWhatIsNew(t *testing.T) {
	t.Parallel()
	server, client := newServer(t, zeptest.WithDelayedEnrichment())
	found := regexp.MustCompile(`  \((search|recent)\) .*\n`)
	for i := range story {
		out := talked(t, client, scripted)
		assert.NotContains(t, out, "(search)")
		assert.Equal(t, i > 0, strings.Contains(out, "(recent)"))
		assert.Equal(t, found.ReplaceAllString(story[i], ""), found.ReplaceAllString(out, ""))
	}
	server.Enrich()
	assert.Contains(t, talked(t, client, typed("Where does my sister live?")), `
  (search)   0.37  My sister Ann lives in Bergen.
  (search)   0.00  She keeps bees, and sells the honey.
  assistant  You told me in run 1: "My sister Ann lives in Bergen."
`)
}

func TestSummary(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	talked(t, client, scripted)
	require.NoError(t, server.SetSummary("chat", "Jane tells of her sister."))
	assert.Contains(t, talked(t, client, scripted), `The last 4 of 10 messages:
  (before)   Jane tells of her sister.
  jane       I must not eat nuts.
`)
}

// TestAnAnswerThatIsLost: what was said is kept once.
func TestAnAnswerThatIsLost(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	server.Inject(
		zeptest.Fault{Method: "POST", Route: "/user", Status: 502, Apply: true},
		zeptest.Fault{Method: "POST", Route: "/sessions", Status: 502, Apply: true},
		zeptest.Fault{Method: "POST", Route: "/sessions/{sessionId}/memory", Cut: true, Apply: true},
	)
	assert.Equal(t, story[0], talked(t, client, scripted))
	assert.Equal(t, story[1], talked(t, client, scripted))
}

// TestNotPublished: messages that were stored, and not handed on, are no reason to stop talking.
func TestNotPublished(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	server.Inject(zeptest.Fault{
		Method: "POST", Route: "/sessions/{sessionId}/memory", Status: 500, Apply: true,
		Body: "failed to publish new messages: no connection\n",
	})
	assert.Equal(t, story[0], talked(t, client, scripted))
	assert.Equal(t, story[1], talked(t, client, scripted))
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, method, route string }{
		{"the user", "POST", "/user"},
		{"the session", "POST", "/sessions"},
		{"the count of runs", "PATCH", "/sessions/{sessionId}"},
		{"the last messages", "GET", "/sessions/{sessionId}/memory"},
		{"the number of messages", "GET", "/sessions/{sessionId}/messages"},
		{"a search", "POST", "/sessions/{sessionId}/search"},
		{"keeping what was said", "POST", "/sessions/{sessionId}/memory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, client := newServer(t)
			server.Inject(zeptest.Fault{Method: test.method, Route: test.route, Status: 500, Body: "disk full\n", Times: -1})
			err := talk(context.Background(), new(bytes.Buffer), client, typed("Who?\n"))
			require.ErrorIs(t, err, zep.ErrServer)
			assert.ErrorContains(t, err, "disk full")
		})
	}
	s := scripted
	s.last = 0
	assert.ErrorContains(t, run(context.Background(), new(bytes.Buffer), s), "-last 0: want at least 1")
}

// TestCalledOff: an interrupt ends the wait for a line.
func TestCalledOff(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	ctx, cancel := context.WithCancel(context.Background())
	silence, end := io.Pipe()
	defer end.Close()
	s := typed("")
	s.in = readerFunc(func(p []byte) (int, error) {
		cancel()
		return silence.Read(p)
	})
	assert.ErrorIs(t, talk(ctx, new(bytes.Buffer), client, s), context.Canceled)
}

func TestInputThatFails(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	s := typed("")
	s.in = readerFunc(func([]byte) (int, error) { return 0, io.ErrUnexpectedEOF })
	assert.ErrorIs(t, talk(context.Background(), new(bytes.Buffer), client, s), io.ErrUnexpectedEOF)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

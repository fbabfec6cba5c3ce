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
	os.Unsetenv("ZEP_API_URL") // the tests use the server in this process
	goleak.VerifyTestMain(m)
}

// story has the output of the script's runs.
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

// typed returns the settings of a run in which the user types lines.
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

// talked returns the output of one run.
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
	assert.Regexp(t, `^Connected to Zep 0\.\d+\.\d+\S* .*\.$`, greeting)
	assert.Equal(t, strings.Join(story, ""), rest)
}

// TestRun_ServerInEnvironment continues the conversation from run to run.
func TestRun_ServerInEnvironment(t *testing.T) { // t.Setenv excludes t.Parallel
	server, _ := newServer(t)
	t.Setenv("ZEP_API_URL", server.URL)
	t.Setenv("ZEP_API_KEY", "")
	for i := range 4 {
		var out bytes.Buffer
		require.NoError(t, run(context.Background(), &out, scripted))
		_, rest, _ := strings.Cut(out.String(), "\n")
		const hint = "\nRun the program again to continue the conversation.\n"
		rest, found := strings.CutSuffix(rest, hint)
		assert.True(t, found)
		if i < len(story) {
			assert.Equal(t, story[i], rest)
			continue
		}
		assert.Contains(t, rest, "\nRun 4 of the conversation chat. The last 4 of 30 messages:\n")
		assert.Contains(t, rest, `And now:
  jane       Hello!
  assistant  Welcome back.
  jane       My sister Ann lives in Bergen.
`)
	}

	s := scripted
	s.forget = true
	for _, want := range []string{"The session chat is deleted.", "There is no session chat."} {
		var out bytes.Buffer
		require.NoError(t, run(context.Background(), &out, s))
		assert.Contains(t, out.String(), want)
	}
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), &out, scripted))
	assert.Contains(t, out.String(), story[0], "the conversation starts over")
}

func TestRun_Interactive(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), &out, typed(`
  hi  
The key is under the mat.
Where is the key?
bye
This is not read.
`)))
	_, rest, _ := strings.Cut(out.String(), "\n")
	assert.Equal(t, `Tell me something, or ask me about it. End with "bye".
The conversation is not kept: for that, set ZEP_API_URL.

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

func TestTalk_LongLine(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	long := strings.Repeat("very ", 40_000) + "long" // more than a bufio.Scanner takes
	out := talked(t, client, typed(long+"\r\nbye"))
	assert.Contains(t, out, "  jane       "+long+"\n  assistant  I will remember that.\n")
	assert.Contains(t, out, "  assistant  Goodbye.\n")
}

// TestTalk_Terminal checks that the program does not print what a terminal shows itself.
func TestTalk_Terminal(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	s := typed("Thanks.\n\n")
	s.terminal = true
	assert.Equal(t, `
Run 1 of the conversation chat. It is new.
  jane         assistant  You are welcome.
  jane         jane       
`, talked(t, client, s))
}

// TestTalk_TypedAndScripted checks that both kinds of runs are one conversation, of one user.
func TestTalk_TypedAndScripted(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	first := talked(t, client, typed("My brother is called Tom."))
	assert.Contains(t, first, "I will remember that.\n")
	talked(t, client, scripted)
	third := talked(t, client, scripted)
	assert.Contains(t, third, `You told me in run 1: "My brother is called Tom."`)

	s := scripted
	s.user = "joe"
	err := talk(context.Background(), io.Discard, client, s)
	assert.ErrorContains(t, err, `session chat belongs to user "jane", not to "joe"`)
	s.session = "another"
	out := talked(t, client, s)
	assert.Contains(t, out, "It is new.\n  joe        Hello!\n")
}

// TestTalk_DelayedEmbeddings checks that the answers do not depend on what the server has
// embedded.
func TestTalk_DelayedEmbeddings(t *testing.T) {
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

func TestTalk_Summary(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	talked(t, client, scripted)
	require.NoError(t, server.SetSummary("chat", "Jane tells of her sister."))
	assert.Contains(t, talked(t, client, scripted), `The last 4 of 10 messages:
  (before)   Jane tells of her sister.
  jane       I must not eat nuts.
`)
}

// TestTalk_LostResponses checks that each message is stored once.
func TestTalk_LostResponses(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	server.Inject(
		zeptest.Fault{Method: "POST", Route: "/user", Status: 502, Apply: true},
		zeptest.Fault{Method: "POST", Route: "/sessions", Status: 502, Apply: true},
		zeptest.Fault{
			Method: "POST", Route: "/sessions/{sessionId}/memory", Cut: true, Apply: true,
		},
	)
	assert.Equal(t, story[0], talked(t, client, scripted))
	assert.Equal(t, story[1], talked(t, client, scripted))
}

// TestTalk_NotPublished checks that stored messages that the server did not publish are no
// failure.
func TestTalk_NotPublished(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	server.Inject(zeptest.Fault{
		Method: "POST", Route: "/sessions/{sessionId}/memory", Status: 500, Apply: true,
		Body: "failed to publish new messages: no connection\n",
	})
	assert.Equal(t, story[0], talked(t, client, scripted))
	assert.Equal(t, story[1], talked(t, client, scripted))
}

func TestTalk_Failures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, method, route string }{
		{"the user", "POST", "/user"},
		{"the session", "POST", "/sessions"},
		{"the count of runs", "PATCH", "/sessions/{sessionId}"},
		{"the last messages", "GET", "/sessions/{sessionId}/memory"},
		{"the number of messages", "GET", "/sessions/{sessionId}/messages"},
		{"a search", "POST", "/sessions/{sessionId}/search"},
		{"adding messages", "POST", "/sessions/{sessionId}/memory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, client := newServer(t)
			server.Inject(zeptest.Fault{
				Method: test.method,
				Route:  test.route,
				Status: 500,
				Body:   "disk full\n",
				Times:  -1,
			})
			err := talk(context.Background(), io.Discard, client, typed("Who?\n"))
			require.ErrorIs(t, err, zep.ErrServer)
			assert.ErrorContains(t, err, "disk full")
		})
	}
	s := scripted
	s.last = 0
	err := run(context.Background(), io.Discard, s)
	assert.ErrorContains(t, err, "-last is 0, must be at least 1")
}

// TestTalk_Canceled checks that an interrupt ends the wait for a line.
func TestTalk_Canceled(t *testing.T) {
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
	assert.ErrorIs(t, talk(ctx, io.Discard, client, s), context.Canceled)
}

func TestTalk_FailingInput(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	s := typed("")
	s.in = readerFunc(func([]byte) (int, error) { return 0, io.ErrUnexpectedEOF })
	assert.ErrorIs(t, talk(context.Background(), io.Discard, client, s), io.ErrUnexpectedEOF)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

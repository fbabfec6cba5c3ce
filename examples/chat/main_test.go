package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
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

// story has the output of the script's visits.
var story = []string{`
The session chat is new.
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
The last 4 messages of the session chat:
  jane       I must not eat nuts.
  assistant  I will remember that.
  jane       Bye!
  assistant  Goodbye.
And now:
  jane       Hello again!
  assistant  Welcome back.
  jane       Where does my sister live?
  (fact)     0.37  My sister Ann lives in Bergen.
  (fact)     0.00  She keeps bees, and sells the honey.
  assistant  You told me: "My sister Ann lives in Bergen."
  jane       What must I not eat?
  (fact)     0.80  I must not eat nuts.
  (fact)     0.00  My sister Ann lives in Bergen.
  assistant  You told me: "I must not eat nuts."
  jane       I have a ticket for the night train to Bergen on Friday.
  assistant  I will remember that.
  jane       Bye!
  assistant  Goodbye.
`, `
The last 4 messages of the session chat:
  jane       I have a ticket for the night train to Bergen on Friday.
  assistant  I will remember that.
  jane       Bye!
  assistant  Goodbye.
And now:
  jane       When does my train leave?
  (fact)     0.18  My sister Ann lives in Bergen.
  (fact)     0.13  I have a ticket for the night train to Bergen on Friday.
  assistant  You told me: "I have a ticket for the night train to Bergen on Friday."
  jane       Who sells honey?
  (fact)     0.44  She keeps bees, and sells the honey.
  (fact)     0.00  My sister Ann lives in Bergen.
  assistant  You told me: "She keeps bees, and sells the honey."
  jane       What is my brother called?
  (fact)     0.18  My sister Ann lives in Bergen.
  (fact)     0.00  She keeps bees, and sells the honey.
  assistant  You have not told me.
  jane       Thank you!
  assistant  You are welcome.
  jane       Bye!
  assistant  Goodbye.
`}

var scripted = settings{
	user:    "jane",
	session: "chat",
	last:    4,
	logger:  slog.New(slog.NewTextHandler(io.Discard, nil)),
}

// typed returns the settings of a visit in which the user types lines.
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

// tryTalk makes a visit, and returns its output.
func tryTalk(client *zep.Client, s settings) (string, error) {
	var out bytes.Buffer
	err := talk(context.Background(), &out, client, s, s.in, s.terminal)
	return out.String(), err
}

func talked(t *testing.T, client *zep.Client, s settings) string {
	t.Helper()
	out, err := tryTalk(client, s)
	require.NoError(t, err)
	return out
}

// visited returns the output of a visit with lines of the script.
func visited(t *testing.T, client *zep.Client, i int) string {
	t.Helper()
	s := scripted
	s.in = strings.NewReader(script[i])
	return talked(t, client, s)
}

func TestRun(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), &out, scripted))
	greeting, rest, _ := strings.Cut(out.String(), "\n")
	assert.Regexp(t, `^Connected to Zep 0\.\d+\.\d+\S* .*\.$`, greeting)
	assert.Equal(t, strings.Join(story, ""), rest)
}

// TestRun_ServerInEnvironment continues the conversation from run to run, and deletes it.
func TestRun_ServerInEnvironment(t *testing.T) { // t.Setenv excludes t.Parallel
	server, _ := newServer(t)
	t.Setenv("ZEP_API_URL", server.URL)
	t.Setenv("ZEP_API_KEY", "")
	try := func(s settings) string {
		var out bytes.Buffer
		require.NoError(t, run(context.Background(), &out, s))
		_, rest, _ := strings.Cut(out.String(), "\n")
		return rest
	}
	assert.Equal(t, strings.Join(story, ""), try(scripted))
	again := try(scripted)
	assert.Contains(t, again, "\nThe last 4 messages of the session chat:\n")
	assert.Contains(t, again, "And now:\n  jane       Hello!\n  assistant  Welcome back.\n")

	s := scripted
	s.forget = true
	assert.Equal(t, "The session chat is deleted.\n", try(s))
	assert.Equal(t, "There is no session chat.\n", try(s))
	assert.Equal(t, strings.Join(story, ""), try(scripted), "the conversation starts over")
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

The session chat is new.
  jane       hi
  assistant  Hello! Tell me what to remember, and ask me for it later.
  jane       The key is under the mat.
  assistant  I will remember that.
  jane       Where is the key?
  (fact)     0.71  The key is under the mat.
  assistant  You told me: "The key is under the mat."
  jane       bye
  assistant  Goodbye.
`, rest)
}

// TestRun_Stay uses the service that stays, and ends it.
func TestRun_Stay(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	out, w := io.Pipe()
	ended := make(chan error, 1)
	s := scripted
	s.addr = "127.0.0.1:0"
	go func() { ended <- run(ctx, w, s) }()
	lines := bufio.NewReader(out)
	_, err := lines.ReadString('\n')
	require.NoError(t, err)
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	base := strings.TrimSuffix(strings.TrimPrefix(line, "Listening on "), "/chat/{session}.\n")

	v := newVisitor(io.Discard, base, s)
	defer v.http.CloseIdleConnections()
	var answer reply
	require.NoError(t, v.call(ctx, http.MethodPost, "", turn{"jane", "I am Jane."}, &answer))
	assert.Equal(t, "I will remember that.", answer.Answer)

	taken := s
	taken.addr = strings.TrimPrefix(base, "http://")
	err = run(ctx, io.Discard, taken)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "listen tcp "+taken.addr)

	v.http.CloseIdleConnections()
	stop()
	require.NoError(t, <-ended)
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
The session chat is new.
  jane         assistant  You are welcome.
  jane         jane       
`, talked(t, client, s))
}

// TestTalk_OtherUser checks that a session is of one user.
func TestTalk_OtherUser(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	talked(t, client, typed("My brother is called Tom."))
	s := typed("Hello!")
	s.user = "joe"
	_, err := tryTalk(client, s)
	assert.ErrorContains(t, err, "409 Conflict: the session belongs to another user")
	s = typed("Hello!")
	s.user, s.session = "joe", "another"
	out := talked(t, client, s)
	assert.Contains(t, out, "is new.\n  joe        Hello!\n")
}

// TestTalk_DelayedEmbeddings checks that the answers do not depend on what the server has
// embedded.
func TestTalk_DelayedEmbeddings(t *testing.T) {
	t.Parallel()
	server, client := newServer(t, zeptest.WithDelayedEnrichment())
	found := regexp.MustCompile(`  \(fact\) .*\n`)
	for i := range story {
		out := visited(t, client, i)
		assert.NotRegexp(t, `\(fact\) +0\.[0-9]*[1-9]`, out, "a score")
		assert.Equal(t, i > 0, strings.Contains(out, "(fact)"))
		assert.Equal(t, found.ReplaceAllString(story[i], ""), found.ReplaceAllString(out, ""))
	}
	server.Enrich()
	assert.Contains(t, talked(t, client, typed("Where does my sister live?")), `
  (fact)     0.37  My sister Ann lives in Bergen.
  (fact)     0.00  She keeps bees, and sells the honey.
  assistant  You told me: "My sister Ann lives in Bergen."
`)
}

func TestTalk_Summary(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	visited(t, client, 0)
	require.NoError(t, server.SetSummary("chat", "Jane tells of her sister."))
	assert.Contains(t, visited(t, client, 1), `The last 4 messages of the session chat:
  (before)   Jane tells of her sister.
  jane       I must not eat nuts.
`)
}

// TestTalk_Last checks that the service's own refusal is shown.
func TestTalk_Last(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	s := typed("")
	s.last = 0
	_, err := tryTalk(client, s)
	assert.ErrorContains(t, err, "400 Bad Request: last must be 1 to 1000")
}

// TestTalk_Canceled checks that an interrupt ends the wait for a line.
func TestTalk_Canceled(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	ctx, cancel := context.WithCancel(context.Background())
	silence, end := io.Pipe()
	defer end.Close()
	in := readerFunc(func(p []byte) (int, error) {
		cancel()
		return silence.Read(p)
	})
	err := talk(ctx, io.Discard, client, scripted, in, false)
	assert.ErrorIs(t, err, context.Canceled)
}

func TestTalk_FailingInput(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	s := typed("")
	s.in = readerFunc(func([]byte) (int, error) { return 0, io.ErrUnexpectedEOF })
	_, err := tryTalk(client, s)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Chat is a conversation that goes on over several runs, because Zep remembers it: each run recalls the last messages, and searches
// all of them for what a question is about.
//
//	go run ./examples/chat
//	go run ./examples/chat -i
//
// The first is a dialogue from a script. With -i the lines of the standard input are what you say, until one is "bye". The assistant
// has no language model: it answers a question with what you told it that has most words in common with the question. What it looks
// through is what you would put before a model: the last messages, and those that a search finds.
//
// It starts a Zep server of its own, in this process. What is said is gone with it, so the script's three runs follow one another
// there, each with a Client of its own. With ZEP_API_URL set (and ZEP_API_KEY, if that server asks for one) the conversation is on
// that server: run the program again, and it goes on. -session and -user choose another one.
//
// A memory is meant to last, so the user and the session stay on the server. -forget deletes the session with its messages. The user
// stays even then: there may be other sessions of that name.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// settings are the flags, and what is different in tests.
type settings struct {
	user, session string
	last          int
	interactive   bool
	forget        bool

	in       io.Reader // what the user says, if interactive
	terminal bool      // in is one: it shows what is typed
}

func main() {
	s := settings{in: os.Stdin}
	flag.StringVar(&s.user, "user", "jane", "`id` of the user")
	flag.StringVar(&s.session, "session", "jane-and-the-assistant", "`id` of the session: the conversation")
	flag.IntVar(&s.last, "last", 4, "how many of the last `messages` to recall at the start")
	flag.BoolVar(&s.interactive, "i", false, "say something yourself")
	flag.BoolVar(&s.forget, "forget", false, "delete the session, and do nothing else")
	flag.Parse()
	if info, err := os.Stdin.Stat(); err == nil {
		s.terminal = info.Mode()&os.ModeCharDevice != 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, os.Stdout, s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, s settings) error {
	if s.last < 1 {
		return fmt.Errorf("-last %d: want at least 1", s.last)
	}
	connect := zep.NewClient // to the server at ZEP_API_URL
	runs := 1
	lasting := os.Getenv("ZEP_API_URL") != ""
	if !lasting {
		server := zeptest.NewServer()
		defer server.Close()
		connect = server.Client
		if !s.interactive {
			runs = len(script)
		}
	}
	client, err := connect()
	if err != nil {
		return err
	}
	health, err := client.Health(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Zep %s is there.\n", health.Version)
	if s.forget {
		return forget(ctx, w, client, s)
	}
	if s.interactive {
		fmt.Fprintf(w, "Say something. Ask, and it is recalled. End with \"bye\".\n")
		if !lasting {
			fmt.Fprintf(w, "What you say is gone in the end: set ZEP_API_URL to a server's address to keep it.\n")
		}
	}
	for range runs {
		// A new Client: what is remembered is on the server, not in here.
		client, err := connect()
		if err != nil {
			return err
		}
		if err := talk(ctx, w, client, s); err != nil {
			return err
		}
	}
	if lasting {
		fmt.Fprintf(w, "\nRun it again, and the conversation goes on.\n")
	}
	return nil
}

// talk is one run of the conversation.
func talk(ctx context.Context, w io.Writer, client *zep.Client, s settings) error {
	m, err := open(ctx, client, s)
	if err != nil {
		return err
	}
	p := printer{w, s.user}
	if err := resume(ctx, p, m); err != nil {
		return err
	}
	in, prompt := io.Reader(strings.NewReader(script[(m.run-1)%len(script)])), false
	if s.interactive {
		in, prompt = s.in, s.terminal
	}
	return converse(ctx, p, m, in, prompt)
}

// resume tells where the conversation is.
func resume(ctx context.Context, p printer, m *memory) error {
	said, err := m.recall(ctx)
	if err != nil {
		return err
	}
	p.printf("\nRun %d of the conversation %s.", m.run, m.session)
	if len(said.last) == 0 {
		p.printf(" It is new.\n")
		return nil
	}
	p.printf(" The last %d of %d messages:\n", len(said.last), said.total)
	if said.summary != "" {
		p.say("(before)", said.summary)
	}
	for _, message := range said.last {
		p.say(string(message.Role), message.Content)
	}
	p.printf("And now:\n")
	return nil
}

// forget deletes the session. Its id can be used again: see open.
func forget(ctx context.Context, w io.Writer, client *zep.Client, s settings) error {
	err := client.Session.Delete(ctx, s.session)
	switch {
	case errors.Is(err, zep.ErrNotFound):
		fmt.Fprintf(w, "There is no session %s to forget.\n", s.session)
	case err != nil:
		return err
	default:
		fmt.Fprintf(w, "The session %s is forgotten.\n", s.session)
	}
	return nil
}

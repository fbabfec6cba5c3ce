// Chat is a conversation that continues over several runs, because Zep stores it: each run reads
// the last messages, and searches all of them for what answers a question.
//
//	go run ./examples/chat
//	go run ./examples/chat -i
//
// The first command runs a dialogue from a script. With -i the lines of the standard input are
// what you say, until a line is "bye". The assistant has no language model: it answers a question
// with the statement of yours that shares most words with it. It chooses from what a program would
// put into a model's prompt: the last messages, and the results of a search.
//
// Without ZEP_API_URL the program starts a Zep server in its own process. The conversation ends
// with that server, so the three runs of the script follow one another, each with a new Client.
// With ZEP_API_URL (and ZEP_API_KEY, if that server requires one) the conversation is on that
// server: run the program again to continue it. -session and -user choose another one.
//
// The program leaves the user and the session on the server. -forget deletes the session with its
// messages, but not the user, who may have other sessions.
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

// settings has the values of the flags, and what tests replace.
type settings struct {
	user, session string
	last          int
	interactive   bool
	forget        bool

	in       io.Reader // the lines of the user, if interactive
	terminal bool      // in is a terminal, which shows what is typed
}

func main() {
	s := settings{in: os.Stdin}
	flag.StringVar(&s.user, "user", "jane", "`id` of the user")
	flag.StringVar(&s.session, "session", "jane-and-the-assistant", "`id` of the session")
	flag.IntVar(&s.last, "last", 4, "number of last `messages` to show at the start")
	flag.BoolVar(&s.interactive, "i", false, "read what you say from the standard input")
	flag.BoolVar(&s.forget, "forget", false, "only delete the session")
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
		return fmt.Errorf("-last is %d, must be at least 1", s.last)
	}
	connect := zep.NewClient // to the server at ZEP_API_URL
	runs := 1
	persistent := os.Getenv("ZEP_API_URL") != ""
	if !persistent {
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
	fmt.Fprintf(w, "Connected to Zep %s.\n", health.Version)
	if s.forget {
		return forget(ctx, w, client, s)
	}
	if s.interactive {
		fmt.Fprintf(w, "Tell me something, or ask me about it. End with \"bye\".\n")
		if !persistent {
			fmt.Fprintf(w, "The conversation is not kept: for that, set ZEP_API_URL.\n")
		}
	}
	for range runs {
		// A new Client: the memory is on the server, not in the program.
		client, err := connect()
		if err != nil {
			return err
		}
		if err := talk(ctx, w, client, s); err != nil {
			return err
		}
	}
	if persistent {
		fmt.Fprintf(w, "\nRun the program again to continue the conversation.\n")
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

// resume prints the last messages.
func resume(ctx context.Context, p printer, m *memory) error {
	recalled, err := m.recall(ctx)
	if err != nil {
		return err
	}
	p.printf("\nRun %d of the conversation %s.", m.run, m.session)
	if len(recalled.last) == 0 {
		p.printf(" It is new.\n")
		return nil
	}
	p.printf(" The last %d of %d messages:\n", len(recalled.last), recalled.total)
	if recalled.summary != "" {
		p.say("(before)", recalled.summary)
	}
	for _, message := range recalled.last {
		p.say(string(message.Role), message.Content)
	}
	p.printf("And now:\n")
	return nil
}

// forget deletes the session. open can restore it.
func forget(ctx context.Context, w io.Writer, client *zep.Client, s settings) error {
	err := client.Session.Delete(ctx, s.session)
	switch {
	case errors.Is(err, zep.ErrNotFound):
		fmt.Fprintf(w, "There is no session %s.\n", s.session)
	case err != nil:
		return err
	default:
		fmt.Fprintf(w, "The session %s is deleted.\n", s.session)
	}
	return nil
}

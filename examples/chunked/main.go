// Chunked imports a CSV of users with several workers, then walks the users of the server in
// chunks and counts those of the file. Killed at any moment and started again, it continues.
//
//	go run -C examples/chunked .
//	go run -C examples/chunked . -file people.csv -chunk 500
//	go run -C examples/chunked . -file people.csv -after 123456
//
// The file has to be UTF-8, with or without a byte order mark ("CSV UTF-8" of Excel), and needs
// the column user_id. The columns email, first_name and last_name set those fields, all other
// columns go into the metadata. A user that exists is updated, so the import can be repeated.
//
// The program keeps no record of its own of what is done: the server has it. Before the import it
// walks the users of the server, and skips the rows that are there. So a row that was answered
// before the program was killed is not sent again. Only those are that were under way: one of each
// worker, which are 16 by default. If the server has many users, that walk is long. So the program
// prints an ID before it imports, and with -after and this ID the walks of the next run begin
// where the users begin that the killed run has added. Users that were there before are not found
// then: they are updated again, which changes nothing.
//
// With -walk the program only walks. A walk that was killed continues with -after and the last ID
// that it showed.
//
// Progress is shown on the standard error output: by a bar if that is a terminal, by lines
// otherwise. The bar needs a library that the client does not need, and so do the workers. So this
// program is a Go module of its own.
//
// Without ZEP_API_URL the program starts a Zep server in its own process. With ZEP_API_URL (and
// ZEP_API_KEY, if that server requires one) it imports into that server; -delete then deletes the
// users that this run added.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/examples/internal/demo"
)

// shipped has fictitious people of fourteen countries.
//
//go:embed users.csv
var shipped []byte

// settings has the values of the flags, and where progress is shown.
type settings struct {
	file    string
	chunk   int
	workers int
	after   int64
	walk    bool
	delete  bool

	progress io.Writer
	terminal bool // progress is one
}

func main() {
	s := settings{progress: os.Stderr, terminal: term.IsTerminal(int(os.Stderr.Fd()))}
	flag.StringVar(&s.file, "file", "", "CSV `file` of users (default: the one in the program)")
	flag.IntVar(&s.chunk, "chunk", 100, "`users` in a chunk")
	flag.IntVar(&s.workers, "workers", 16, "`number` of rows that are imported at the same time")
	flag.Int64Var(&s.after, "after", 0, "walk only the users after this `ID`")
	flag.BoolVar(&s.walk, "walk", false, "only walk, do not import")
	flag.BoolVar(&s.delete, "delete", false, "delete the users that this run added, at the end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(),
		os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, os.Stdout, s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, s settings) error {
	client, stop, err := demo.Client() // your program calls zep.NewClient
	if err != nil {
		return err
	}
	defer stop()
	return job(ctx, w, client, s)
}

// job imports, walks and reports.
func job(ctx context.Context, w io.Writer, client *zep.Client, s settings) (err error) {
	rows, err := s.rows()
	if err != nil {
		return err
	}
	var ids []string // of users that the walk must yield
	if !s.walk {
		done, failure := update(ctx, w, client, rows, s)
		if s.delete && done != nil {
			defer func() {
				ctx := context.WithoutCancel(ctx)
				err = errors.Join(err, deleteUsers(ctx, client, done.added))
			}()
		}
		if failure != nil {
			return failure
		}
		ids = done.after(s.after)
	}

	found, err := walk(ctx, client, rows, s)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Walked %d users in %d chunks of at most %d: %d of the file.\n\n",
		found.users, found.chunks, s.chunk, len(found.times))
	found.print(w)
	return found.check(ids)
}

// update imports the rows that the server does not have.
func update(
	ctx context.Context, w io.Writer, client *zep.Client, rows []row, s settings,
) (*imported, error) {
	found, err := compare(ctx, client, rows, s)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(w, "Found %d users on the server: %d of %d rows need no import.\n",
		found.users, len(found.unchanged), len(rows))
	fmt.Fprintf(w, "If this run is killed, -after %d continues it.\n", found.after)
	done, err := importUsers(ctx, client, rows, found.unchanged, s)
	done.print(w, len(rows))
	return done, err
}

// rows reads the file.
func (s settings) rows() ([]row, error) {
	for flag, value := range map[string]int{"chunk": s.chunk, "workers": s.workers} {
		if value < 1 {
			return nil, fmt.Errorf("-%s is %d, must be at least 1", flag, value)
		}
	}
	if s.file == "" {
		return readUsers(bytes.NewReader(shipped))
	}
	file, err := os.Open(s.file)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	rows, err := readUsers(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.file, err)
	}
	return rows, nil
}

func deleteUsers(ctx context.Context, client *zep.Client, ids []string) error {
	for _, id := range ids {
		if err := client.User.Delete(ctx, id); err != nil && !errors.Is(err, zep.ErrNotFound) {
			return err
		}
	}
	return nil
}

// Chunked imports a CSV of users, many at a time, and then walks all users of the server in chunks and counts those of the file.
//
//	go run ./examples/chunked
//	go run ./examples/chunked -file people.csv -chunk 500
//
// The file needs a column user_id. The columns email, first_name and last_name are taken as such, and all others go into the
// metadata. A user who is there already is updated, so the import can be run again.
//
// It starts a Zep server of its own, in this process. With ZEP_API_URL set (and ZEP_API_KEY, if that server asks for one) it
// imports into that server; with -delete it takes those whom it added out again.
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
	"slices"
	"syscall"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/examples/internal/demo"
)

// made-up people of fourteen countries
//
//go:embed users.csv
var shipped []byte

// settings are the flags.
type settings struct {
	file   string
	chunk  int
	delete bool
}

func main() {
	var s settings
	flag.StringVar(&s.file, "file", "", "CSV `file` of users (the one shipped with this program, if not given)")
	flag.IntVar(&s.chunk, "chunk", 100, "`users` in a chunk")
	flag.BoolVar(&s.delete, "delete", false, "in the end, delete those whom this run added")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, os.Stdout, s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, s settings) error {
	client, stop, err := demo.Client() // yours: zep.NewClient()
	if err != nil {
		return err
	}
	defer stop()
	return job(ctx, w, client, s)
}

// job is the import, the walk and the report.
func job(ctx context.Context, w io.Writer, client *zep.Client, s settings) (err error) {
	if s.chunk < 1 {
		return fmt.Errorf("-chunk %d: want at least 1", s.chunk)
	}
	rows, err := s.rows()
	if err != nil {
		return err
	}

	done, err := importUsers(ctx, client, rows)
	if s.delete {
		defer func() {
			err = errors.Join(err, deleteUsers(context.WithoutCancel(ctx), client, done.added))
		}()
	}
	fmt.Fprintf(w, "Imported %d rows: %d users added, %d updated, %d refused.\n",
		len(rows), len(done.added), len(done.updated), len(done.refused))
	for _, refused := range done.refused {
		fmt.Fprintf(w, "  %v\n", refused)
	}
	if err != nil {
		return err
	}

	found, err := walk(ctx, client, rows, s.chunk)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Walked %d users in %d chunks of at most %d: %d of the file.\n\n", found.users, found.chunks, s.chunk, len(found.times))
	found.print(w)
	return found.check(slices.Concat(done.added, done.updated))
}

// rows reads the file.
func (s settings) rows() ([]row, error) {
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

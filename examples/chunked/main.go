// Chunked imports a CSV of users with several workers, then walks all users of the server in
// chunks and counts those of the file.
//
//	go run ./examples/chunked
//	go run ./examples/chunked -file people.csv -chunk 500
//
// The file has to be UTF-8, with or without a byte order mark ("CSV UTF-8" of Excel), and needs
// the column user_id. The columns email, first_name and last_name set those fields, all other
// columns go into the metadata. A user that exists is updated, so the import can be repeated.
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
	"slices"
	"syscall"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/examples/internal/demo"
)

// shipped has fictitious people of fourteen countries.
//
//go:embed users.csv
var shipped []byte

// settings has the values of the flags.
type settings struct {
	file   string
	chunk  int
	delete bool
}

func main() {
	var s settings
	flag.StringVar(&s.file, "file", "", "CSV `file` of users (default: the one in the program)")
	flag.IntVar(&s.chunk, "chunk", 100, "`users` in a chunk")
	flag.BoolVar(&s.delete, "delete", false, "delete the users that this run added, at the end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGPIPE)
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
	if s.chunk < 1 {
		return fmt.Errorf("-chunk is %d, must be at least 1", s.chunk)
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
	fmt.Fprintf(w, "Walked %d users in %d chunks of at most %d: %d of the file.\n\n",
		found.users, found.chunks, s.chunk, len(found.times))
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

// Erase deletes all users with a value in their metadata, with their sessions and memory, and
// verifies that they are gone.
//
//	go run ./examples/erase
//	go run ./examples/erase -key tenant -value acme -record acme.json -yes
//	go run ./examples/erase -verify acme.json
//
// The API has no search for users, so the program walks all of them. Before it deletes anything it
// writes down who the users are, which sessions they have, and how many messages are in them:
// after the deletion nothing on the server leads from a user to its sessions, and the sessions of
// a deleted user are an empty list whether they were deleted or not. With -record this is kept in
// a file, which -verify reads to verify again. The file has ids, and so may have to be deleted
// too.
//
// Without ZEP_API_URL the program starts a Zep server in its own process, with a few users. With
// ZEP_API_URL (and ZEP_API_KEY, if that server requires one) it works on that server, and deletes
// only with -yes.
//
// It deletes users, and not their sessions one by one: a deleted session is hidden, and its
// messages stay in the database, while a deleted user's sessions are removed from it. The
// program does not find sessions that have no user.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/examples/internal/demo"
)

// settings has the values of the flags.
type settings struct {
	key, value     string
	record, verify string
	yes            bool
}

func main() {
	var s settings
	flag.StringVar(&s.key, "key", "tenant", "metadata `key` of the users to delete")
	flag.StringVar(&s.value, "value", "acme", "`value` of the key: a string, number or boolean")
	flag.StringVar(&s.record, "record", "", "new `file` for the record of what is deleted")
	flag.StringVar(&s.verify, "verify", "", "only verify the record in this `file`")
	flag.BoolVar(&s.yes, "yes", false, "delete on the server at ZEP_API_URL")
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
	if os.Getenv("ZEP_API_URL") == "" {
		s.yes = true
		if err := seed(ctx, client); err != nil {
			return err
		}
	}
	if s.verify != "" {
		records, err := readRecords(s.verify)
		if err != nil {
			return err
		}
		return verify(ctx, w, client, records)
	}
	return job(ctx, w, client, s)
}

// job finds, records, deletes and verifies.
func job(ctx context.Context, w io.Writer, client *zep.Client, s settings) error {
	records, err := find(ctx, client, s.key, s.value)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d users have the %s %q in their metadata.\n", len(records), s.key, s.value)
	for _, r := range records {
		fmt.Fprintf(w, "  %-8s %d sessions, %d messages\n",
			r.UserID, len(r.Sessions), r.messages())
	}
	if len(records) == 0 {
		return nil
	}
	if !s.yes {
		fmt.Fprintf(w, "Nothing is deleted. Run the program with -yes to delete them.\n")
		return nil
	}
	if s.record != "" {
		if err := writeRecords(s.record, records); err != nil {
			return err
		}
	}
	failure := deleteUsers(ctx, client, records)
	if failure == nil {
		fmt.Fprintf(w, "Deleted %d users.\n", len(records))
	}
	if err := errors.Join(failure, verify(ctx, w, client, records)); err != nil {
		return err
	}

	// Users that were added since the walk are not in the records.
	later, err := find(ctx, client, s.key, s.value)
	if err == nil && len(later) > 0 {
		err = fmt.Errorf("%d users with the %s %q were added meanwhile: run the program again",
			len(later), s.key, s.value)
	}
	return err
}

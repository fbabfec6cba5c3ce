// Quickstart is a walk through users and sessions: add, get, update, list, walk in chunks, delete.
//
//	go run ./examples/quickstart
//
// It starts a Zep server of its own, in this process. With ZEP_API_URL set (and ZEP_API_KEY, if that server asks for one) it
// talks to that server, whatever is on it, and deletes what it added.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/examples/internal/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer) error {
	client, stop, err := demo.Client() // yours: zep.NewClient()
	if err != nil {
		return err
	}
	defer stop()
	health, err := client.Health(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Zep %s is there.\n", health.Version)
	return tell(ctx, w, client)
}

// readers is how many users there are beside Jane: enough for a few chunks.
const readers = 250

// tell tells the story, and deletes whom it added, however it ends.
func tell(ctx context.Context, w io.Writer, client *zep.Client) (err error) {
	mark := fmt.Sprintf("%08x", rand.Uint32()) // makes the ids new on any server
	jane := "jane-" + mark + "@example.com"
	ids := []string{jane}
	for i := range readers {
		ids = append(ids, fmt.Sprintf("reader %d of %s", i+1, mark))
	}
	defer func() {
		err = errors.Join(err, deleteAll(context.WithoutCancel(ctx), client, ids))
	}()

	if err := signUp(ctx, w, client, jane); err != nil {
		return err
	}
	if err := talk(ctx, w, client, jane, mark); err != nil {
		return err
	}
	if err := walk(ctx, w, client, ids, mark); err != nil {
		return err
	}
	return leave(ctx, w, client, jane)
}

// signUp adds a user, reads her back, and updates her.
func signUp(ctx context.Context, w io.Writer, client *zep.Client, jane string) error {
	fmt.Fprintf(w, "\nJane signs up.\n")
	added, err := client.User.Add(ctx, &zep.CreateUserRequest{
		UserID:    jane,
		Email:     jane,
		FirstName: "Jane",
		LastName:  "Doe",
		Metadata:  zep.Metadata{"plan": "free", "address": map[string]any{"city": "Oslo", "country": "NO"}},
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "  added    %s %s as %s, row %d\n", added.FirstName, added.LastName, added.UserID, added.ID)

	user, err := client.User.Get(ctx, jane)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "  got      %s\n", describe(user))

	// An update merges: what it does not name stays.
	user, err = client.User.Update(ctx, &zep.UpdateUserRequest{
		UserID:   jane,
		LastName: "Roe",
		Metadata: zep.Metadata{"plan": "pro", "address": map[string]any{"city": "Bergen"}},
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "  updated  %s\n", describe(user))

	_, err = client.User.Add(ctx, &zep.CreateUserRequest{UserID: jane})
	if !errors.Is(err, zep.ErrAlreadyExists) {
		return fmt.Errorf("added twice: %w", err)
	}
	fmt.Fprintf(w, "  again?   no: her id is taken (zep.ErrAlreadyExists)\n")
	return nil
}

// A profile is what this program keeps in a user's metadata.
type profile struct {
	Plan    string
	Address struct{ City, Country string }
}

func describe(user *zep.User) string {
	var p profile
	if err := user.Metadata.Decode(&p); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %s of %s, %s, on the %s plan", user.FirstName, user.LastName, p.Address.City, p.Address.Country, p.Plan)
}

// talk adds two sessions of a user, and reads them in every way there is.
func talk(ctx context.Context, w io.Writer, client *zep.Client, jane, mark string) error {
	fmt.Fprintf(w, "\nShe begins two conversations.\n")
	for _, topic := range []string{"books", "travel"} {
		session, err := client.Session.Add(ctx, &zep.CreateSessionRequest{
			SessionID: topic + "-" + mark,
			UserID:    jane,
			Metadata:  zep.Metadata{"topic": topic},
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "  added    session %s\n", session.SessionID)
	}

	session, err := client.Session.Update(ctx, &zep.UpdateSessionRequest{
		SessionID: "books-" + mark,
		Metadata:  zep.Metadata{"closed": true},
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "  updated  session %s: topic %v, closed %v\n", session.SessionID, session.Metadata["topic"], session.Metadata["closed"])

	session, err = client.Session.Get(ctx, "travel-"+mark)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "  got      session %s of %s\n", session.SessionID, session.UserID)

	sessions, err := client.User.GetSessions(ctx, jane)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "  Jane has %d sessions\n", len(sessions))

	if err := client.Session.Delete(ctx, "books-"+mark); err != nil {
		return err
	}
	if sessions, err = client.User.GetSessions(ctx, jane); err != nil {
		return err
	}
	fmt.Fprintf(w, "  deleted  session books-%s: she has %d left\n", mark, len(sessions))
	return nil
}

// walk adds the readers, and lists them in three ways.
func walk(ctx context.Context, w io.Writer, client *zep.Client, ids []string, mark string) error {
	fmt.Fprintf(w, "\n%d readers follow.\n", readers)
	for _, id := range ids[1:] {
		if _, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: id}); err != nil {
			return err
		}
	}

	// One page: a cursor is the row number of the record before it.
	jane, err := client.User.Get(ctx, ids[0])
	if err != nil {
		return err
	}
	page, err := client.User.List(ctx, &zep.ListOptions{Limit: 3, Cursor: jane.ID})
	if err != nil {
		return err
	}
	for _, user := range page {
		fmt.Fprintf(w, "  listed   %s\n", user.UserID)
	}

	// All of them, a chunk of 100 at a time. Others may be on the server too.
	found := 0
	for users, err := range client.User.ListChunked(ctx, 100) {
		if err != nil {
			return err
		}
		ours := 0
		for _, user := range users {
			if strings.Contains(user.UserID, mark) {
				ours++
			}
		}
		if found += ours; ours > 0 {
			fmt.Fprintf(w, "  walked   a chunk with %d of us\n", ours)
		}
	}
	fmt.Fprintf(w, "  We are %d.\n", found)

	// All of them, one by one. A break ends the walk.
	for user, err := range client.User.All(ctx) {
		if err != nil {
			return err
		}
		if strings.Contains(user.UserID, mark) {
			fmt.Fprintf(w, "  The first of us is %s.\n", user.UserID)
			break
		}
	}
	return nil
}

// leave deletes a user, and shows that she is gone, with her sessions.
func leave(ctx context.Context, w io.Writer, client *zep.Client, jane string) error {
	fmt.Fprintf(w, "\nJane leaves.\n")
	if err := client.User.Delete(ctx, jane); err != nil {
		return err
	}
	fmt.Fprintf(w, "  deleted  %s\n", jane)

	_, err := client.User.Get(ctx, jane)
	if !errors.Is(err, zep.ErrNotFound) {
		return fmt.Errorf("got a deleted user: %w", err)
	}
	fmt.Fprintf(w, "  gone     (zep.ErrNotFound) %v\n", err)

	sessions, err := client.User.GetSessions(ctx, jane)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "  She has %d sessions left. The readers leave too.\n", len(sessions))
	return nil
}

// deleteAll deletes users. Who is not there, or was never added, is no error.
func deleteAll(ctx context.Context, client *zep.Client, ids []string) error {
	for _, id := range ids {
		if err := client.User.Delete(ctx, id); err != nil && !errors.Is(err, zep.ErrNotFound) {
			return err
		}
	}
	return nil
}

// Quickstart is a walk through users and sessions: add, get, update, list, walk in chunks, delete.
//
//	go run ./examples/quickstart
//
// Without ZEP_API_URL the program starts a Zep server in its own process. With ZEP_API_URL (and
// ZEP_API_KEY, if that server requires one) it runs on that server, whatever records it has, and
// deletes what it added.
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
	client, stop, err := demo.Client() // your program calls zep.NewClient
	if err != nil {
		return err
	}
	defer stop()
	health, err := client.Health(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Connected to Zep %s.\n", health.Version)
	return tour(ctx, w, client)
}

// readers is the number of users beside Jane: enough for a few chunks.
const readers = 250

// tour makes all calls, and deletes the users that it added, even after a failure.
func tour(ctx context.Context, w io.Writer, client *zep.Client) (err error) {
	mark := fmt.Sprintf("%08x", rand.Uint32()) // makes the ids unique on any server
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
	return signOff(ctx, w, client, jane)
}

// signUp adds a user, reads it back, and updates it.
func signUp(ctx context.Context, w io.Writer, client *zep.Client, jane string) error {
	fmt.Fprintf(w, "\nJane signs up.\n")
	added, err := client.User.Add(ctx, &zep.CreateUserRequest{
		UserID:    jane,
		Email:     jane,
		FirstName: "Jane",
		LastName:  "Doe",
		Metadata: zep.Metadata{
			"plan":    "free",
			"address": map[string]any{"city": "Oslo", "country": "NO"},
		},
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "  added    %s %s as %s, row %d\n",
		added.FirstName, added.LastName, added.UserID, added.ID)

	user, err := client.User.Get(ctx, jane)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "  got      %s\n", describe(user))

	// An update is merged: other fields and metadata keys stay as they are.
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
	fmt.Fprintf(w, "  refused  a second user with that id (zep.ErrAlreadyExists)\n")
	return nil
}

// profile is the metadata of a user.
type profile struct {
	Plan    string
	Address struct{ City, Country string }
}

func describe(user *zep.User) string {
	var p profile
	if err := user.Metadata.Decode(&p); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %s of %s, %s, on the %s plan",
		user.FirstName, user.LastName, p.Address.City, p.Address.Country, p.Plan)
}

// talk adds two sessions of a user, updates, gets, lists and deletes.
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
	fmt.Fprintf(w, "  updated  session %s: topic %v, closed %v\n",
		session.SessionID, session.Metadata["topic"], session.Metadata["closed"])

	session, err = client.Session.Get(ctx, "travel-"+mark)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "  got      session %s of %s\n", session.SessionID, session.UserID)

	sessions, err := client.User.GetSessions(ctx, jane)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "  listed   %d sessions of Jane\n", len(sessions))

	if err := client.Session.Delete(ctx, "books-"+mark); err != nil {
		return err
	}
	if sessions, err = client.User.GetSessions(ctx, jane); err != nil {
		return err
	}
	fmt.Fprintf(w, "  deleted  session books-%s: %d left\n", mark, len(sessions))
	return nil
}

// walk adds the readers, and reads them in three ways.
func walk(ctx context.Context, w io.Writer, client *zep.Client, ids []string, mark string) error {
	fmt.Fprintf(w, "\n%d readers sign up.\n", readers)
	for _, id := range ids[1:] {
		if _, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: id}); err != nil {
			return err
		}
	}

	// One page: the cursor is the row id of the record before the page.
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

	// All users, in chunks of 100. The server may have other users too.
	found := 0
	for users, err := range client.User.ListChunked(ctx, 100) {
		if err != nil {
			return err
		}
		n := 0
		for _, user := range users {
			if strings.Contains(user.UserID, mark) {
				n++
			}
		}
		if found += n; n > 0 {
			fmt.Fprintf(w, "  walked   a chunk with %d of them\n", n)
		}
	}
	fmt.Fprintf(w, "  found    %d users, with Jane\n", found)

	// All users, one by one. A break ends the walk.
	for user, err := range client.User.All(ctx) {
		if err != nil {
			return err
		}
		if strings.Contains(user.UserID, mark) {
			fmt.Fprintf(w, "  first    %s\n", user.UserID)
			break
		}
	}
	return nil
}

// signOff deletes a user, and shows that its sessions are gone with it.
func signOff(ctx context.Context, w io.Writer, client *zep.Client, jane string) error {
	fmt.Fprintf(w, "\nJane signs off.\n")
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
	fmt.Fprintf(w, "  listed   %d sessions of Jane\n", len(sessions))
	return nil
}

// deleteAll deletes users. A user that does not exist is no error.
func deleteAll(ctx context.Context, client *zep.Client, ids []string) error {
	for _, id := range ids {
		if err := client.User.Delete(ctx, id); err != nil && !errors.Is(err, zep.ErrNotFound) {
			return err
		}
	}
	return nil
}

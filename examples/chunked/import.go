package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/zep-go/zep"
)

// comparison says which rows are on the server.
type comparison struct {
	users     int             // users of the server
	unchanged map[string]bool // by user id: an update with the row would change nothing
	after     int64           // the users of unchanged rows, and those to come, have higher IDs
}

// compare walks the users of the server and looks for the rows. It is how an import that was
// killed continues: what the server has need not be sent again.
func compare(
	ctx context.Context, client *zep.Client, rows []row, s settings,
) (comparison, error) {
	byID := make(map[string]*zep.CreateUserRequest, len(rows))
	for i := range rows {
		byID[rows[i].user.UserID] = &rows[i].user
	}
	p := s.newProgress("comparing", -1)
	defer p.end()
	c := comparison{unchanged: map[string]bool{}, after: s.after}
	for users, err := range client.User.ListChunked(ctx, s.chunk, zep.After(s.after)) {
		if err != nil {
			return c, err
		}
		for _, user := range users {
			if row := byID[user.UserID]; row != nil && hasRow(user, row) {
				c.unchanged[user.UserID] = true
			}
			if len(c.unchanged) == 0 {
				c.after = user.ID
			}
		}
		c.users += len(users)
		p.walked(c.users, users[len(users)-1].ID)
	}
	return c, nil
}

// hasRow reports whether an update with the row would change nothing. The server merges, so a user
// may have more than the row.
func hasRow(user *zep.User, row *zep.CreateUserRequest) bool {
	merged := maps.Clone(user.Metadata)
	maps.Copy(merged, row.Metadata)
	return (row.Email == "" || row.Email == user.Email) &&
		(row.FirstName == "" || row.FirstName == user.FirstName) &&
		(row.LastName == "" || row.LastName == user.LastName) &&
		reflect.DeepEqual(merged, user.Metadata)
}

// imported is the outcome of an import, by user id.
type imported struct {
	added     []string
	updated   map[string]int64 // the users' IDs
	unchanged map[string]bool
	refused   []error
}

// importUsers adds or updates the users of all rows but the unchanged ones, by several workers,
// which share one Client. A row that is refused is noted and skipped. Any other error ends the
// import, since the next rows would fail too.
func importUsers(
	ctx context.Context, client *zep.Client, rows []row, unchanged map[string]bool, s settings,
) (*imported, error) {
	done := &imported{updated: map[string]int64{}, unchanged: unchanged}
	p := s.newProgress("importing", len(rows))
	defer p.end()
	p.add(len(unchanged))
	var mu sync.Mutex // of done
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(s.workers)
	for _, row := range rows {
		if ctx.Err() != nil {
			break
		}
		if unchanged[row.user.UserID] {
			continue
		}
		workers.Go(func() error { // waits for a worker that is free
			user, added, err := put(ctx, client, &row.user)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil && !isRefused(err):
				return fmt.Errorf("line %d: %w", row.line, err)
			case err != nil:
				done.refused = append(done.refused, fmt.Errorf("line %d: %w", row.line, err))
			case added:
				done.added = append(done.added, user.UserID)
			default:
				done.updated[user.UserID] = user.ID
			}
			p.add(1)
			return nil
		})
	}
	err := workers.Wait()
	return done, err
}

// put adds a user, or updates one that exists.
func put(
	ctx context.Context, client *zep.Client, req *zep.CreateUserRequest,
) (user *zep.User, added bool, err error) {
	user, err = client.User.Add(ctx, req)
	if !errors.Is(err, zep.ErrAlreadyExists) {
		return user, true, err
	}
	update := zep.UpdateUserRequest(*req)
	user, err = client.User.Update(ctx, &update)
	return user, false, err
}

// isRefused reports whether an error is about one row, so that others may succeed.
func isRefused(err error) bool {
	return errors.Is(err, zep.ErrInvalidID) ||
		errors.Is(err, zep.ErrBadRequest) ||
		errors.Is(err, zep.ErrTooLarge)
}

// print prints what became of the rows.
func (d *imported) print(w io.Writer, rows int) {
	fmt.Fprintf(w, "Imported %d rows: %d users added, %d updated, %d unchanged, %d refused.\n",
		rows, len(d.added), len(d.updated), len(d.unchanged), len(d.refused))
	for _, refused := range d.refused {
		fmt.Fprintf(w, "  %v\n", refused)
	}
}

// after returns the ids of the users that stand after an ID: a walk that begins there yields each
// of them once.
func (d *imported) after(id int64) []string {
	ids := slices.Concat(d.added, slices.Collect(maps.Keys(d.unchanged)))
	for userID, rowID := range d.updated {
		if rowID > id {
			ids = append(ids, userID)
		}
	}
	return ids
}

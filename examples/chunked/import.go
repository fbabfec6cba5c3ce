package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/zep-go/zep"
)

// A row is a user of the file.
type row struct {
	line int
	user zep.CreateUserRequest
}

// readUsers reads a CSV with a header line. Empty cells are left out of the metadata.
func readUsers(file io.Reader) ([]row, error) {
	r := csv.NewReader(file)
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("the header line: %w", err)
	}
	if !slices.Contains(header, "user_id") {
		return nil, fmt.Errorf("the header line %q has no user_id", header)
	}
	var rows []row
	lines := map[string]int{}
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		line, _ := r.FieldPos(0)
		user := zep.CreateUserRequest{Metadata: zep.Metadata{}}
		for i, cell := range cells {
			switch header[i] {
			case "user_id":
				user.UserID = cell
			case "email":
				user.Email = cell
			case "first_name":
				user.FirstName = cell
			case "last_name":
				user.LastName = cell
			default:
				if cell != "" {
					user.Metadata[header[i]] = cell
				}
			}
		}
		if before, twice := lines[user.UserID]; twice {
			return nil, fmt.Errorf("line %d: user_id %q is in line %d too", line, user.UserID, before)
		}
		lines[user.UserID] = line
		rows = append(rows, row{line, user})
	}
}

// importers is how many goroutines import. One Client is enough for all of them.
const importers = 8

// imported is what became of the rows, by user id.
type imported struct {
	mu             sync.Mutex
	added, updated []string
	refused        []error
}

// importUsers puts all rows on the server. A row that cannot be imported is noted and left out; what would fail the next
// rows too ends the import with an error.
func importUsers(ctx context.Context, client *zep.Client, rows []row) (*imported, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	todo := make(chan row)
	done := &imported{}
	var group sync.WaitGroup
	for range importers {
		group.Add(1)
		go func() {
			defer group.Done()
			for row := range todo {
				if err := done.put(ctx, client, row); err != nil {
					stop(fmt.Errorf("line %d: %w", row.line, err))
				}
			}
		}()
	}
	for _, row := range rows {
		if ctx.Err() != nil {
			break
		}
		todo <- row
	}
	close(todo)
	group.Wait()
	return done, context.Cause(ctx)
}

// put adds the user of a row, or updates it if it is there.
func (d *imported) put(ctx context.Context, client *zep.Client, row row) error {
	_, err := client.User.Add(ctx, &row.user)
	list := &d.added
	if errors.Is(err, zep.ErrAlreadyExists) {
		update := zep.UpdateUserRequest(row.user)
		_, err = client.User.Update(ctx, &update)
		list = &d.updated
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case errors.Is(err, zep.ErrInvalidID), errors.Is(err, zep.ErrBadRequest), errors.Is(err, zep.ErrTooLarge):
		d.refused = append(d.refused, fmt.Errorf("line %d: %w", row.line, err))
	case err != nil:
		return err
	default:
		*list = append(*list, row.user.UserID)
	}
	return nil
}

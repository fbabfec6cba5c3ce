package bench

import (
	"context"

	"github.com/zep-go/zep"
)

// Growth is a policy for the sizes of a walk's pages: from Start by Factor up to Cap. The walk
// fetches one page ahead. It uses only zep's List, so that it can compare policies that zep does
// not have.
type Growth struct {
	Start  int
	Factor float64
	Cap    int
}

// Walk walks all users.
func (g Growth) Walk(ctx context.Context, client *zep.Client, yield func(*zep.User) bool) error {
	type page struct {
		users []*zep.User
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	var pages chan page
	fetch := func(limit int, cursor int64) {
		next := make(chan page, 1)
		pages = next
		go func() {
			users, err := client.User.List(ctx, &zep.ListOptions{Limit: limit, Cursor: cursor})
			next <- page{users, err}
		}()
	}
	defer func() {
		cancel()
		<-pages
	}()
	limit := g.Start
	fetch(limit, 0)
	for {
		current := <-pages
		if current.err != nil || len(current.users) == 0 {
			pages = make(chan page, 1)
			pages <- page{} // for the deferred receive: no request is running
			return current.err
		}
		limit = min(int(float64(limit)*g.Factor), g.Cap)
		fetch(limit, current.users[len(current.users)-1].ID)
		for _, user := range current.users {
			if !yield(user) {
				return nil
			}
		}
	}
}

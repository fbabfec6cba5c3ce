package bench

import (
	"context"

	"github.com/zep-go/zep"
)

// A Growth is a way for the pages of a walk to grow: from Start by Factor up to Cap. The walk fetches one page ahead. It is
// built on zep's List alone, so that policies can be compared that zep does not have.
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
		this := make(chan page, 1)
		pages = this
		go func() {
			users, err := client.User.List(ctx, &zep.ListOptions{Limit: limit, Cursor: cursor})
			this <- page{users, err}
		}()
	}
	defer func() {
		cancel()
		<-pages
	}()
	limit := g.Start
	fetch(limit, 0)
	for {
		this := <-pages
		if this.err != nil || len(this.users) == 0 {
			pages = make(chan page, 1)
			pages <- page{} // nothing is under way
			return this.err
		}
		limit = min(int(float64(limit)*g.Factor), g.Cap)
		fetch(limit, this.users[len(this.users)-1].ID)
		for _, user := range this.users {
			if !yield(user) {
				return nil
			}
		}
	}
}

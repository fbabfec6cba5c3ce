package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/zep-go/zep"
)

// report is the result of a walk over the users.
type report struct {
	users, chunks int
	times         map[string]int            // by user id: how often the walk yielded it
	plans         map[string]map[string]int // by country and plan: the number of users
}

// walk walks the users of the server in chunks and counts those of the file.
func walk(ctx context.Context, client *zep.Client, rows []row, s settings) (*report, error) {
	inFile := map[string]bool{}
	for _, row := range rows {
		inFile[row.user.UserID] = true
	}
	r := &report{times: map[string]int{}, plans: map[string]map[string]int{}}
	p := s.newProgress("walking", -1)
	defer p.end()
	for users, err := range client.User.ListChunked(ctx, s.chunk, zep.After(s.after)) {
		if err != nil {
			return nil, err
		}
		r.chunks++
		r.users += len(users)
		for _, user := range users {
			if !inFile[user.UserID] {
				continue
			}
			if err := r.count(user); err != nil {
				return nil, err
			}
		}
		p.walked(r.users, users[len(users)-1].ID)
	}
	return r, nil
}

func (r *report) count(user *zep.User) error {
	var profile struct{ Country, Plan string }
	if err := user.Metadata.Decode(&profile); err != nil {
		return fmt.Errorf("user %q: %w", user.UserID, err)
	}
	r.times[user.UserID]++
	if r.plans[profile.Country] == nil {
		r.plans[profile.Country] = map[string]int{}
	}
	r.plans[profile.Country][profile.Plan]++
	return nil
}

// print prints the table of countries and plans.
func (r *report) print(w io.Writer) {
	totals := map[string]int{}
	for _, plans := range r.plans {
		for plan, users := range plans {
			totals[plan] += users
		}
	}
	names := slices.Sorted(maps.Keys(totals))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(label string, plans map[string]int) {
		fmt.Fprintf(table, "%s\t", label)
		sum := 0
		for _, name := range names {
			fmt.Fprintf(table, "%d\t", plans[name])
			sum += plans[name]
		}
		fmt.Fprintf(table, "%d\t\n", sum)
	}
	fmt.Fprint(table, "country\t")
	for _, name := range names {
		fmt.Fprintf(table, "%s\t", name)
	}
	fmt.Fprint(table, "all\t\n")
	for _, country := range slices.Sorted(maps.Keys(r.plans)) {
		line(country, r.plans[country])
	}
	line("all", totals)
	table.Flush()
}

// check fails unless the walk yielded each of the users once.
func (r *report) check(ids []string) error {
	for _, id := range ids {
		if r.times[id] != 1 {
			return fmt.Errorf("the walk yielded user %q %d times", id, r.times[id])
		}
	}
	return nil
}

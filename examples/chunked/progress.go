package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far a phase is: by a bar on a terminal, by lines elsewhere.
type progress struct {
	w     io.Writer
	what  string
	total int // -1 if it is not known
	done  int
	bar   *progressbar.ProgressBar // nil where lines are shown
}

// newProgress begins a phase.
func (s settings) newProgress(what string, total int) *progress {
	p := &progress{w: s.progress, what: what, total: total}
	if !s.terminal {
		return p
	}
	p.bar = progressbar.NewOptions(total,
		progressbar.OptionSetWriter(s.progress),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), // and the time that is left
		progressbar.OptionSetItsString("users"),
		progressbar.OptionSetSpinnerChangeInterval(0), // no goroutine
		progressbar.OptionClearOnFinish(),
	)
	return p
}

// linesOf is the number of lines of a phase whose length is known.
const linesOf = 10

// add counts what is done.
func (p *progress) add(n int) {
	before := p.done
	p.done += n
	switch step := max(1, p.total/linesOf); {
	case p.bar != nil:
		_ = p.bar.Add(n)
	case p.done/step > before/step:
		fmt.Fprintf(p.w, "%s: %d of %d rows\n", p.what, p.done, p.total)
	}
}

// usersOfLine is the number of users of a walk after which another line is shown.
const usersOfLine = 500

// walked tells how many users a walk has yielded, and the ID of the last one.
func (p *progress) walked(users int, last int64) {
	before := p.done
	p.done = users
	switch {
	case p.bar != nil:
		p.bar.Describe(p.what + " up to id " + strconv.FormatInt(last, 10))
		_ = p.bar.Add(users - before)
	case users/usersOfLine > before/usersOfLine:
		fmt.Fprintf(p.w, "%s: %d users, up to id %d\n", p.what, users, last)
	}
}

// end removes the bar.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
		_ = p.bar.Clear()
	}
}

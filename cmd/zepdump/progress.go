package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far a command is: by a bar on a terminal, by lines elsewhere. It is safe for
// concurrent use.
type progress struct {
	to       io.Writer
	terminal bool
	every    time.Duration // between two lines
	now      func() time.Time

	mu      sync.Mutex
	what    string
	total   int64 // of done; 0 is unknown
	done    int64 // in the unit that the total is in
	records int64
	before  int64 // the records of an earlier run
	began   time.Time
	shown   time.Time
	bar     *progressbar.ProgressBar
}

func newProgress(to io.Writer, terminal bool) *progress {
	return &progress{to: to, terminal: terminal, every: 5 * time.Second, now: time.Now}
}

// begin begins to count. There are so many records from an earlier run.
func (p *progress) begin(what string, total, records int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what, p.total, p.done = what, total, 0
	p.records, p.before = records, records
	p.began = p.now()
	p.shown = p.began
	if !p.terminal {
		return
	}
	if total <= 0 {
		total = -1 // a bar that has no end
	}
	p.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(p.to),
		progressbar.OptionSetDescription(p.describe()),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetWidth(30),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetSpinnerChangeInterval(0), // or a goroutine turns it
		progressbar.OptionSetRenderBlankState(true),
	)
}

// at says how far the command is, after so many more records.
func (p *progress) at(done, records int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = done
	p.records += records
	p.show()
}

// add says that so much more is done, with so many more records.
func (p *progress) add(done, records int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += done
	p.records += records
	p.show()
}

// show shows the progress, if it has not just been shown. The caller holds the lock.
func (p *progress) show() {
	every := p.every
	if p.bar != nil {
		every = 100 * time.Millisecond
	}
	if p.now().Sub(p.shown) < every {
		return
	}
	p.shown = p.now()
	if p.bar != nil {
		p.bar.Describe(p.describe())
		if p.total > 0 {
			_ = p.bar.Set64(min(p.done, p.total-1)) // a full one would disappear
		} else {
			_ = p.bar.Set64(p.done)
		}
		return
	}
	fmt.Fprintf(p.to, "%s%s\n", p.describe(), p.left())
}

// describe says what was done, and how fast. The caller holds the lock.
func (p *progress) describe() string {
	text := fmt.Sprintf("%-11s %9d", p.what, p.records)
	if elapsed := p.now().Sub(p.began); elapsed > 0 {
		rate := float64(p.records-p.before) / elapsed.Seconds()
		if rate < 10 {
			text += fmt.Sprintf("  %.1f/s", rate)
		} else {
			text += fmt.Sprintf("  %.0f/s", rate)
		}
	}
	return text
}

// left estimates what is left. The caller holds the lock.
func (p *progress) left() string {
	if p.total <= 0 || p.done <= 0 {
		return ""
	}
	done := min(p.done, p.total)
	elapsed := p.now().Sub(p.began)
	left := time.Duration(float64(elapsed) * float64(p.total-done) / float64(done))
	return fmt.Sprintf("  %d%%, about %s left", 100*done/p.total, left.Round(time.Second))
}

// end shows the last line. Without begin it does nothing.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.what == "" {
		return
	}
	if p.bar != nil {
		_ = p.bar.Finish()
		p.bar = nil
	}
	fmt.Fprintln(p.to, p.describe())
	p.what = ""
}

// warn prints a line between the others.
func (p *progress) warn(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	fmt.Fprintf(p.to, "zepdump: "+format+"\n", args...)
}

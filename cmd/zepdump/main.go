// Zepdump exports everything that a Zep v0.x server has, imports an export into another server, and
// verifies that a server has what an export has.
//
//	go run -C cmd/zepdump . export -o /backup/zep
//	go run -C cmd/zepdump . import /backup/zep
//	go run -C cmd/zepdump . verify /backup/zep
//
// The server is that of -url or ZEP_API_URL, and the key that of -key or ZEP_API_KEY. The format of
// an export is in docs/export-format.md.
//
// The exit status is 0 if all is well, 1 if verify found differences or import found conflicts, 2
// after any other error, and 130 after an interrupt.
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/zep-go/zep"
)

const usage = `Usage:
  zepdump export [flags]      write everything that a server has into a folder
  zepdump import [flags] dir  add what an export has to a server
  zepdump verify [flags] dir  compare a server with an export

"zepdump export -h" lists the flags of export. docs/export-format.md describes the files.
`

// Exit statuses.
const (
	exitOK          = 0
	exitDifferent   = 1
	exitError       = 2
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	c := &command{
		stdout:   os.Stdout,
		stderr:   os.Stderr,
		terminal: term.IsTerminal(int(os.Stderr.Fd())),
		pause:    500 * time.Millisecond,
	}
	status := c.run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// command is a run of the program.
type command struct {
	stdout, stderr io.Writer
	terminal       bool          // stderr is one
	pause          time.Duration // before a record is tried a second time
	tune           func(*output) // what tests change of an export; nil for nothing
	client         []zep.Option  // of tests
	progress       *progress

	// The flags.
	url, key   string
	workers    int
	dir        string
	only       string
	kinds      []string // parsed from only
	gzip       bool
	overwrite  bool
	batch      int
	conflicts  string
	timeKey    string
	embeddings string
	extra      bool
}

// run runs the program, and returns its exit status.
func (c *command) run(ctx context.Context, args []string) int {
	commands := map[string]func(context.Context) (int, error){
		"export": c.export, "import": c.importDir, "verify": c.verify,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprint(c.stderr, usage)
		if slices.ContainsFunc(args, isHelp) {
			return exitOK
		}
		return exitError
	}
	if err := c.parse(args[0], args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return c.fail(err)
	}
	status, err := commands[args[0]](ctx)
	if err != nil {
		if ctx.Err() != nil {
			fmt.Fprintf(c.stderr, "zepdump: %s was interrupted: run it again to complete it\n", args[0])
			return exitInterrupted
		}
		return c.fail(err)
	}
	return status
}

func isHelp(arg string) bool {
	return slices.Contains([]string{"-h", "-help", "--help", "help"}, arg)
}

// fail prints an error in one line.
func (c *command) fail(err error) int {
	fmt.Fprintf(c.stderr, "zepdump: %s\n", oneLine(err))
	return exitError
}

// oneLine returns the text of an error without line breaks.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// connect returns a client for the server, and what the manifest says of the server. It fails if
// the server is not there, or refuses the key.
func (c *command) connect(ctx context.Context) (server, serverInfo, error) {
	url := cmp.Or(c.url, os.Getenv("ZEP_API_URL"), "http://localhost:8000")
	options := []zep.Option{
		zep.WithBaseURL(url),
		zep.WithMaxAttempts(6),
		zep.WithTimeout(10 * time.Minute), // a page of a large table takes a while
		zep.WithAttemptTimeout(2 * time.Minute),
		zep.WithUserAgent("zepdump"),
	}
	if c.key != "" {
		options = append(options, zep.WithAPIKey(c.key))
	}
	info := serverInfo{URL: strings.TrimRight(url, "/")}
	client, err := zep.NewClient(append(options, c.client...)...)
	if err != nil {
		return server{}, info, err
	}
	c.progress = newProgress(c.stderr, c.terminal)
	s := server{Client: client, pause: c.pause, warn: c.progress.warn}
	for tries := 1; ; tries++ {
		info.Version, err = s.check(ctx)
		var e *zep.Error
		if !errors.As(err, &e) || e.StatusCode == 0 || !s.wait(ctx, tries, err) {
			return s, info, err
		}
	}
}

// check returns the server's version if it is there and takes the key.
func (s server) check(ctx context.Context) (version string, err error) {
	health, err := s.Health(ctx)
	if err != nil {
		return "", err
	}
	_, err = s.Session.List(ctx, &zep.ListOptions{Limit: 1}) // Health needs no key
	return health.Version, err
}

func (c *command) export(ctx context.Context) (int, error) {
	server, info, err := c.connect(ctx)
	if err != nil {
		return 0, err
	}
	defer server.CloseIdleConnections()
	out, err := newOutput(c.dir, manifest{
		Format:     formatName,
		Version:    formatVersion,
		Status:     statusPartial,
		Server:     info,
		Began:      time.Now().UTC(),
		Kinds:      c.kinds,
		Compressed: c.gzip,
		Files:      []fileInfo{},
	})
	if err != nil {
		return 0, err
	}
	defer out.lock.Close()
	if c.tune != nil {
		c.tune(out)
	}
	if out.manifest.Resume != nil || len(out.manifest.Files) > 0 {
		fmt.Fprintf(c.stderr, "The export in %s goes on.\n", c.dir)
	}
	e := &exporter{
		server:   server,
		out:      out,
		workers:  c.workers,
		progress: c.progress,
	}
	if err := e.run(ctx); err != nil {
		return 0, err
	}
	c.printExport(out.manifest)
	return exitOK, nil
}

// open opens the export of import and verify, and connects to the server.
func (c *command) open(ctx context.Context) (*input, server, error) {
	in, err := openInput(c.dir, c.kinds)
	if err != nil {
		return nil, server{}, err
	}
	server, _, err := c.connect(ctx)
	return in, server, err
}

func (c *command) importDir(ctx context.Context) (status int, err error) {
	in, server, err := c.open(ctx)
	if err != nil {
		return 0, err
	}
	defer server.CloseIdleConnections()
	c.printNotKept(in, "Will not be kept")
	list, err := c.conflictList()
	if err != nil {
		return 0, err
	}
	im := &importer{
		server:    server,
		in:        in,
		options:   c.options(),
		overwrite: c.overwrite,
		workers:   c.workers,
		batch:     c.batch,
		progress:  c.progress,
		report:    list.add,
	}
	err = im.run(ctx)
	if waitErr := server.Wait(context.WithoutCancel(ctx)); err == nil {
		err = waitErr
	}
	if listErr := list.close(err == nil); err == nil {
		err = listErr
	}
	if err != nil {
		return 0, err
	}
	c.printImport(in, im)
	c.printNotKept(in, "Not kept")
	if list.n > 0 {
		fmt.Fprintf(c.stdout, "Not as in the export: %d, listed in %s\n", list.n, list.path)
		return exitDifferent, nil
	}
	return exitOK, nil
}

// conflictList returns the list of the conflicts of an import. Two imports of one export, into two
// servers, need two files.
func (c *command) conflictList() (*list, error) {
	if c.conflicts != "" {
		return newList(c.conflicts)
	}
	lock, err := lockDir(c.dir)
	if err != nil {
		return nil, fmt.Errorf("%s is in use by another import: choose a file with -conflicts: %w",
			c.dir, err)
	}
	list, err := newList(filepath.Join(c.dir, "conflicts.jsonl"))
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	list.lock = lock
	return list, nil
}

func (c *command) options() options {
	return options{timeKey: c.timeKey, carry: c.embeddings == "carry"}
}

func (c *command) verify(ctx context.Context) (int, error) {
	in, server, err := c.open(ctx)
	if err != nil {
		return 0, err
	}
	defer server.CloseIdleConnections()
	out := bufio.NewWriter(c.stdout)
	list := &list{to: out}
	v := &verifier{
		server:   server,
		in:       in,
		options:  c.options(),
		extra:    c.extra,
		workers:  c.workers,
		progress: c.progress,
		report:   list.add,
	}
	err = v.run(ctx)
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(c.stderr, "differences: %d\n", list.n)
	if list.n > 0 {
		return exitDifferent, nil
	}
	return exitOK, nil
}

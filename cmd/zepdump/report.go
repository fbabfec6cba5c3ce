package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// printExport prints what was exported.
func (c *command) printExport(m *manifest) {
	fmt.Fprintf(c.stdout, "Exported %s into %s:\n", m.Server.URL, c.dir)
	for _, kind := range allKinds {
		if f := m.file(kind); f != nil {
			fmt.Fprintf(c.stdout, "  %9d %-11s %12d bytes  %s\n", f.Records, kind, f.Bytes, f.Name)
		}
	}
	if m.Unaddressable > 0 {
		fmt.Fprintf(c.stdout, "  %9d sessions have ids that no request can carry: "+
			"their messages are left out\n", m.Unaddressable)
	}
}

// printImport prints what was imported.
func (c *command) printImport(in *input, im *importer) {
	fmt.Fprintf(c.stdout, "Imported %s:\n", c.dir)
	for _, kind := range in.kinds {
		n := im.counts[kind]
		if kind == summaries {
			continue
		}
		fmt.Fprintf(c.stdout, "  %-11s %9d added, %d were there", kind, n.added.Load(), n.there.Load())
		if n := n.overwritten.Load(); n > 0 {
			fmt.Fprintf(c.stdout, ", %d overwritten", n)
		}
		if n := n.conflicts.Load(); n > 0 {
			fmt.Fprintf(c.stdout, ", %d in conflict", n)
		}
		if n := n.unpublished.Load(); n > 0 {
			fmt.Fprintf(c.stdout, ", %d stored but not handed on for embedding", n)
		}
		fmt.Fprintln(c.stdout)
	}
}

// printNotKept lists what the API cannot keep.
func (c *command) printNotKept(in *input, title string) {
	fmt.Fprintf(c.stdout, "%s, because the API cannot:\n", title)
	for _, line := range []struct {
		kind, text string
	}{
		{users, "the row ids, UUIDs and times of %d users"},
		{sessions, "the row ids, UUIDs and times of %d sessions"},
		{messages, "the times of %d messages" + c.timeKeyText()},
		{messages, "the token counts and the \"system\" metadata of messages: the server makes its own"},
		{summaries, "%d summaries: the server makes its own"},
		{collections, "the UUIDs, times, counts and indexes of %d collections"},
		{documents, "the UUIDs and times of %d documents"},
		{documents, "a document_id that is missing: such documents get their UUID as one"},
		{documents, c.embeddingsText()},
	} {
		if n := in.count(line.kind); n > 0 && line.text != "" {
			if strings.Contains(line.text, "%d") {
				line.text = fmt.Sprintf(line.text, n)
			}
			fmt.Fprintf(c.stdout, "  %s\n", line.text)
		}
	}
}

func (c *command) timeKeyText() string {
	if c.timeKey == "" {
		return "; -time-key created_at puts them into the metadata"
	}
	return fmt.Sprintf("; they go into the metadata as %q", c.timeKey)
}

func (c *command) embeddingsText() string {
	if c.embeddings == "carry" {
		return "that collections are embedded by the server: they get the exported embeddings"
	}
	return "the embeddings of collections that the server embeds: it makes its own"
}

// list is differences as JSON Lines. It is safe for concurrent use.
type list struct {
	path string    // "" if they do not go into a file
	file *os.File  // which has its name only when the list is whole
	lock io.Closer // of its folder, nil if it needs none

	mu sync.Mutex
	to io.Writer
	n  int
}

// newList returns a list that goes into a file.
func newList(path string) (*list, error) {
	f, err := os.Create(path + partialSuffix)
	return &list{path: path, file: f, to: f}, err
}

// add adds a line.
func (l *list) add(d difference) error {
	line, err := json.Marshal(d)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	_, err = l.to.Write(append(line, '\n'))
	return err
}

// close gives the file its name, if it is whole. If there are no differences there is no file, and
// none of an earlier run.
func (l *list) close(whole bool) error {
	if l.lock != nil {
		defer l.lock.Close()
	}
	if !whole || l.n > 0 {
		return finish(l.file, l.path, whole)
	}
	err := errors.Join(l.file.Close(), os.Remove(l.file.Name()))
	if removeErr := os.Remove(l.path); !errors.Is(removeErr, os.ErrNotExist) {
		err = errors.Join(err, removeErr)
	}
	return err
}

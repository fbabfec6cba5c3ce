package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/zep-go/zep"
)

// The format of an export, as docs/export-format.md describes it.
const (
	formatName    = "zepdump"
	formatVersion = 1

	manifestName  = "manifest.json"
	partialSuffix = ".partial" // of a file that is not whole

	statusComplete = "complete"
	statusPartial  = "partial"
)

// The kinds of records. Each has a file of its own.
const (
	users       = "users"
	sessions    = "sessions"
	messages    = "messages"
	summaries   = "summaries"
	collections = "collections"
	documents   = "documents"
)

// allKinds is in the order in which references need them.
var allKinds = []string{users, sessions, messages, summaries, collections, documents}

// messageRecord is a line of the messages.
type messageRecord struct {
	SessionID string `json:"session_id"`
	zep.Message
}

// summaryRecord is a line of the summaries.
type summaryRecord struct {
	SessionID string `json:"session_id"`
	zep.Summary
}

// documentRecord is a line of the documents.
type documentRecord struct {
	Collection string `json:"collection"`
	zep.Document
}

// manifest describes an export. It is written last, and says "partial" until then.
type manifest struct {
	Format     string     `json:"format"`
	Version    int        `json:"version"`
	Status     string     `json:"status"`
	Server     serverInfo `json:"server"`
	Began      time.Time  `json:"began"`
	Ended      *time.Time `json:"ended"` // nil while the export is partial
	Kinds      []string   `json:"kinds"` // those that were asked for
	Compressed bool       `json:"compressed"`
	Files      []fileInfo `json:"files"` // those that are whole

	// Unaddressable counts the sessions whose messages no request can ask for.
	Unaddressable int64 `json:"unaddressable_sessions"`

	Resume *resumeInfo `json:"resume,omitempty"`
}

type serverInfo struct {
	URL     string `json:"url"`
	Version string `json:"version"` // as the server sends it
}

// fileInfo describes a file of an export.
type fileInfo struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Records int64  `json:"records"`
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256,omitempty"`
}

// resumeInfo tells where a partial export goes on.
type resumeInfo struct {
	Step  string     `json:"step"`
	After string     `json:"after"` // the last record, session or collection of the files
	Files []fileInfo `json:"files"` // what of them is certain to be written
}

// file returns the description of the file of a kind, nil if there is none.
func (m *manifest) file(kind string) *fileInfo {
	i := slices.IndexFunc(m.Files, func(f fileInfo) bool { return f.Kind == kind })
	if i < 0 {
		return nil
	}
	return &m.Files[i]
}

// readManifest reads and checks the manifest of an export.
func readManifest(dir string) (*manifest, error) {
	path := filepath.Join(dir, manifestName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is no export: it has no %s: %w", dir, manifestName, err)
	}
	if err != nil {
		return nil, err
	}
	m := new(manifest)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	switch {
	case m.Format != formatName:
		return nil, fmt.Errorf("%s: the format is %q, not %q", path, m.Format, formatName)
	case m.Version != formatVersion:
		return nil, fmt.Errorf("%s: version %d of the format is unknown to this program, "+
			"which reads version %d", path, m.Version, formatVersion)
	case m.Status != statusComplete && m.Status != statusPartial:
		return nil, fmt.Errorf("%s: the status %q is unknown", path, m.Status)
	}
	for _, f := range m.Files {
		if f.Name != filepath.Base(f.Name) || !slices.Contains(allKinds, f.Kind) {
			return nil, fmt.Errorf("%s: the file %q of the kind %q is unknown", path, f.Name, f.Kind)
		}
	}
	return m, nil
}

// write stores the manifest in a folder.
func (m *manifest) write(dir string) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, manifestName), append(data, '\n'))
}

// writeFile stores a file whole or not at all.
func writeFile(path string, data []byte) error {
	f, err := os.Create(path + partialSuffix)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, finish(f, path, err == nil))
}

// finish closes a file with a temporary name. If it is whole, it gets its own name, for good.
func finish(f *os.File, path string, whole bool) error {
	if !whole {
		return f.Close()
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a folder durable, where the system can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	_ = d.Sync() // Windows has no such call for a folder
	return nil
}

// parseKinds parses the value of -only.
func parseKinds(list string) ([]string, error) {
	if list == "" {
		return allKinds, nil
	}
	asked := strings.Split(list, ",")
	for _, kind := range asked {
		if !slices.Contains(allKinds, kind) {
			return nil, fmt.Errorf("-only: %q is not one of %s", kind, strings.Join(allKinds, ","))
		}
	}
	var kinds []string
	for _, kind := range allKinds {
		if slices.Contains(asked, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds, nil
}

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/zep-go/zep"
)

// spool sorts the lines of documents, which the server sends in no promised order: the same
// documents have to give the same bytes. The lines are in a file, and memory holds 40 bytes a
// document.
type spool struct {
	file  *os.File
	w     *bufio.Writer
	lines []spooled
	size  int64
}

type spooled struct {
	created int64 // microseconds, as precise as the server
	uuid    [16]byte
	offset  int64
	length  int32
}

// newSpool returns a spool with a file of this name.
func newSpool(path string) (*spool, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return &spool{file: f, w: bufio.NewWriterSize(f, 64<<10)}, nil
}

// add adds a document of a collection.
func (s *spool) add(collection string, d *zep.Document) error {
	var line bytes.Buffer
	if err := appendLine(&line, documentRecord{collection, *d}); err != nil {
		return err
	}
	entry := spooled{created: d.CreatedAt.UnixMicro(), offset: s.size, length: int32(line.Len())}
	uuid, _ := hex.DecodeString(strings.ReplaceAll(d.UUID, "-", ""))
	copy(entry.uuid[:], uuid)
	s.lines = append(s.lines, entry)
	s.size += int64(line.Len())
	_, err := s.w.Write(line.Bytes())
	return err
}

// each calls write with the lines by the time and the UUID of their documents.
func (s *spool) each(write func(line []byte) error) error {
	if err := s.w.Flush(); err != nil {
		return err
	}
	slices.SortFunc(s.lines, func(a, b spooled) int {
		return cmp.Or(cmp.Compare(a.created, b.created), bytes.Compare(a.uuid[:], b.uuid[:]))
	})
	var line []byte
	for _, entry := range s.lines {
		line = slices.Grow(line[:0], int(entry.length))[:entry.length]
		if _, err := s.file.ReadAt(line, entry.offset); err != nil {
			return err
		}
		if err := write(line); err != nil {
			return err
		}
	}
	return nil
}

// close removes the file.
func (s *spool) close() error {
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}

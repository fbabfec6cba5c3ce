package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// input is a complete export that is read.
type input struct {
	dir      string
	manifest *manifest
	kinds    []string // those that are read
}

// openInput opens an export, and checks that it is complete and that its files are as they were
// written.
func openInput(dir string, kinds []string) (*input, error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	if m.Status != statusComplete {
		return nil, fmt.Errorf("%s is a partial export: run the export again to complete it", dir)
	}
	in := &input{dir: dir, manifest: m}
	for _, kind := range kinds {
		info := m.file(kind)
		if info == nil {
			continue
		}
		in.kinds = append(in.kinds, kind)
		path := filepath.Join(dir, info.Name)
		sum, size, err := checksum(path)
		switch {
		case err != nil:
			return nil, err
		case size != info.Bytes:
			return nil, fmt.Errorf("%s has %d bytes, but the manifest says %d", path, size, info.Bytes)
		case sum != info.SHA256:
			return nil, fmt.Errorf("%s is not as it was written: its SHA-256 is not that of the manifest",
				path)
		}
	}
	return in, nil
}

// has reports whether a kind is read.
func (in *input) has(kind string) bool { return slices.Contains(in.kinds, kind) }

// count returns the number of records of a kind.
func (in *input) count(kind string) int64 {
	if !in.has(kind) {
		return 0
	}
	return in.manifest.file(kind).Records
}

// The largest chunk of records that is read at once. A single record may be larger.
const (
	chunkRecords   = 256
	chunkLineBytes = 1 << 20
)

// chunks reads the records of a kind, in the order of the file, several at once. A chunk has only
// records with the same key. There are none if the kind is not read.
func chunks[T any](in *input, kind string, key func(*T) string) iter.Seq2[[]*T, error] {
	return func(yield func([]*T, error) bool) {
		if !in.has(kind) {
			return
		}
		var chunk []*T
		size, stopped := 0, false
		flush := func() bool {
			stopped = stopped || len(chunk) > 0 && !yield(chunk, nil)
			chunk, size = nil, 0
			return !stopped
		}
		err := scan(in.dir, in.manifest.file(kind), func(record *T, bytes int) bool {
			full := len(chunk) == chunkRecords || size+bytes > chunkLineBytes
			if len(chunk) > 0 && (full || key(record) != key(chunk[0])) && !flush() {
				return false
			}
			chunk = append(chunk, record)
			size += bytes
			return true
		})
		if err == nil && !stopped {
			flush()
		}
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}

// fileRecords reads a file of an export.
func fileRecords[T any](dir string, info *fileInfo) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		stopped := false
		err := scan(dir, info, func(record *T, _ int) bool {
			stopped = !yield(record, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}

// scan calls each with the records of a file and the sizes of their lines, until it returns false.
func scan[T any](dir string, info *fileInfo, each func(record *T, bytes int) bool) error {
	path := filepath.Join(dir, info.Name)
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	if strings.HasSuffix(info.Name, ".gz") {
		gz, err := gzip.NewReader(r)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		r = bufio.NewReaderSize(gz, 64<<10)
	}
	for n := int64(0); n < info.Records; n++ {
		record := new(T)
		line, err := r.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, record)
		}
		if err != nil {
			return fmt.Errorf("%s: line %d of %d: %w", path, n+1, info.Records, err)
		}
		if !each(record, len(line)) {
			return nil
		}
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: more than the %d lines of the manifest", path, info.Records)
	}
	return nil
}

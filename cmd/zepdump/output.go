package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// output is an export that is being written. It is not safe for concurrent use.
//
// The files of a step are cut into blocks, after a number of bytes that does not depend on time: a
// compressed file has a gzip member for each. What a killed export goes on with is the end of a
// block, so that its bytes are those of an export that was not killed.
type output struct {
	dir      string
	manifest *manifest

	blockBytes int                                          // of JSON, after which a block ends
	every      time.Duration                                // between two points to go on from
	open       func(string, int, fs.FileMode) (file, error) // os.OpenFile

	lock       io.Closer     // of the folder
	files      []*outputFile // of the step
	block      int           // the bytes of JSON in this block
	checkpoint time.Time     // when the manifest was written last

	unaddressable int64 // also those of this block
}

// file is what an output needs of an [os.File].
type file interface {
	io.WriteCloser
	Sync() error
	Truncate(int64) error
	Seek(int64, int) (int64, error)
}

// outputFile is a file that is being written.
type outputFile struct {
	fileInfo // of what is written up to the last block
	file     file
	buffered *bufio.Writer
	gz       *gzip.Writer // nil without compression
	records  int64        // also those of this block
}

// Write counts what goes to the file.
func (f *outputFile) Write(data []byte) (int, error) {
	n, err := f.file.Write(data)
	f.Bytes += int64(n)
	return n, err
}

// newOutput begins an export in a folder, or takes up the one that is there.
func newOutput(dir string, fresh manifest) (*output, error) {
	o := &output{
		dir:        dir,
		manifest:   &fresh,
		blockBytes: 1 << 20,
		every:      2 * time.Second,
		open: func(name string, flags int, mode fs.FileMode) (file, error) {
			return os.OpenFile(name, flags, mode)
		},
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if o.lock, err = lockDir(dir); err != nil {
		return nil, fmt.Errorf("%s is in use by another export: %w", dir, err)
	}
	if err := o.takeUp(); err != nil {
		return nil, errors.Join(err, o.lock.Close())
	}
	return o, nil
}

// takeUp takes up the partial export that is in the folder, if one is.
func (o *output) takeUp() error {
	dir, fresh := o.dir, o.manifest
	there, err := readManifest(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return emptyDir(dir)
	case err != nil:
		return err
	case there.Status == statusComplete:
		return fmt.Errorf("%s has a complete export: choose another folder with -o", dir)
	case there.Server.URL != fresh.Server.URL:
		return fmt.Errorf("%s has a partial export of another server, %s", dir, there.Server.URL)
	case !slices.Equal(there.Kinds, fresh.Kinds) || there.Compressed != fresh.Compressed:
		return fmt.Errorf("%s has a partial export with other flags: -only=%s -gzip=%t",
			dir, strings.Join(there.Kinds, ","), there.Compressed)
	}
	o.manifest = there
	return nil
}

// emptyDir returns an error if a folder has files that are not of this program's beginning.
func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() != manifestName+partialSuffix {
			return fmt.Errorf("%s is not empty, and has no export to go on with", dir)
		}
	}
	return nil
}

// name returns the name of the file of a kind.
func (o *output) name(kind string) string {
	if o.manifest.Compressed {
		return kind + ".jsonl.gz"
	}
	return kind + ".jsonl"
}

// begin opens the files of a step, and returns what a killed export had last written to them. It
// is not ok if the step was finished before.
func (o *output) begin(step string, kinds []string) (after string, ok bool, err error) {
	kinds = slices.DeleteFunc(slices.Clone(kinds), func(kind string) bool {
		return !slices.Contains(o.manifest.Kinds, kind)
	})
	whole := func(kind string) bool { return o.manifest.file(kind) != nil }
	if len(kinds) == 0 || !slices.ContainsFunc(kinds, func(k string) bool { return !whole(k) }) {
		return "", false, nil
	}
	resume := o.manifest.Resume
	if resume == nil || resume.Step != step {
		resume = &resumeInfo{Step: step}
		for _, kind := range kinds {
			resume.Files = append(resume.Files, fileInfo{Kind: kind, Name: o.name(kind)})
		}
	}
	o.block, o.files, o.unaddressable = 0, nil, o.manifest.Unaddressable
	for _, info := range resume.Files {
		f, err := o.openFile(info)
		if err != nil {
			return "", false, err
		}
		o.files = append(o.files, f)
	}
	o.manifest.Resume = resume
	return resume.After, true, o.writeManifest()
}

// openFile opens a file behind what is certain of it.
func (o *output) openFile(info fileInfo) (*outputFile, error) {
	path := filepath.Join(o.dir, info.Name)
	partial := path + partialSuffix
	if _, err := os.Lstat(partial); errors.Is(err, fs.ErrNotExist) && info.Bytes > 0 {
		// It was killed between the new name of the file and the manifest that says so.
		if err := os.Rename(path, partial); err != nil {
			return nil, err
		}
	}
	opened, err := o.open(partial, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	f := &outputFile{fileInfo: info, file: opened, records: info.Records}
	f.buffered = bufio.NewWriterSize(f, 64<<10)
	if o.manifest.Compressed {
		f.gz = gzip.NewWriter(f.buffered)
	}
	if end, err := opened.Seek(0, io.SeekEnd); err != nil || end < info.Bytes {
		return nil, errors.Join(err, opened.Close(), fmt.Errorf(
			"%s is shorter than the manifest says: begin again in another folder", partial))
	} else if end > info.Bytes {
		if err := opened.Truncate(info.Bytes); err != nil {
			return nil, errors.Join(err, opened.Close())
		}
	}
	_, err = opened.Seek(info.Bytes, io.SeekStart)
	return f, err
}

// has reports whether the step writes a kind.
func (o *output) has(kind string) bool { return o.file(kind) != nil }

func (o *output) file(kind string) *outputFile {
	for _, f := range o.files {
		if f.Kind == kind {
			return f
		}
	}
	return nil
}

// write adds lines to the file of a kind.
func (o *output) write(kind string, lines []byte, records int) error {
	f := o.file(kind)
	w := io.Writer(f.buffered)
	if f.gz != nil {
		w = f.gz
	}
	if _, err := w.Write(lines); err != nil {
		return err
	}
	f.records += int64(records)
	o.block += len(lines)
	return nil
}

// mark says that everything up to the record, session or collection after is written. If the block
// is full it ends here.
func (o *output) mark(after string) error {
	if o.block < o.blockBytes {
		return nil
	}
	if err := o.cut(after, false); err != nil {
		return err
	}
	if time.Since(o.checkpoint) < o.every {
		return nil
	}
	return o.save()
}

// cut ends the block. The last one of a file without records is an empty gzip member.
func (o *output) cut(after string, last bool) error {
	resume := &resumeInfo{Step: o.manifest.Resume.Step, After: after}
	for _, f := range o.files {
		if f.gz != nil && (f.records > f.Records || last && f.Bytes == 0) {
			if err := f.gz.Close(); err != nil {
				return err
			}
			f.gz.Reset(f.buffered)
		}
		if err := f.buffered.Flush(); err != nil {
			return err
		}
		f.Records = f.records
		resume.Files = append(resume.Files, f.fileInfo)
	}
	o.block, o.manifest.Resume, o.manifest.Unaddressable = 0, resume, o.unaddressable
	return nil
}

// save makes what was written up to the last block durable, and says so in the manifest.
func (o *output) save() error {
	for _, f := range o.files {
		if err := f.file.Sync(); err != nil {
			return err
		}
	}
	return o.writeManifest()
}

func (o *output) writeManifest() error {
	o.checkpoint = time.Now()
	return o.manifest.write(o.dir)
}

// end finishes the files of the step.
func (o *output) end() error {
	if err := o.cut("", true); err != nil {
		return err
	}
	for _, f := range o.files {
		if err := errors.Join(f.file.Sync(), f.file.Close()); err != nil {
			return err
		}
	}
	for _, f := range o.files {
		path := filepath.Join(o.dir, f.Name)
		sum, _, err := checksum(path + partialSuffix)
		if err != nil {
			return err
		}
		if err := os.Rename(path+partialSuffix, path); err != nil {
			return err
		}
		f.SHA256 = sum
		o.manifest.Files = append(o.manifest.Files, f.fileInfo)
	}
	o.files, o.manifest.Resume = nil, nil
	return errors.Join(syncDir(o.dir), o.writeManifest())
}

// stop leaves the files as they are after an error, with a manifest that says "partial".
func (o *output) stop() error {
	err := o.save()
	for _, f := range o.files {
		err = errors.Join(err, f.file.Close())
	}
	o.files = nil
	return err
}

// complete says that the export is whole.
func (o *output) complete() error {
	now := time.Now().UTC()
	o.manifest.Status, o.manifest.Ended = statusComplete, &now
	return o.writeManifest()
}

// checksum returns the SHA-256 and the size of a file.
func checksum(path string) (sum string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	hash := sha256.New()
	size, err = io.Copy(hash, f)
	return hex.EncodeToString(hash.Sum(nil)), size, err
}

// appendLine appends a record as a line of JSON.
func appendLine(line *bytes.Buffer, record any) error {
	encoder := json.NewEncoder(line)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(record)
}

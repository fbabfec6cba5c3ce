package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/zeptest"
)

// An export that is not whole, or not of this format, is refused in one line before anything is
// sent.
func TestInput_Refused(t *testing.T) {
	t.Parallel()
	source, client := newServer(t)
	fill(t, source, client, smallLoad)
	edit := func(name string, change func(string) string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, name)
			require.NoError(t, os.WriteFile(path, []byte(change(readFile(t, path))), 0o600))
		}
	}
	replace := func(old, new string) func(string) string {
		return func(text string) string { return strings.Replace(text, old, new, 1) }
	}
	half := func(text string) string { return text[:len(text)/2] }
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  string
	}{
		{"cut", edit("messages.jsonl", half), "messages.jsonl has "},
		{"longer", edit("users.jsonl", func(s string) string { return s + "{}\n" }),
			"users.jsonl has "},
		{"changed", edit("users.jsonl", replace("Jane", "Jack")),
			"users.jsonl is not as it was written: its SHA-256 is not that of the manifest"},
		{"removed", func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "sessions.jsonl")))
		}, "sessions.jsonl: no such file or directory"},
		{"of a later version", edit(manifestName, replace(`"version": 1`, `"version": 2`)),
			"version 2 of the format is unknown to this program, which reads version 1"},
		{"of another format", edit(manifestName, replace(`"zepdump"`, `"tar"`)),
			`the format is "tar", not "zepdump"`},
		{"partial", edit(manifestName, replace(statusComplete, statusPartial)),
			"is a partial export: run the export again to complete it"},
		{"unknown status", edit(manifestName, replace(statusComplete, "fine")),
			`the status "fine" is unknown`},
		{"cut manifest", edit(manifestName, half), "manifest.json: unexpected end of JSON input"},
		{"a file elsewhere", edit(manifestName, replace(`"users.jsonl"`, `"../users.jsonl"`)),
			`the file "../users.jsonl" of the kind "users" is unknown`},
		{"without manifest", func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, manifestName)))
		}, "is no export: it has no manifest.json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "export")
			mustRun(t, source.URL, "export", "-o", dir)
			test.spoil(t, dir)
			server := zeptest.NewServer()
			defer server.Close()
			for _, command := range []string{"import", "verify"} {
				r := zepdump(t, server.URL, command, dir)
				assert.Equal(t, exitError, r.status)
				assert.Empty(t, r.stdout)
				assert.Contains(t, r.stderr, test.want)
				assert.Regexp(t, `^zepdump: [^\n]+\n$`, r.stderr, "one line")
			}
			assert.Zero(t, server.Requests())
		})
	}
}

// What the manifest's checksums do not tell is found while the lines are read.
func TestInput_BadLines(t *testing.T) {
	t.Parallel()
	source, client := newServer(t)
	fill(t, source, client, smallLoad)
	for _, test := range []struct{ name, line, want string }{
		{"no JSON", "{\n", "users.jsonl: line 3 of 60: unexpected end of JSON input"},
		{"one too many", "{\"user_id\":\"x\"}\n", "users.jsonl: more than the 60 lines of the manifest"},
		{"one too few", "", "users.jsonl: line 60 of 60: EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "export")
			mustRun(t, source.URL, "export", "-o", dir)
			path := filepath.Join(dir, "users.jsonl")
			lines := strings.SplitAfter(readFile(t, path), "\n")
			switch test.name {
			case "one too many":
				lines = append(lines, test.line)
			default:
				lines[2] = test.line
			}
			require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600))
			m, err := readManifest(dir)
			require.NoError(t, err)
			f := m.file(users)
			f.SHA256, f.Bytes, err = checksum(path)
			require.NoError(t, err)
			require.NoError(t, m.write(dir))
			server := zeptest.NewServer()
			defer server.Close()
			r := zepdump(t, server.URL, "import", dir)
			assert.Equal(t, exitError, r.status)
			assert.Contains(t, r.stderr, test.want+"\n")
		})
	}
}

func TestExport_FolderIsTaken(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	fill(t, server, client, load{users: 3})
	dir := filepath.Join(t.TempDir(), "export")
	refused := func(want, url string, args ...string) {
		t.Helper()
		r := zepdump(t, url, append([]string{"export", "-o", dir}, args...)...)
		assert.Equal(t, result{exitError, "", "zepdump: " + dir + want + "\n"}, r)
	}
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "letter.txt"), nil, 0o600))
	refused(" is not empty, and has no export to go on with", server.URL)
	require.NoError(t, os.Remove(filepath.Join(dir, "letter.txt")))

	mustRun(t, server.URL, "export", "-o", dir)
	refused(" has a complete export: choose another folder with -o", server.URL)

	m, err := readManifest(dir)
	require.NoError(t, err)
	m.Status = statusPartial
	require.NoError(t, m.write(dir))
	refused(" has a partial export with other flags: -only=users,sessions,messages,summaries,"+
		"collections,documents -gzip=false", server.URL, "-gzip")
	other, _ := newServer(t)
	refused(" has a partial export of another server, "+server.URL, other.URL)

	lock, err := lockDir(dir)
	require.NoError(t, err)
	defer lock.Close()
	refused(" is in use by another export: resource temporarily unavailable", server.URL)
}

// A disk that is full ends an export in one line, and the export goes on when there is room.
func TestExport_DiskIsFull(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("needs /dev/full")
	}
	server, client := newServer(t)
	fill(t, server, client, smallLoad)
	for _, kind := range []string{users, messages, documents} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "export")
			var stderr bytes.Buffer
			full := filepath.Join(dir, kind+".jsonl"+partialSuffix)
			c := &command{
				stdout: &stderr,
				stderr: &stderr,
				client: quick(),
				tune: func(o *output) {
					small(o)
					o.open = func(name string, flags int, mode fs.FileMode) (file, error) {
						if name == full {
							name = "/dev/full"
						}
						return os.OpenFile(name, flags, mode)
					}
				},
			}
			assert.Equal(t, exitError, c.run(context.Background(),
				[]string{"export", "-url", server.URL, "-o", dir}))
			lines := splitLines(stderr.String())
			assert.Equal(t, "zepdump: write /dev/full: no space left on device", lines[len(lines)-1])
			m := timeless(t, dir)
			assert.Equal(t, statusPartial, m.Status)
			assert.Nil(t, m.file(kind))
			assert.NoFileExists(t, filepath.Join(dir, kind+".jsonl"))

			mustRun(t, server.URL, "export", "-o", dir)
			assert.Empty(t, mustRun(t, server.URL, "verify", "-extra", dir).stdout)
		})
	}
}

// The manifest, too, is whole or not there.
func TestWriteFile_Fails(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, writeFile(path, []byte("old")))
	require.NoError(t, os.Mkdir(path+partialSuffix, 0o700)) // in the way
	require.Error(t, writeFile(path, []byte("new")))
	assert.Equal(t, "old", readFile(t, path))
}

// A key without rights leaves nothing behind.
func TestCommands_Unauthorized(t *testing.T) {
	t.Parallel()
	server, client := newServer(t, zeptest.WithAPIKey("the-right-key"))
	fill(t, server, client, load{users: 3})
	whole := filepath.Join(t.TempDir(), "whole")
	mustRun(t, server.URL, "export", "-key", "the-right-key", "-o", whole)
	dir := filepath.Join(t.TempDir(), "export")
	for _, args := range [][]string{{"export", "-o", dir}, {"import", whole}, {"verify", whole}} {
		r := zepdump(t, server.URL, append(args, "-key", "a-wrong-key")...)
		assert.Equal(t, exitError, r.status)
		assert.Empty(t, r.stdout)
		assert.Regexp(t,
			`^zepdump: zep: GET /api/v1/sessions: 401: token is unauthorized[^\n]*\n$`, r.stderr)
		assert.NotContains(t, r.stderr, "wrong-key")
	}
	assert.NoFileExists(t, dir)
	assert.NoFileExists(t, filepath.Join(whole, "conflicts.jsonl"))
}

// A key that may read but not write ends an import at once.
func TestImport_Forbidden(t *testing.T) {
	t.Parallel()
	dir, _ := exportOf(t)
	server, client := newServer(t)
	server.Inject(zeptest.Fault{Method: "POST", Status: 403, Body: "read only\n", Times: -1})
	r := zepdump(t, server.URL, "import", dir)
	assert.Equal(t, exitError, r.status)
	assert.Contains(t, r.stderr, "403: read only")
	assert.NoFileExists(t, filepath.Join(dir, "conflicts.jsonl"))
	assert.Empty(t, counts(t, client))

	r = zepdump(t, server.URL, "import", dir, "-conflicts", filepath.Join(dir, "missing", "list"))
	assert.Equal(t, exitError, r.status)
	assert.Regexp(t, `^zepdump: open \S+list.partial: no such file or directory\n$`, r.stderr)
}

func TestCommands_NoServer(t *testing.T) {
	t.Parallel()
	server := zeptest.NewServer()
	server.Close()
	dir := filepath.Join(t.TempDir(), "export")
	r := zepdump(t, server.URL, "export", "-o", dir)
	assert.Equal(t, exitError, r.status)
	assert.Regexp(t, `^zepdump: zep: GET /healthz: [^\n]*connection refused[^\n]*\n$`, r.stderr)
	assert.NoFileExists(t, dir)
}

// Two imports of one export do not write into one file.
func TestImport_FolderIsInUse(t *testing.T) {
	t.Parallel()
	server, _ := newServer(t)
	dir := filepath.Join(t.TempDir(), "export")
	mustRun(t, server.URL, "export", "-o", dir)
	lock, err := lockDir(dir)
	require.NoError(t, err)
	r := zepdump(t, server.URL, "import", dir)
	assert.Equal(t, exitError, r.status)
	assert.Contains(t, r.stderr, dir+" is in use by another import: choose a file with -conflicts: ")
	mustRun(t, server.URL, "import", dir, "-conflicts", filepath.Join(t.TempDir(), "conflicts"))
	require.NoError(t, lock.Close())
	mustRun(t, server.URL, "import", dir)
	mustRun(t, server.URL, "import", dir)
}

func TestCommands_Usage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{nil, exitError, usage},
		{[]string{"backup"}, exitError, usage},
		{[]string{"-h"}, exitOK, usage},
		{[]string{"import"}, exitError, "zepdump: zepdump import: 0 arguments, see -h\n"},
		{[]string{"verify", "a", "b"}, exitError, "zepdump: zepdump verify: 2 arguments, see -h\n"},
		{[]string{"export", "a"}, exitError, "zepdump: zepdump export: 1 arguments, see -h\n"},
		{[]string{"export", "-x"}, exitError, "zepdump: flag provided but not defined: -x\n"},
		{[]string{"export", "-workers=0"}, exitError, "zepdump: -workers: must be at least 1\n"},
		{[]string{"import", "a", "-batch=0"}, exitError, "zepdump: -batch: must be at least 1\n"},
		{[]string{"import", "a", "-embeddings=no"}, exitError,
			"zepdump: -embeddings: \"no\" is neither server nor carry\n"},
	} {
		var stdout, stderr bytes.Buffer
		c := &command{stdout: &stdout, stderr: &stderr}
		assert.Equal(t, test.status, c.run(context.Background(), test.args), test.args)
		assert.Equal(t, test.want, stderr.String())
		assert.Empty(t, stdout.String())
	}
	for _, name := range []string{"export", "import", "verify"} {
		var stdout, stderr bytes.Buffer
		c := &command{stdout: &stdout, stderr: &stderr}
		assert.Equal(t, exitOK, c.run(context.Background(), []string{name, "-h"}))
		assert.Contains(t, stdout.String(), "Usage of zepdump "+name+":\n")
		assert.Empty(t, stderr.String())
	}
}

// An interrupt ends import and verify, too, and an import can be run again.
func TestImport_Interrupted(t *testing.T) {
	t.Parallel()
	source, client := newServer(t)
	fill(t, source, client, smallLoad)
	dir := filepath.Join(t.TempDir(), "export")
	mustRun(t, source.URL, "export", "-o", dir)
	server, _ := newServer(t)
	for _, command := range []string{"import", "verify"} {
		ctx, cancel := context.WithCancel(context.Background())
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/session-9/messages") {
				cancel()
			}
			server.ServeHTTP(w, r)
		})
		r := zepdumpContext(t, ctx, url, command, dir)
		assert.Equal(t, exitInterrupted, r.status, r.stderr)
		lines := splitLines(r.stderr)
		assert.Equal(t, "zepdump: "+command+" was interrupted: run it again to complete it",
			lines[len(lines)-1])
		mustRun(t, server.URL, "import", dir)
	}
	assert.Empty(t, mustRun(t, server.URL, "verify", "-extra", dir).stdout)
}

// The manifest is the documented one.
func TestManifest_JSON(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	fill(t, server, client, load{users: 3})
	dir := filepath.Join(t.TempDir(), "export")
	mustRun(t, server.URL, "export", "-o", dir, "-only", "users", "-gzip")
	var m map[string]any
	require.NoError(t, json.Unmarshal([]byte(readFile(t, filepath.Join(dir, manifestName))), &m))
	file := m["files"].([]any)[0].(map[string]any)
	assert.Equal(t, "complete", m["status"])
	assert.Equal(t, server.URL, m["server"].(map[string]any)["url"])
	assert.NotEmpty(t, m["server"].(map[string]any)["version"])
	for _, key := range []string{"began", "ended"} {
		at, err := time.Parse(time.RFC3339Nano, m[key].(string))
		require.NoError(t, err)
		assert.WithinDuration(t, time.Now(), at, time.Hour)
	}
	sum, size, err := checksum(filepath.Join(dir, "users.jsonl.gz"))
	require.NoError(t, err)
	assert.Equal(t, map[string]any{
		"kind": "users", "name": "users.jsonl.gz", "records": 3.0, "bytes": float64(size), "sha256": sum,
	}, file)
}

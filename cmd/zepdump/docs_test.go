package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
)

// The page of the format names each field of each line, and of the manifest.
func TestDocs_Fields(t *testing.T) {
	t.Parallel()
	page := readFile(t, filepath.Join("..", "..", "docs", "export-format.md"))
	for kind, record := range map[string]any{
		users:       zep.User{},
		sessions:    zep.Session{},
		messages:    messageRecord{},
		summaries:   summaryRecord{},
		collections: zep.Collection{},
		documents:   documentRecord{},
	} {
		row := regexp.MustCompile("(?m)^\\| `" + kind + "` \\| (.*?) \\|").FindStringSubmatch(page)
		require.NotNil(t, row, kind)
		text := regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(row[1], "")
		var named []string
		for _, field := range strings.Split(text, ",") {
			named = append(named, strings.Trim(field, " `"))
		}
		assert.ElementsMatch(t, jsonFields(reflect.TypeOf(record)), named, kind)
	}
	described, _, _ := strings.Cut(page, "## The lines")
	for _, record := range []any{manifest{}, fileInfo{}, serverInfo{}} {
		for _, name := range jsonFields(reflect.TypeOf(record)) {
			assert.Contains(t, described, "`"+name+"`")
		}
	}
	_, described, _ = strings.Cut(page, "## Differences")
	names := jsonFields(reflect.TypeOf(difference{}))
	for _, name := range append(names, isMissing, isExtra, isChanged, isMoved, isRefused) {
		assert.Contains(t, described, "`"+name+"`")
	}
	assert.Contains(t, page, fmt.Sprintf("This page describes version %d.", formatVersion))
}

func jsonFields(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		field := t.Field(i)
		if field.Anonymous {
			names = append(names, jsonFields(field.Type)...)
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

var update = flag.Bool("update", false, "record the run in the README anew")

// The README has the run that this test makes, but for what is different each time.
func TestReadme_Recording(t *testing.T) {
	t.Parallel()
	page := readFile(t, "README.md")
	recorded := regexp.MustCompile("(?s)```console\n(.*?)```").FindStringSubmatch(page)
	require.NotNil(t, recorded)

	from, fromClient := newServer(t)
	to, toClient := newServer(t)
	fill(t, from, fromClient, load{users: 500, sessions: 100, messages: 2000, documents: 200})
	dir := filepath.Join(t.TempDir(), "backup")
	var got strings.Builder
	run := func(url, line string) {
		fmt.Fprintf(&got, "$ zepdump %s\n", line)
		args := strings.Fields(line)
		for i, arg := range args {
			if arg == "backup" {
				args[i] = dir
			}
		}
		c := &command{stdout: &got, stderr: &got, client: quick()}
		if status := c.run(ctx, append([]string{args[0], "-url", url}, args[1:]...)); status != 0 {
			fmt.Fprintf(&got, "$ echo $?\n%d\n", status)
		}
	}
	run(from.URL, "export -gzip -o backup")
	run(to.URL, "import -time-key created_at backup")
	run(to.URL, "verify -time-key created_at backup")
	_, err := toClient.User.Update(ctx, &zep.UpdateUserRequest{
		UserID: "user-0@example.com", FirstName: "Joe",
	})
	require.NoError(t, err)
	run(to.URL, "verify -time-key created_at -only users backup")
	run(to.URL, "import -only users backup")
	fmt.Fprintf(&got, "$ cat backup/conflicts.jsonl\n%s",
		readFile(t, filepath.Join(dir, "conflicts.jsonl")))
	run(to.URL, "import -only users -overwrite backup")

	text := strings.NewReplacer(dir, "backup", from.URL, "http://localhost:8000").Replace(got.String())
	if *update {
		page = strings.Replace(page, recorded[0], "```console\n"+text+"```", 1)
		require.NoError(t, os.WriteFile("README.md", []byte(page), 0o644))
		return
	}
	assert.Equal(t, normalRun(recorded[1]), normalRun(text))
}

// normalRun returns a run without what is different each time: rates, sizes, and the lines of a
// progress in the middle.
func normalRun(text string) string {
	for _, r := range [][2]string{{`[\d.]+/s`, "N/s"}, {`\d+ bytes`, "N bytes"}, {` +`, " "}} {
		text = regexp.MustCompile(r[0]).ReplaceAllString(text, r[1])
	}
	lines := slices.DeleteFunc(splitLines(text), func(line string) bool {
		return strings.HasSuffix(line, " left")
	})
	return strings.Join(lines, "\n")
}

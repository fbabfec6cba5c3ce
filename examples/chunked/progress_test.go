package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProgress_Lines(t *testing.T) {
	t.Parallel()
	client, _ := newClient(t)
	s := chunksOf(100)
	s.file = firstUsers(t)
	_, progress, err := try(t, client, s)
	require.NoError(t, err)
	want := ""
	for rows := 20; rows <= 200; rows += 20 {
		want += fmt.Sprintf("importing: %d of 200 rows\n", rows)
	}
	assert.Equal(t, want, progress)

	_, progress, err = try(t, client, s)
	require.NoError(t, err)
	assert.Equal(t, "importing: 200 of 200 rows\n", progress, "nothing to import")
}

func TestProgress_Terminal(t *testing.T) {
	t.Parallel()
	client, _ := newClient(t)
	var out, progress bytes.Buffer
	s := chunksOf(1000)
	s.progress, s.terminal = &progress, true
	require.NoError(t, job(context.Background(), &out, client, s))
	assert.Contains(t, progress.String(), "\r")
	assert.NotContains(t, progress.String(), "\n")
	assert.Regexp(t, `importing +\d+% \|[█ ]+\| +\(\d+/1235, \d+ users/s\) \[`, progress.String())
	assert.Contains(t, progress.String(), "walking up to id 1235")
	assert.NotContains(t, out.String(), "\r")
	shown := strings.Split(progress.String(), "\r")
	assert.Empty(t, strings.TrimSpace(shown[len(shown)-2]), "the bar is removed")
	assert.Empty(t, shown[len(shown)-1])
}

func TestProgress_NoRows(t *testing.T) {
	t.Parallel()
	for _, terminal := range []bool{false, true} {
		s := settings{progress: io.Discard, terminal: terminal}
		p := s.newProgress("importing", 0)
		p.add(0)
		p.end()
	}
}

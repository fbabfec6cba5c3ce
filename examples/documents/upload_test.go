package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep/zeptest"
)

// TestAServerThatEmbedsLater: the program waits for it, and the bars show for how much.
func TestAServerThatEmbedsLater(t *testing.T) {
	t.Parallel()
	server, client := newServer(t, zeptest.WithDelayedEnrichment())
	var out, bars bytes.Buffer
	looks := 0
	s := settings{dimensions: 384, progress: &bars, pause: func(ctx context.Context) error {
		_, bounded := ctx.Deadline()
		assert.True(t, bounded)
		if looks++; looks == 3 {
			server.Enrich()
		}
		return nil
	}}
	require.NoError(t, tell(context.Background(), &out, client, s))
	assert.Equal(t, 3, looks)
	assert.Equal(t, story, asStory(t, out.String()))

	for _, want := range []string{"uploading   0%", "(0/54)", "(10/54)", "(50/54)", "embedding   0%"} {
		assert.Contains(t, bars.String(), want)
	}
	// What was drawn last is blanks: nothing stays on the terminal.
	drawn := strings.Split(strings.TrimSuffix(bars.String(), "\r"), "\r")
	assert.Empty(t, strings.TrimSpace(drawn[len(drawn)-1]), "%q", bars.String())
	requireEmpty(t, client)
}

// TestAServerThatNeverEmbeds: its model may make embeddings of another length, and then waiting has to end.
func TestAServerThatNeverEmbeds(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	var bars bytes.Buffer
	s := settings{dimensions: 1536, progress: &bars, pause: func(context.Context) error { return context.DeadlineExceeded }}
	err := tell(context.Background(), new(bytes.Buffer), client, s)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorContains(t, err, "0 of 54 documents are embedded (does the server's model make embeddings of 1536 numbers? see -dimensions)")
	drawn := strings.Split(strings.TrimSuffix(bars.String(), "\r"), "\r")
	assert.Empty(t, strings.TrimSpace(drawn[len(drawn)-1]), "%q", bars.String())
	requireEmpty(t, client)
}

func TestPauseEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	assert.ErrorIs(t, pause(ctx), context.Canceled)
}

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

// TestTour_DelayedEmbeddings checks that the program waits for the embeddings, and the bars.
func TestTour_DelayedEmbeddings(t *testing.T) {
	t.Parallel()
	server, client := newServer(t, zeptest.WithDelayedEnrichment())
	var out, bars bytes.Buffer
	pauses := 0
	s := settings{dimensions: 384, progress: &bars, pause: func(ctx context.Context) error {
		_, bounded := ctx.Deadline()
		assert.True(t, bounded)
		if pauses++; pauses == 3 {
			server.Enrich()
		}
		return nil
	}}
	require.NoError(t, tour(context.Background(), &out, client, s))
	assert.Equal(t, 3, pauses)
	assert.Equal(t, transcript, withName(t, out.String()))

	for _, want := range []string{
		"uploading   0%", "(0/54)", "(10/54)", "(50/54)", "embedding   0%",
	} {
		assert.Contains(t, bars.String(), want)
	}
	// The last line is blank: nothing stays on the terminal.
	drawn := strings.Split(strings.TrimSuffix(bars.String(), "\r"), "\r")
	assert.Empty(t, strings.TrimSpace(drawn[len(drawn)-1]), "%q", bars.String())
	requireEmpty(t, client)
}

// TestTour_NoEmbeddings checks that the wait ends, for a server whose model has other dimensions.
func TestTour_NoEmbeddings(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	var bars bytes.Buffer
	s := settings{
		dimensions: 1536,
		progress:   &bars,
		pause:      func(context.Context) error { return context.DeadlineExceeded },
	}
	err := tour(context.Background(), new(bytes.Buffer), client, s)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorContains(t, err, "embedded 0 of 54 documents (is -dimensions 1536 right")
	drawn := strings.Split(strings.TrimSuffix(bars.String(), "\r"), "\r")
	assert.Empty(t, strings.TrimSpace(drawn[len(drawn)-1]), "%q", bars.String())
	requireEmpty(t, client)
}

func TestPause_Canceled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	assert.ErrorIs(t, pause(ctx), context.Canceled)
}

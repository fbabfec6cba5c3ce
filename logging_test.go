package zep

import (
	"bytes"
	"context"
	"encoding/json"
	"log"
	"log/slog"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// logRecords returns the records of a JSON log without their times.
func logRecords(t *testing.T, buffer *bytes.Buffer) []map[string]any {
	t.Helper()
	var records []map[string]any
	for decoder := json.NewDecoder(buffer); decoder.More(); {
		var record map[string]any
		require.NoError(t, decoder.Decode(&record))
		delete(record, "time")
		records = append(records, record)
	}
	return records
}

func TestWithLogger_AttemptsAndRetries(t *testing.T) {
	t.Parallel()
	var buffer bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&buffer, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c, _, _ := scripted(t, []Option{WithLogger(logger), WithAPIKey(secret)},
		answers(429, "busy with jane's-id"), neverDialled,
		answers(200, `{"user_id":"jane's-id"}`), answers(404, "not found: jane's-id"))
	ctx := context.Background()
	_, err := c.User.Update(ctx, &UpdateUserRequest{
		UserID:   "jane's-id",
		Email:    "jane's-email",
		Metadata: Metadata{"jane's-key": "jane's-value"},
	})
	require.NoError(t, err)
	require.Error(t,
		c.Session.Delete(ctx, "jane's-session", RequestHeader("X-Trace", "jane's-trace")))
	assert.NotContains(t, buffer.String(), "jane", "no ids, bodies or headers")
	assertNoSecret(t, buffer.String())
	const route = "/user/{userId}"
	assert.Equal(t, []map[string]any{
		{
			"level":    "DEBUG",
			"msg":      "zep: attempt",
			"method":   "PATCH",
			"route":    route,
			"attempt":  1.0,
			"status":   429.0,
			"outcome":  "not executed",
			"duration": 0.0,
		},
		{
			"level":   "WARN",
			"msg":     "zep: trying again",
			"method":  "PATCH",
			"route":   route,
			"attempt": 1.0,
			"status":  429.0,
			"outcome": "not executed",
			"wait":    100e6,
		},
		{
			"level":    "DEBUG",
			"msg":      "zep: attempt",
			"method":   "PATCH",
			"route":    route,
			"attempt":  2.0,
			"outcome":  "not executed",
			"duration": 0.0,
		},
		{
			"level":   "WARN",
			"msg":     "zep: trying again",
			"method":  "PATCH",
			"route":   route,
			"attempt": 2.0,
			"outcome": "not executed",
			"wait":    200e6,
		},
		{
			"level":    "DEBUG",
			"msg":      "zep: attempt",
			"method":   "PATCH",
			"route":    route,
			"attempt":  3.0,
			"status":   200.0,
			"duration": 0.0,
		},
		{
			"level":    "DEBUG",
			"msg":      "zep: attempt",
			"method":   "DELETE",
			"route":    "/sessions/{sessionId}/memory",
			"attempt":  1.0,
			"status":   404.0,
			"outcome":  "final",
			"duration": 0.0,
		},
	}, logRecords(t, &buffer))
}

func TestWithLogger_WarningsOnly(t *testing.T) {
	t.Parallel()
	var buffer bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&buffer, nil))
	c, _, _ := scripted(t, []Option{WithLogger(logger)}, answers(503, ""), answers(200, janeJSON))
	_, err := c.User.Get(context.Background(), "jane")
	require.NoError(t, err)
	records := logRecords(t, &buffer)
	require.Len(t, records, 1)
	assert.Equal(t, "WARN", records[0]["level"])
}

// TestWithLogger_Absent is not parallel because it replaces the outputs of the process.
func TestWithLogger_Absent(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/output")
	require.NoError(t, err)
	stdout, stderr, std, flags := os.Stdout, os.Stderr, slog.Default(), log.Flags()
	writer := log.Writer()
	os.Stdout, os.Stderr = file, file
	log.SetOutput(file)
	handler := slog.NewTextHandler(file, &slog.HandlerOptions{Level: slog.LevelDebug})
	slog.SetDefault(slog.New(handler))
	restore := sync.OnceFunc(func() {
		os.Stdout, os.Stderr = stdout, stderr
		slog.SetDefault(std)
		log.SetOutput(writer)
		log.SetFlags(flags)
		_ = file.Close()
	})
	t.Cleanup(restore)
	for _, opts := range [][]Option{nil, {WithLogger(nil)}} {
		for _, end := range []step{
			answers(200, janeJSON), answers(404, ""), answers(503, ""), answerLost, neverDialled,
			answers(200, "<html>"),
		} {
			c, _, _ := scripted(t, opts, repeat(4, end)...)
			_, _ = c.User.Get(context.Background(), "jane")
			_, _ = c.User.Get(context.Background(), "")
		}
	}
	restore()
	written, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	assert.Empty(t, string(written))
}

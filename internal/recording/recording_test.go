package recording_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/zep-go/zep/internal/recording"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRead(t *testing.T) {
	t.Parallel()
	exchanges, err := recording.Read("../../testdata/zep-v0.27.2.jsonl")
	require.NoError(t, err)
	require.Len(t, exchanges, 178)
	assert.Equal(t, recording.Exchange{
		Scenario: "health",
		Step:     "ok",
		Request:  recording.Request{Method: "GET", Path: "/healthz"},
		Response: recording.Response{
			Status: 200,
			Headers: map[string]string{
				"Content-Type":  "text/plain",
				"X-Zep-Version": "dev-n/a (n/a)",
			},
			Body: ".",
		},
	}, exchanges[0])
}

func TestRead_Malformed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cut.jsonl")
	require.NoError(t, os.WriteFile(path, []byte(`{"step":"a"} {"step":`), 0o600))
	_, err := recording.Read(path)
	require.ErrorContains(t, err, "exchange 2: unexpected EOF")
	_, err = recording.Read(path + ".none")
	require.ErrorIs(t, err, os.ErrNotExist)
}

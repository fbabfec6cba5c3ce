package zepmcp

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

const secret = "eyJhbGciOiJIUzI1NiJ9.secret"

// Whatever Zep or the network does, the model gets an error that it can act on, without an address
// and without the key, and the operator a log line with both.
func TestErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault zeptest.Fault
		want  string
	}{
		"unauthorized": {
			zeptest.Fault{Status: 401, Body: "token is expired\n"},
			"Zep refuses the key of this MCP server. No change of the arguments helps: " +
				"the operator of this MCP server has to set another in ZEP_API_KEY.",
		},
		"another server": {
			zeptest.Fault{Status: 404, Body: "<html>nginx at https://internal.example.com</html>"},
			"What answers is no Zep v0.x server, or one that is too old for this. No change of the " +
				"arguments helps: the operator of this MCP server has to check ZEP_API_URL.",
		},
		"too large": {
			zeptest.Fault{Status: 413, Body: "request body too large\n"},
			"This is too large for Zep. Send less in one call, or ask for less with limit.",
		},
		"busy": {
			zeptest.Fault{Status: 429, Header: http.Header{"Retry-After": {"3600"}}},
			"Zep is too busy. Wait some seconds. Call again with the same arguments.",
		},
		"bad request": {
			zeptest.Fault{Status: 400, Body: "no: see https://internal.example.com/x?key=1 for why\n"},
			"Zep refuses this: no: see (address) for why. Change the arguments.",
		},
		"failure": {
			zeptest.Fault{Status: 500, Body: strings.Repeat("é", 400)},
			"Zep failed with status 500: " + strings.Repeat("é", 300) + "… Call again with the same " +
				"arguments. If it stays so, tell the operator of this MCP server.",
		},
		"silent failure": {
			zeptest.Fault{Status: 500},
			"Zep failed with status 500: it gave no reason. Call again with the same arguments. " +
				"If it stays so, tell the operator of this MCP server.",
		},
		"cut": {
			zeptest.Fault{Cut: true},
			"The Zep server cannot be reached, or its answer was lost. Call again with the same " +
				"arguments. If it stays so: No change of the arguments helps: the operator of this MCP " +
				"server has to check that Zep runs, and ZEP_API_URL.",
		},
		"silence": {
			zeptest.Fault{Delay: time.Hour},
			"Zep did not answer in time. Call again with the same arguments.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := zeptest.NewServer(zeptest.WithAPIKey(secret))
			t.Cleanup(server.Close)
			test.fault.Times = -1
			server.Inject(test.fault)
			timeout := 20 * time.Second // no wait of 30 s for a Retry-After
			if test.fault.Delay > 0 {
				timeout = 50 * time.Millisecond
			}
			client, err := server.Client(
				zep.WithTimeout(timeout), zep.WithBackoff(time.Millisecond, time.Millisecond))
			require.NoError(t, err)
			t.Cleanup(client.CloseIdleConnections)
			var log syncBuffer
			tools := newTools(t, client, &Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			for tool, arguments := range map[string]object{
				"recall":           {"session_id": "s"},
				"search_memory":    {"session_id": "s", "query": "q"},
				"search_documents": {"collection": "docs", "query": "q"},
				"list_sessions":    {},
				"list_collections": {},
				"remember":         {"session_id": "s", "messages": say("hush")},
			} {
				text := tools.fails(tool, arguments)
				if tool == "remember" && strings.Contains(text, "Some of the messages may be stored.") {
					text, _, _ = strings.Cut(text, " Some of")
					want, _, _ := strings.Cut(test.want, " Call again")
					want, _, _ = strings.Cut(want, " Wait some")
					assert.Equal(t, want, text)
				} else {
					assert.Equal(t, test.want, text, tool)
				}
				assert.NotContains(t, text, "://")
				assert.NotContains(t, text, "127.0.0.1")
				assert.NotContains(t, text, secret)
				assert.Contains(t, log.String(), "level=WARN msg=\"tool failed\" tool="+tool+" error=")
			}
			assert.NotContains(t, log.String(), secret)
			assert.NotContains(t, log.String(), "hush")
		})
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestErrors_Unreachable(t *testing.T) {
	t.Parallel()
	server := zeptest.NewServer()
	client, err := server.Client(zep.WithBackoff(time.Millisecond, time.Millisecond))
	require.NoError(t, err)
	server.Close()
	tools := newTools(t, client, nil)
	assert.Contains(t, tools.fails("list_sessions", nil), "The Zep server cannot be reached")
	assert.Contains(t, tools.fails("remember", object{"session_id": "s", "messages": say("a")}),
		"To store those that are not, call remember again")
}

// The Zep client refuses some texts before it sends anything, and names the field.
func TestErrors_NotSent(t *testing.T) {
	t.Parallel()
	server, client := newZep(t)
	tools := newTools(t, client, nil)
	text := tools.fails("remember", object{"session_id": "s", "messages": say("ok", "a\x00b")})
	assert.Regexp(t, `^The arguments cannot be sent to Zep: .*Messages\[1\]\.Content.* NUL .* `+
		`Change that argument\.$`, text)
	text = tools.fails("search_memory", object{"session_id": "s", "query": "a\x00b"})
	assert.Contains(t, text, "Text")
	text = tools.fails("search_memory",
		object{"session_id": "s", "query": "a", "where": object{"k\x00": 1}})
	assert.Contains(t, text, "NUL")
	assert.Zero(t, server.Requests())
}

// The model's own mistakes are no warnings, and what it names is not logged.
func TestErrors_LogOfMistakes(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	var warnings, all syncBuffer
	levels := map[*syncBuffer]slog.Level{&warnings: slog.LevelWarn, &all: slog.LevelDebug}
	for b, level := range levels {
		tools := newTools(t, client, &Options{
			Logger: slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: level})),
		})
		tools.fails("recall", object{"session_id": "hush"})
		tools.fails("recall", object{"hush": 1})
	}
	assert.Empty(t, warnings.String())
	assert.Contains(t, all.String(), `tool=recall error="the arguments, or what they name"`)
	assert.NotContains(t, all.String(), "hush")
}

func TestExplain_Canceled(t *testing.T) {
	t.Parallel()
	_, client := newZep(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := client.Session.Get(ctx, "s")
	assert.Equal(t, "The call was canceled.", explain(err))
	assert.Equal(t, "This MCP server failed. Call again; if it stays so, tell its operator.",
		explain(context.DeadlineExceeded))
}

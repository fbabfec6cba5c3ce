//go:build go1.24

package zep_test

import (
	"net/http"
	"testing"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/internal/chaos"
	"github.com/zep-go/zep/zeptest"
)

// chaosHTTP2 is a network of HTTP/2 connections, whose streams are reset with a code.
func chaosHTTP2(code chaos.ResetCode) chaosNetwork {
	return func(server http.Handler, seed uint64) (*chaos.Proxy, func(), []zep.Option) {
		proxy := chaos.NewH2C(server, seed, chaosShare, code)
		transport := chaos.H2CTransport()
		end := func() {
			transport.CloseIdleConnections()
			proxy.Close()
		}
		return proxy, end, []zep.Option{zep.WithHTTPClient(&http.Client{Transport: transport})}
	}
}

// TestChaosHTTP2 runs the chaos tests over HTTP/2, where streams are reset.
func TestChaosHTTP2(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]chaos.ResetCode{
		"internal": chaos.ResetInternal,
		"cancel":   chaos.ResetCancel,
	} {
		t.Run(name, func(t *testing.T) { testChaosHTTP2(t, chaosHTTP2(code)) })
	}
}

func testChaosHTTP2(t *testing.T, network chaosNetwork) {
	t.Parallel()
	t.Run("records", func(t *testing.T) {
		chaosEachSeed(t, chaosRecords(network, 160, zeptest.WithRacyUpdates()))
	})
	t.Run("memory", func(t *testing.T) {
		chaosEachSeed(t, chaosMemory(network, 160, zeptest.WithRacyUpdates()))
	})
	t.Run("documents", func(t *testing.T) {
		chaosEachSeed(t, chaosDocuments(network, 112))
	})
	t.Run("all documents", func(t *testing.T) {
		chaosEachSeed(t, chaosDocumentAll(network, 32))
	})
}

// TestChaosHTTP2_Refused resets streams with REFUSED_STREAM, on which net/http sends a request
// again by itself. One attempt is one request all the same.
func TestChaosHTTP2_Refused(t *testing.T) {
	testChaosHTTP2(t, chaosHTTP2(chaos.ResetRefused))
}

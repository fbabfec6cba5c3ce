//go:build go1.24

package zep

import (
	"net/http"
	"time"
)

// checkHTTP2 makes a transport notice an HTTP/2 connection that went silent, as one does that a
// load balancer dropped: all calls share it, and would fail until the system closes it.
func checkHTTP2(t *http.Transport) {
	t.HTTP2 = &http.HTTP2Config{
		SendPingTimeout: 10 * time.Second, // without a frame, until a ping is sent
		PingTimeout:     5 * time.Second,  // without an answer to it, until the connection is closed
	}
}

// speaksH2C reports whether a transport may send HTTP/2 without TLS.
func speaksH2C(t *http.Transport) bool {
	return t.Protocols != nil && t.Protocols.UnencryptedHTTP2()
}

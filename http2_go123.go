//go:build !go1.24

package zep

import "net/http"

// checkHTTP2 does nothing: before Go 1.24 net/http cannot be told to look after a connection.
func checkHTTP2(*http.Transport) {}

// speaksH2C reports false: before Go 1.24 a transport sends HTTP/2 only over TLS.
func speaksH2C(*http.Transport) bool { return false }

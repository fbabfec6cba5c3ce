package zeptest

// An Option changes how a [Server] behaves.
type Option func(*Server)

// WithAPIKey makes the server require the key as bearer token on every path below /api/v1. Without a
// token a request gets 401 "no token found", with another one 401 "token is unauthorized".
//
// A real server takes any token signed with its secret; here the key is compared as it is. For an
// expired token inject a [Fault] with status 401 and the body "token is expired\n".
func WithAPIKey(key string) Option {
	return func(s *Server) { s.apiKey = key }
}

// WithVersion sets the X-Zep-Version header of every response. Zep's own builds say
// "<version>-<commit> (<build time>)", builds from source "dev-n/a (n/a)".
func WithVersion(version string) Option {
	return func(s *Server) { s.version = version }
}

// WithoutWebUI is a server whose web interface is off: an unknown path then gets the text
// "404 page not found", where it otherwise gets an HTML page.
func WithoutWebUI() Option {
	return func(s *Server) { s.webUI = false }
}

// WithRacyUpdates makes metadata updates lose one another, as a real server's do: it reads the
// metadata, merges, and writes all of it back, and what was written in between is gone although it
// was answered with 200. Here two updates of one record that meet lose one of them for certain, so
// that a test need not hope for the moment; an update that meets no other takes a millisecond longer.
//
// Users, sessions and messages do so. Without this option updates are atomic.
func WithRacyUpdates() Option {
	return func(s *Server) { s.racy = true }
}

// WithDelayedEnrichment makes what was added wait for [Server.Enrich] before a search finds it. A real
// server embeds messages and documents after it has answered, so that a search right after an add may
// miss them; here it does for certain. Without this option they are found at once.
func WithDelayedEnrichment() Option {
	return func(s *Server) { s.store.delayed = true }
}

package zeptest

import (
	"fmt"
	"time"
)

// Option changes how a [Server] behaves.
type Option func(*Server)

// WithAPIKey makes the server require the key as bearer token on every path below /api/v1. Without
// a token a request gets 401 "no token found", with another one 401 "token is unauthorized".
//
// A real server takes any token signed with its secret; here the key is compared as it is. For an
// expired token inject a [Fault] with status 401 and the body "token is expired\n".
func WithAPIKey(key string) Option {
	return func(s *Server) { s.apiKey = key }
}

// WithServerVersion makes the server behave as another version of Zep than 0.27.2: "0.15.0" to
// "0.27.2". It panics for others. These differ:
//
//   - up to 0.26, the metadata update of a locked user hangs: see [WithStickyLocks]
//   - up to 0.20, there are no paths below /sessions/{sessionId}/messages
//   - up to 0.19, some errors have "failed to Create" for "failed to create"; the memory of a
//     session without messages is 404; a message with a UUID that is taken replaces the other one;
//     and a memory that is asked for without a number of messages has the first 12 (in 0.15 all)
//     after the summary, where later versions have the last 12
//   - up to 0.18, a memory search that finds nothing is answered with 404
//   - up to 0.16, the created_at of an added message is stored
//
// The X-Zep-Version header of every response begins with the version. A text that is more than a
// version, such as "0.18.0-abc1234 (2024-01-15T12:00:00Z)" or "dev-n/a (n/a)", which a build from
// source has, is sent as it is. One that does not begin with a number behaves as 0.27.2.
func WithServerVersion(version string) Option {
	v := parseServerVersion(version)
	return func(s *Server) { s.version = v }
}

// WithoutWebUI turns the web interface off: an unknown path then gets the text "404 page not
// found", where it otherwise gets an HTML page.
func WithoutWebUI() Option {
	return func(s *Server) { s.webUI = false }
}

// WithRacyUpdates makes metadata updates lose one another, as a real server's do: it reads the
// metadata, merges, and writes all of it back, and what was written in between is gone although it
// was answered with 200. Here two updates of one record that meet lose one of them for certain, so
// that a test need not hope for the moment; an update that meets no other takes a millisecond
// longer.
//
// This concerns users, sessions and messages. Without this option updates are atomic.
func WithRacyUpdates() Option {
	return func(s *Server) { s.racy = true }
}

// WithStickyLocks makes metadata updates leave locks behind, as a real server's do. Zep locks the
// id of a record while it merges the record's metadata, and often gives the lock back on a
// connection to its database that does not have it. The record then stays locked until Zep is
// restarted.
//
// On a real server that is a matter of chance: of 300 users updated by 16 workers, 83 % stayed
// locked. Here it is certain:
//
//   - Two metadata updates that overlap, of users or sessions, leave both records locked. It does
//     not matter whether the records are the same. An update that overlaps with no other takes a
//     millisecond longer, since it waits that long for one.
//   - A metadata update leaves its record locked if the client leaves before it is answered. This
//     concerns messages too. For certain it happens with a [Fault] that has Apply and Delay.
//   - The next metadata update of a locked user gets a 500 "failed to acquire advisory lock: …"
//     after 22 s (see [WithLockWait]). That of a locked session or message gets no answer.
//   - An update that waits for a lock holds none, and does not overlap with others. If it gets the
//     lock in the end, through [Server.ReleaseLocks], it does not leave it behind.
//
// Updates without metadata take no lock. A user and a session with the same id share one, as on a
// real server, which locks the bare id. [Server.Locked] tells what is locked.
func WithStickyLocks() Option {
	return func(s *Server) { s.sticky = true }
}

// WithLockWait sets after which time the metadata update of a locked user fails: 22 s by default,
// as on a real server. It only matters with [WithStickyLocks].
func WithLockWait(d time.Duration) Option {
	return func(s *Server) { s.locks.wait = d }
}

// WithDelayedEnrichment makes what was added wait for [Server.Enrich] before it is embedded. A
// real server embeds messages and documents after it has answered. A search right after an add
// then misses the messages, and lists the documents first, whatever it is for, with a score of 0.
// Here it does for certain. Without this option everything is embedded at once.
func WithDelayedEnrichment() Option {
	return func(s *Server) { s.store.delayed = true }
}

// WithEmbeddingDimensions sets the length of the embeddings that the server makes: 384 by default,
// as the model that Zep comes with. OpenAI's text-embedding-ada-002, for instance, has 1536. It
// panics if n is not 1 or more.
//
// A collection that the server is to embed must have as many dimensions; its documents otherwise
// stay without an embedding.
func WithEmbeddingDimensions(n int) Option {
	if n < 1 {
		panic(fmt.Sprintf("zeptest: embeddings of %d dimensions: must be 1 or more", n))
	}
	return func(s *Server) { s.store.dimensions = n }
}

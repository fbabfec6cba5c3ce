// Package zeptest is an in-process Zep v0.x server for tests and first steps.
//
//	server := zeptest.NewServer()
//	defer server.Close()
//	client, err := server.Client()
//
// It listens on loopback, keeps everything in memory, and answers as Zep v0.27.2 does: the same
// statuses and texts, ids with the gaps that failed adds leave, cursors, deep merges, soft-deleted
// sessions, messages and documents, and the router's treatment of escaped path values. Exchanges
// recorded with a real server are replayed against it. It serves all of the API:
//
//	GET    /healthz
//	GET    /api/v1/user                      POST  /api/v1/user
//	GET    /api/v1/user/{userId}             PATCH /api/v1/user/{userId}
//	DELETE /api/v1/user/{userId}             GET   /api/v1/user/{userId}/sessions
//	GET    /api/v1/sessions                  POST  /api/v1/sessions
//	GET    /api/v1/sessions/{sessionId}      PATCH /api/v1/sessions/{sessionId}
//	GET    /api/v1/sessions/{sessionId}/memory
//	POST   /api/v1/sessions/{sessionId}/memory
//	DELETE /api/v1/sessions/{sessionId}/memory
//	POST   /api/v1/sessions/{sessionId}/search
//	GET    /api/v1/sessions/{sessionId}/messages
//	GET    /api/v1/sessions/{sessionId}/messages/{messageId}
//	PATCH  /api/v1/sessions/{sessionId}/messages/{messageId}
//	GET    /api/v1/collection                POST  /api/v1/collection/{collectionName}
//	GET    /api/v1/collection/{collectionName}
//	PATCH  /api/v1/collection/{collectionName}
//	DELETE /api/v1/collection/{collectionName}
//	POST   /api/v1/collection/{collectionName}/search
//	POST   /api/v1/collection/{collectionName}/index/create
//	POST   /api/v1/collection/{collectionName}/document
//	GET    /api/v1/collection/{collectionName}/document/uuid/{documentUUID}
//	PATCH  /api/v1/collection/{collectionName}/document/uuid/{documentUUID}
//	DELETE /api/v1/collection/{collectionName}/document/uuid/{documentUUID}
//	POST   /api/v1/collection/{collectionName}/document/list/get
//	PATCH  /api/v1/collection/{collectionName}/document/list/update
//	POST   /api/v1/collection/{collectionName}/document/list/delete
//
// # Search
//
// Searches rank by the likeness of embeddings, as a real server's do, but the embeddings are of no
// model: they count words, so that texts are alike as far as they share words, whatever these mean.
// Upper case, punctuation and the order of the words don't matter. Results are the same in every run.
//
// Metadata filters are SQL/JSON paths, which [github.com/theory/sqljson] evaluates as far as it is known
// to do what PostgreSQL 15 does: $, @, .key, .*, .**, [*], .type(), .size(), and conditions with ==, !=,
// <, <=, >, >=, &&, ||, !, exists, is unknown, starts with, and like_regex with text, ^, $, . and .* in
// the pattern. For any other path (strict, or with subscripts, arithmetic, other methods, variables,
// comments, or numbers of many digits) the answer is a 500 that says so, never a result that a real
// server might not give. As there, $.a == 1 finds all metadata, since its false is something found too:
// what is meant is $ ? (@.a == 1).
//
// Nobody summarizes: [Server.SetSummary] gives a session a summary. Nobody counts tokens either: a
// message has the count that it was sent with. What was added is found at once, unless
// [WithDelayedEnrichment] makes it wait for [Server.Enrich].
//
// # Failures on demand
//
// [Server.Inject] makes the server, or what stands before it, fail: see [Fault]. [WithRacyUpdates]
// gives it the lost updates of the real one. [Server.Requests] and [Server.RequestLog] tell what
// reached it.
//
// # Large tests
//
// [Server.SeedUsers] and [Server.SeedSessions] fill the server without going through HTTP. A million
// users take about half a gigabyte.
//
// # In front of it
//
// A Server is a [net/http.Handler] as well: put it behind a proxy, a base path
// ([net/http.StripPrefix]) or a TLS server of your own.
package zeptest

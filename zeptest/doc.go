// Package zeptest is an in-process Zep v0.x server for tests and first steps.
//
//	server := zeptest.NewServer()
//	defer server.Close()
//	client, err := server.Client()
//
// It listens on loopback, keeps everything in memory, and answers as Zep v0.27.2 does: the same
// statuses and texts, ids with the gaps that failed adds leave, cursors, deep merges, soft-deleted
// sessions, messages and documents, and the router's treatment of escaped path values. With
// [WithServerVersion] it behaves as an older version. Exchanges recorded with a real server are
// replayed against it. It serves all of the API:
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
// Searches rank by the likeness of embeddings, as a real server's do. But the embeddings are not
// of a model: they count words, so that texts are alike as far as they share words, whatever these
// mean. Upper case, punctuation and the order of the words do not matter. Results are the same in
// every run.
//
// Metadata filters are SQL/JSON paths. They are evaluated as PostgreSQL 15 does, which a test
// compares with a real one: $, @, .key, .*, .**, [*], [0], [last], [0, 1 to last], .type(),
// .size(), and conditions with ==, !=, <, <=, >, >=, &&, ||, !, exists, is unknown, starts with,
// and like_regex. The pattern of a like_regex may have text, ^ and $ at its ends, ., \d, escaped
// punctuation, classes such as [a-z0-9], groups, alternatives and quantifiers, and the flag "i".
// For any other path (strict, or with arithmetic, other methods, variables, comments, or numbers
// of many digits) the answer is a 500 that says so, never a result that a real server might not
// give. The error has one of PostgreSQL's codes, as that of a wrong path has.
//
// As on a real server, the path
//
//	$.a == 1
//
// finds all metadata, since its value is true or false, and false is something found too. This one
// finds what has the value:
//
//	$ ? (@.a == 1)
//
// No summaries are made: [Server.SetSummary] gives a session a summary. No tokens are counted
// either: a message has the count that it was sent with. What was added is embedded at once,
// unless [WithDelayedEnrichment] makes it wait for [Server.Enrich].
//
// # Failures on demand
//
// [Server.Inject] makes the server, or what stands before it, fail: see [Fault]. [WithRacyUpdates]
// gives it the lost updates of the real one, and [WithStickyLocks] its locks. [Server.Requests]
// and [Server.RequestLog] tell what reached it.
//
// # Large tests
//
// [Server.SeedUsers] and [Server.SeedSessions] fill the server without going through HTTP. A
// million users take about half a gigabyte.
//
// # As a program
//
// The command zeptest serves such a server at http://127.0.0.1:8000 or at another address, for
// programs in any language:
//
//	go run github.com/zep-go/zep/zeptest/cmd/zeptest@latest -addr 127.0.0.1:8000
//
// # In front of it
//
// [Server] is a [net/http.Handler] too: put it behind a proxy, a base path
// ([net/http.StripPrefix]) or a TLS server of your own.
package zeptest

// Package zeptest is an in-process Zep v0.x server for tests and first steps.
//
//	server := zeptest.NewServer()
//	defer server.Close()
//	client, err := server.Client()
//
// It listens on loopback, keeps everything in memory, and answers as Zep v0.27.2 does: the same
// statuses and texts, ids with the gaps that failed adds leave, cursors, deep merges, soft-deleted
// sessions, and the router's treatment of escaped path values. Exchanges recorded with a real server
// are replayed against it. It serves:
//
//	GET    /healthz
//	GET    /api/v1/user                      POST  /api/v1/user
//	GET    /api/v1/user/{userId}             PATCH /api/v1/user/{userId}
//	DELETE /api/v1/user/{userId}             GET   /api/v1/user/{userId}/sessions
//	GET    /api/v1/sessions                  POST  /api/v1/sessions
//	GET    /api/v1/sessions/{sessionId}      PATCH /api/v1/sessions/{sessionId}
//	DELETE /api/v1/sessions/{sessionId}/memory
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
// A Server is an [net/http.Handler] as well: put it behind a proxy, a base path
// ([net/http.StripPrefix]) or a TLS server of your own.
package zeptest

// Package zep is a client for Zep v0.x, the self-hosted memory store for chat applications: users,
// their sessions, the messages in them, search over those, and document collections.
//
// # Start here
//
//	client, err := zep.NewClient() // configured by ZEP_API_URL and ZEP_API_KEY, or by options
//	if err != nil {
//		return err
//	}
//	user, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: "jane@example.com"})
//	...
//	for user, err := range client.User.All(ctx) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(user.UserID)
//	}
//
// One [Client] is enough for a process. It is safe for concurrent use, and it keeps the
// connections and the order of updates.
//
// # Errors
//
// A call that the server refused, or did not answer, returns an [*Error]. Match it with
// errors.Is against [ErrNotFound], [ErrAlreadyExists], [ErrUnauthorized] and the other
// sentinels, and against context.DeadlineExceeded and context.Canceled. Its text is one line,
// and says what to change where that is known. An id that cannot reach its own record is refused
// with [ErrInvalidID] before anything is sent.
//
// # Retries
//
// A call has up to 4 attempts within 60 s, with the waits between them. The waits grow from
// 100 ms to 5 s with full jitter. If the server's Retry-After is longer, the client waits that
// long, but at most 30 s. A wait that would pass the deadline is not begun. Whether there is
// another attempt depends on what the last one proves, its outcome:
//
//	outcome       what the attempt got                              tried again
//	not executed  no connection; a request cut before it was        every call
//	              written; 429; 503; a session that two memory
//	              adds created at once
//	ambiguous     502; 504; a connection that broke later; a        reads, and writes that can
//	              response that was cut short; a response that is   be reconciled
//	              not Zep's, or that is of another record
//	server error  500; other 5xx                                    reads
//	final         a readable response; 3xx; other 4xx; 501; 505; a  no call
//	              500 in which the database rejects the request,
//	              or for a lock; a failed TLS handshake; an
//	              invalid certificate; an unsupported scheme; a
//	              response over the limit; the end of the context
//
// A write can be reconciled if the response to its repetition shows whether the earlier attempt
// was carried out.
//
// # Guarantees
//
// A write is done once. After an ambiguous attempt, the client repeats a write only if the
// response to the repetition shows what the first attempt did:
//
//   - An Add of a user, session or collection that is told "already exists" reads the record
//     back. If it has the content that was sent, the call succeeds.
//   - A [MemoryService.Add] that is told that its messages' UUIDs are taken succeeds: the client
//     gave the messages these UUIDs.
//   - A [DocumentService.Add] that is told that its DocumentIDs are taken succeeds. Unless every
//     document has a DocumentID, it is not repeated.
//   - A Delete that is told "not found" succeeds.
//   - An Update is repeated: merging the same content again changes nothing.
//
// If it stays unknown whether a write was carried out, the error's text says so.
//
// Updates of one record through one Client go one at a time, in the order of the calls, because
// the server loses some of concurrent updates. [WithConcurrentUpdates] turns that off.
//
// A walk ([UserService.ListChunked], [UserService.All]) yields every record once, however many
// were deleted between them. [UserService.All] is faster: the server sorts its whole table for
// every page, so a few large pages are faster than many small ones. [UserService.AllParallel] is
// faster still if the server has idle cores or is far away.
//
// The API key is sent to the configured host only: redirects are not followed. The key is not
// shown in errors, in logs, or in the printed form of a Client.
//
// The client never writes to a caller's http.Client, requests, maps or options.
//
// # Testing
//
// Package zeptest is a Zep server for tests, in the same process. Code that needs only a few
// methods can declare an interface with them: the services implement it.
package zep

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
//	              written; 425; 429; 521; 523; 525; 526; 530; a
//	              session that two memory adds created at once
//	ambiguous     408; 502; 503; 504; 520; 522; 524; a connection   reads, and writes that can
//	              that broke later; a response that was cut short;  be reconciled
//	              a response that is not Zep's, or that is of
//	              another record
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
// A write is done once, unless the network delivers an attempt after its successor was answered.
// After an ambiguous attempt, the client repeats a write only if the response to the repetition
// shows what the first attempt did:
//
//   - An Add of a user, session or collection that is told "already exists" reads the record
//     back. If it has the content that was sent, the call succeeds.
//   - A [MemoryService.Add] that is told that its messages' UUIDs are taken succeeds: the client
//     gave the messages these UUIDs.
//   - A [DocumentService.Add] that is told that its DocumentIDs are taken succeeds. Unless every
//     document has a DocumentID, it is not repeated.
//   - A Delete that is told "not found" succeeds. That of a user looks first whether the user is
//     gone, because the server may mean one of the user's sessions.
//   - An Update is repeated: merging the same content again changes nothing. An update of the
//     metadata of a user or a session is not, after a timeout or 504.
//
// If it stays unknown whether a write was carried out, the error is [ErrAmbiguous].
//
// An attempt whose response was lost can still be on its way, and the API has no means to call it
// back. If it reaches the server after a later call of the same program, it can undo that call: a
// late Update reverts a later one, a late Add brings back what was deleted since, and a late
// Delete deletes what was added again. The UUIDs of messages and the DocumentIDs of documents
// prevent that a late Add stores them twice. A write that failed with [ErrAmbiguous] can still be
// carried out later.
//
// Updates of one record through one Client go one at a time, in the order of the calls, because
// the server loses some of concurrent updates. Updates that carry metadata of users and sessions
// go one at a time, whichever records they are of: those that overlap leave their records locked
// on the server. [WithParallelUpdates] keeps only the order of each record, and
// [WithConcurrentUpdates] keeps none. [WithLocker] keeps the order over several processes.
//
// An update waits for its turn for at most its timeout, which begins anew with the turn. The turn
// of metadata updates is passed on after 5 s without a response, but not the turn of the record.
// If the time of a metadata update runs out, or its context ends, the call returns at once. The
// server leaves the record locked if a request is cut, so the request is allowed to finish, and
// keeps its turn, for at most 30 s. [Client.Wait] waits for that.
//
// These rules add no lock by overlapping the updates of one Client. The server can still leave a
// record locked: under the traffic of other programs, during its own work on embeddings, and after
// a process was killed. Then a metadata update fails with [ErrLocked], or runs out of time.
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

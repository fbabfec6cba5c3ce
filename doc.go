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
// Match errors with errors.Is against [ErrNotFound], [ErrAlreadyExists], [ErrUnauthorized] and the
// other sentinels, and against context.DeadlineExceeded and context.Canceled. The text of an error
// is one line, and says what to change where that is known.
//
// If the server refused a request, or did not answer it, errors.As finds an [*Error]. There is
// none if the client refused the arguments or the options of the call before it sent anything:
// that is [ErrInvalidID] for an id that cannot reach its own record, or else [ErrBadRequest] or
// [ErrTooLarge].
//
// # Retries
//
// A call has up to 4 attempts within 60 s, with the waits between them. A wait is random: up to
// 100 ms before the second attempt, and up to twice as long before each later one. If the
// server's Retry-After is longer, the client waits that long, but at most 30 s. A wait that would
// pass the deadline is not begun. Whether there is another attempt depends on what the last one
// proves, its outcome:
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
// was carried out. [Client.Do] sends everything but a GET once, unless [RequestMaxAttempts] says
// more.
//
// # Guarantees
//
// A write is done once, unless the network delivers an attempt after its successor was answered.
// After an ambiguous attempt, the client repeats a write only if the response to the repetition
// shows what the first attempt did:
//
//   - An Add of a user, session or collection that is told "already exists" after an ambiguous
//     attempt reads the record back. If it has the content that was sent, the call succeeds.
//   - A [MemoryService.Add] that is told after an ambiguous attempt that a message's UUID is taken
//     succeeds if the messages are stored: the client gave each that had none a random UUID.
//   - A [DocumentService.Add] that is told after an ambiguous attempt that a DocumentID is taken
//     reads the documents back. If they have the content that was sent, it succeeds. Unless every
//     document has a DocumentID, it is not repeated.
//   - A Delete that is told "not found" after an ambiguous attempt succeeds. That of a user looks
//     first whether the user is gone, because the server may mean one of the user's sessions.
//   - An Update is repeated after an ambiguous attempt: the same update again changes nothing. Two
//     are not: a metadata update of a user, session or message after a timeout, and one of a user
//     or session after a 504. The server may be waiting for the lock of the record.
//
// If it stays unknown whether a write was carried out, the error matches [ErrAmbiguous].
//
// An attempt whose response was lost can still be on its way, and the API has no means to call it
// back. If it reaches the server after a later call of the same program, it can undo that call: a
// late Update reverts a later one, a late Add brings back what was deleted since, and a late
// Delete deletes what was added again. The UUIDs of messages and the DocumentIDs of documents
// prevent that a late Add stores them twice. A write that failed with [ErrAmbiguous] can still be
// carried out later.
//
// Updates of one record through one Client go one at a time, in the order of the calls, because
// the server loses some concurrent updates. Updates that carry metadata of users and sessions go
// one at a time, whichever records they are of: those that overlap leave their records locked on
// the server. [WithParallelUpdates] keeps only the order of each record. [WithConcurrentUpdates]
// keeps none, and neither does [Client.Do]. [WithLocker] keeps the order over several processes.
//
// An update waits for its turn for at most its timeout, which begins anew with the turn. The turn
// of metadata updates is passed on after 5 s without a response, but not the turn of the record.
// If the time of a metadata update runs out, or its context ends, the call returns at once. The
// server leaves the record locked if a request is cut, so the request is allowed to finish, and
// keeps its turn, for at most 30 s. [Client.Wait] waits for that. With [WithConcurrentUpdates] and
// in [Client.Do] there is no turn, and the request is cut.
//
// The server can still leave a record locked: under other traffic, during its own work on
// embeddings, and if a request is cut all the same, by a connection that breaks or at the end of
// the process. Then a metadata update fails with [ErrLocked], or runs out of time.
//
// Records that exist throughout a walk ([UserService.ListChunked], [UserService.All]) are yielded
// once each, whatever gaps deletions left in the IDs. One that is added or deleted meanwhile is
// yielded once or not at all. [UserService.All] is faster: the server sorts its whole table for
// every page, so a few large pages are faster than many small ones. [UserService.AllParallel] is
// faster still if the server has idle cores or is far away. [DocumentService.All] streams the
// documents of a collection from one response.
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

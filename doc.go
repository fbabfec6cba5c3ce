// Package zep is a client for Zep v0.x, the self-hosted memory store for chat applications: users, their sessions, the messages
// in them, search over those, and document collections.
//
// # Start here
//
//	client, err := zep.NewClient() // ZEP_API_URL and ZEP_API_KEY, or options
//	if err != nil {
//		return err
//	}
//	user, err := client.User.Add(ctx, &zep.CreateUserRequest{UserID: "jane@example.com", FirstName: "Jane"})
//	...
//	for user, err := range client.User.All(ctx) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(user.UserID)
//	}
//
// One [Client] is enough for a process: it is safe for concurrent use, and keeps connections and the order of updates together.
//
// # Errors
//
// What the server refused, and what got no answer, is an [*Error]. Match it with errors.Is against [ErrNotFound],
// [ErrAlreadyExists], [ErrUnauthorized] and the other sentinels, and against context.DeadlineExceeded and context.Canceled; its
// text is one line that says what to change. Ids that cannot reach their own record are refused before anything is sent:
// [ErrInvalidID].
//
// # Retries
//
// A call is tried up to 4 times within 60 s, its waits growing from 100 ms to 5 s with full jitter, or as long as a
// Retry-After says, up to 30 s. A wait that would pass the deadline is not begun. What is tried again goes by what the attempt
// proves:
//
//	no connection; a request cut before it was      every call: nothing was done
//	written; 429; 503; a lock that the server
//	could not get; two adds to memory that made
//	one session
//	502, 504; a connection that broke later; an     reads; writes that can be settled (see below)
//	answer cut short, or that is not Zep's
//	500 and other 5xx but 501, 505                  reads
//	3xx, other 4xx; 501, 505; a 500 in which the    no call
//	database finds fault with the request; failed
//	TLS and certificates; an answer over the
//	limit; the context's end
//
// # Guarantees
//
// A write is done once. After an attempt whose answer was lost, a repeated Add that is told "already exists" reads the record
// back: with the content that was sent it is its own, and no error. A repeated [MemoryService.Add] is told that its messages' UUIDs,
// which the client gave them, are taken; a repeated [DocumentService.Add] that its DocumentIDs are, and without them it is not
// repeated. A repeated Delete that is told "not found" did it. A repeated Update says the same again. An error after such an attempt
// says so in its text.
//
// Updates of one record through one Client go one after the other, in the order of the calls, because the server loses some of
// concurrent ones. [WithConcurrentUpdates] switches that off.
//
// A walk ([UserService.ListChunked], [UserService.All]) yields every record once, however many were deleted between them.
// [UserService.All] is the fast one: Zep sorts its whole table for every page, so few large ones beat many small ones.
// [UserService.AllParallel] goes on where the server has cores to spare, or is far away.
//
// The API key goes to the configured host only: redirects are not followed, and neither errors, logs nor the printed form
// of a Client show it.
//
// A caller's http.Client, request structs, maps and options are never written to.
//
// # Testing
//
// Declare the small interface that your code needs: the services implement it. For the wire, package zeptest is a Zep server
// in your process.
package zep

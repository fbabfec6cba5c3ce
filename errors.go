package zep

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What errors.Is finds in an error of this package. An [Error] matches one of them, by its status and the server's text; but
// a 500 that says more is ErrServer and what it says: ErrNotFound of a collection or document, ErrNotPublished.
var (
	// ErrNotFound: the user, session, message, collection or document is not there (404 and "not found").
	ErrNotFound = errors.New("zep: not found")

	// ErrEndpointNotFound: the server does not know the path or the verb (any other 404, 405). The base URL is wrong, or
	// what answers there is not a Zep v0.x server.
	ErrEndpointNotFound = errors.New("zep: endpoint not found")

	// ErrAlreadyExists: the id is taken. A deleted session keeps its id; a deleted user does not.
	ErrAlreadyExists = errors.New("zep: already exists")

	// ErrBadRequest: the request is at fault. The server said so (400 or another 4xx), or the client did before it sent
	// anything: a nil request, a negative limit, metadata that JSON cannot express.
	ErrBadRequest = errors.New("zep: bad request")

	// ErrUnauthorized: the API key is missing, wrong or expired (401), or does not allow this (403).
	ErrUnauthorized = errors.New("zep: unauthorized")

	// ErrTooLarge: the request is over what the server takes (413; 5 MiB unless it is configured otherwise), or its answer
	// is over the 256 MiB that the client reads.
	ErrTooLarge = errors.New("zep: too large")

	// ErrRateLimited: 429, still after the last attempt. Zep itself does not limit; proxies before it do.
	ErrRateLimited = errors.New("zep: rate limited")

	// ErrServer: any 5xx. Zep answers 500 to some mistakes of the caller's too: the text tells.
	ErrServer = errors.New("zep: server error")

	// ErrInvalidID: an id that no request can carry to its own record. It is refused before anything is sent: the empty id,
	// "." and "..", and ids that hold "/", a NUL byte or invalid UTF-8.
	ErrInvalidID = errors.New("zep: invalid id")

	// ErrNotPublished: the server stored the messages of a [MemoryService.Add], but could not hand them on for embedding and
	// summaries. Do not add them again.
	ErrNotPublished = errors.New("zep: messages stored, but not published")

	// ErrCursorStuck: a page of a walk ended at or before the cursor it was asked for, so that the next request would
	// fetch it again.
	ErrCursorStuck = errors.New("zep: cursor is stuck")
)

const (
	// maxMessage bounds what an Error keeps of the server's text.
	maxMessage = 4 << 10

	// maxErrorBody is how much of an error's body is read for that, and maxErrorDrain how much more is read and dropped
	// so that the connection can be used again.
	maxErrorBody  = 64 << 10
	maxErrorDrain = 256 << 10
)

// An Error is a call that failed after it was begun: the server refused it, or no usable answer came.
//
// Match it with [errors.Is] against the sentinels of this package, against [context.DeadlineExceeded] and
// [context.Canceled] when time ran out or the context ended, and against the network's own errors. Use [errors.As] with
// an *Error for the rest.
type Error struct {
	// Method and Path are the request's, the path as it was sent: with the base URL's own, escaped, without a query.
	Method, Path string

	// StatusCode is that of the last attempt's answer, 0 if it got none.
	StatusCode int

	// Message is what the server said, in one line of at most 4 KiB; HTML pages are left out. Without an answer it is
	// what went wrong on the way.
	Message string

	// Header is that of the last attempt's answer, nil if it got none.
	Header http.Header

	// Attempts is how many requests were sent, or begun to be.
	Attempts int

	// cause is what errors.Is and errors.As go on with: the network's error, the context's.
	cause error

	// unsettled says that an attempt was sent and its answer lost: the call may have been carried out.
	unsettled bool
}

// Error gives the call, the server's words and, where it is known, what to change, in one line.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "zep: %s %s: ", e.Method, e.Path)
	if e.StatusCode != 0 {
		fmt.Fprintf(&b, "%d", e.StatusCode)
		if e.Message == "" {
			fmt.Fprintf(&b, " %s", http.StatusText(e.StatusCode))
		} else {
			b.WriteString(": ")
		}
	}
	b.WriteString(e.Message)
	for _, ended := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(e.cause, ended) && !strings.Contains(e.Message, ended.Error()) {
			fmt.Fprintf(&b, ": %v", ended)
		}
	}
	if e.Attempts > 1 {
		fmt.Fprintf(&b, " (%d attempts)", e.Attempts)
	}
	if e.unsettled {
		b.WriteString("; the answer to an attempt was lost: it may have been carried out")
	}
	if hint := e.hint(); hint != "" {
		b.WriteString("; " + hint)
	}
	return b.String()
}

// hint is what the caller can change, for the mistakes of the first ten minutes.
func (e *Error) hint() string {
	switch kind := e.kind(); {
	case kind == ErrEndpointNotFound:
		return "the server does not know this path: check that the base URL (WithBaseURL or ZEP_API_URL) is that of a Zep v0.x server"
	case kind == ErrUnauthorized:
		return "check the API key (WithAPIKey or ZEP_API_KEY)"
	case e.StatusCode/100 == 3:
		return "redirects are not followed: set the base URL (WithBaseURL or ZEP_API_URL) to the server's own"
	case e.StatusCode == 0 && neverConnected(e.cause):
		return "check that Zep runs there, or set the base URL (WithBaseURL or ZEP_API_URL)"
	}
	return ""
}

// Is reports whether the error is of the kind of one of this package's sentinels.
func (e *Error) Is(target error) bool {
	kind := e.kind()
	switch {
	case kind == nil:
		return false
	case target == ErrNotFound && kind == ErrServer:
		return notFoundAs500.MatchString(e.Message)
	case target == ErrNotPublished:
		return kind == ErrServer && strings.HasPrefix(e.Message, notPublishedText)
	}
	return target == kind
}

// Unwrap gives the network's or the context's error, if there is one.
func (e *Error) Unwrap() error { return e.cause }

var (
	// existsText is how each resource says that its id is taken. The id itself ends the line and is left out, so that no
	// id can make another text look like this one.
	existsText = regexp.MustCompile(`^(failed to create (collection|documents): )?(bad request: )?(user|session|collection|document_id) already exists\b`)

	// notFoundAs500 is how documents are added to a collection that is not there.
	notFoundAs500 = regexp.MustCompile(`(^|: )(collection: .*|documents) not found$`)
)

// notPublishedText is how the server says that messages are stored, and that is all.
const notPublishedText = "failed to publish new messages"

// kind is the sentinel for what the server answered, nil for no answer and for a redirect.
func (e *Error) kind() error {
	switch s := e.StatusCode; {
	case s == http.StatusNotFound && isMissingResource(e.Message):
		return ErrNotFound
	case s == http.StatusNotFound, s == http.StatusMethodNotAllowed:
		return ErrEndpointNotFound
	case s == http.StatusConflict, s == http.StatusBadRequest && existsText.MatchString(e.Message):
		return ErrAlreadyExists
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		return ErrUnauthorized
	case s == http.StatusRequestEntityTooLarge:
		return ErrTooLarge
	case s == http.StatusTooManyRequests:
		return ErrRateLimited
	case s >= 400 && s < 500:
		return ErrBadRequest
	case s >= 500:
		return ErrServer
	}
	return nil
}

// isMissingResource tells Zep's "not found" from a router's or a proxy's: Zep names the resource, or nothing at all; what
// serves pages says "page not found" or sends one.
func isMissingResource(message string) bool {
	return strings.HasSuffix(message, "not found") && !strings.HasSuffix(message, "page not found")
}

// serverText makes one clean line of an error's body: no HTML, no control characters, at most 4 KiB.
func serverText(body []byte) string {
	text := strings.TrimSpace(strings.ToValidUTF8(string(body), "\uFFFD"))
	if strings.HasPrefix(text, "<") {
		return "(an HTML page)"
	}
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.Join(lines, "; "))
	if len(text) <= maxMessage {
		return text
	}
	end := maxMessage - len("…")
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

func errNegative(method, field string, value int) error {
	return fmt.Errorf("%w: %s: %s is %d: want no negative number", ErrBadRequest, method, field, value)
}

func errNilRequest(method string) error {
	return fmt.Errorf("%w: %s: the request is nil", ErrBadRequest, method)
}

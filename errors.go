package zep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The errors that errors.Is finds. An [Error] for a refusal of the server matches one of them, by
// the status and the text. Some texts say more than the status, and the error matches a second
// one: a 400 ErrUserNotFound, a 500 ErrNotFound for a collection or document, ErrAlreadyExists
// for the UUID of a message, ErrLocked or ErrNotPublished. Redirects, and failures without a
// readable response, match none.
var (
	// ErrNotFound: the user, session, message, collection or document is not there (404 and "not
	// found").
	ErrNotFound = errors.New("zep: not found")

	// ErrUserNotFound: a session was added for a user who does not exist (a 400; also
	// ErrBadRequest, and not ErrNotFound).
	ErrUserNotFound = errors.New("zep: user not found")

	// ErrEndpointNotFound: the server does not know the path or the verb (any other 404, 405).
	// The base URL is wrong, or what answers there is not a Zep v0.x server.
	ErrEndpointNotFound = errors.New("zep: endpoint not found")

	// ErrAlreadyExists: the id is taken, or the UUID of a message (a 500; also ErrServer). A
	// deleted session keeps its id; a deleted user does not.
	ErrAlreadyExists = errors.New("zep: already exists")

	// ErrBadRequest: the request is at fault. The server said so (400 or another 4xx), or the
	// client did before it sent anything: a nil request, a negative limit, metadata that JSON
	// cannot express.
	ErrBadRequest = errors.New("zep: bad request")

	// ErrUnauthorized: the API key is missing, wrong or expired (401), or does not allow this
	// (403).
	ErrUnauthorized = errors.New("zep: unauthorized")

	// ErrTooLarge: the request is over what the server takes (413; 5 MiB unless it is configured
	// otherwise) or over [WithMaxRequestBytes], or its response is over the 256 MiB that the client
	// reads, or would take over about 1 GiB of memory when it is decoded.
	ErrTooLarge = errors.New("zep: too large")

	// ErrRateLimited: 429, still after the last attempt. Zep itself does not limit; proxies
	// before it do.
	ErrRateLimited = errors.New("zep: rate limited")

	// ErrServer: any 5xx. Zep answers 500 to some mistakes of the caller's too: the text tells.
	ErrServer = errors.New("zep: server error")

	// ErrLocked: the server could not get its lock on the record that is updated (a 500; also
	// ErrServer). It stays locked until it is freed on the server: see docs/server-locks.md.
	ErrLocked = errors.New("zep: record is locked on the server")

	// ErrAmbiguous: the call may have been carried out, or may not: an attempt was sent, and no
	// response tells what became of it. It comes with any other sentinel, or with none.
	ErrAmbiguous = errors.New("zep: outcome unknown")

	// ErrInvalidID: an id that no request can carry to its own record. It is refused before
	// anything is sent: the empty id, "." and "..", and ids that hold "/", a NUL byte or invalid
	// UTF-8.
	ErrInvalidID = errors.New("zep: invalid id")

	// ErrNotPublished: the server stored the messages of a [MemoryService.Add], but could not
	// hand them on for embedding and summaries. Do not add them again.
	ErrNotPublished = errors.New("zep: messages stored, but not published")

	// ErrCursorStuck: a page of a walk ended at or before the cursor it was asked for, so that
	// the next request would fetch it again.
	ErrCursorStuck = errors.New("zep: cursor is stuck")
)

// Error is a call that failed after it began: the server refused it, or no usable response came.
//
// If time ran out, or the context ended, after an attempt that the server had answered, the Error
// has that answer: its StatusCode, Header, Message and sentinels. It matches
// [context.DeadlineExceeded] or [context.Canceled] too, and its text says both.
//
// Match it with [errors.Is] against the sentinels of this package, against
// [context.DeadlineExceeded] and [context.Canceled] when time ran out or the context ended, and
// against the network's errors. Use [errors.As] with an *Error for the rest.
type Error struct {
	// Method and Path are those of the request. The path is escaped and includes the base URL's,
	// but no query.
	Method, Path string

	// StatusCode is that of the last response, 0 if there was none.
	StatusCode int

	// Message is the server's text, in one line of at most 4 KiB, without HTML pages. If there was
	// no response, it says what went wrong.
	Message string

	// Header is that of the last response, nil if there was none.
	Header http.Header

	// Attempts is the number of requests that were begun.
	Attempts int

	cause         error   // the network's or the context's error
	kinds         []error // the sentinels that the server's text matches
	maybeExecuted bool    // an attempt was sent and its outcome is ambiguous
	maybeLocked   bool    // the server may be waiting for the lock of the record
}

// Error returns one line: the call, the server's text and, where it is known, what to change.
func (e *Error) Error() string {
	parts := []string{"zep"}
	if call := e.call(); call != "" {
		parts = append(parts, call)
	}
	message := oneLine(e.Message)
	switch {
	case e.StatusCode != 0 && message == "":
		status := fmt.Sprintf("%d %s", e.StatusCode, http.StatusText(e.StatusCode))
		parts = append(parts, strings.TrimSpace(status))
	case e.StatusCode != 0:
		parts = append(parts, strconv.Itoa(e.StatusCode))
	}
	if message != "" {
		parts = append(parts, message)
	}
	for _, err := range contextErrors {
		if errors.Is(e.cause, err) && !strings.Contains(message, err.Error()) {
			parts = append(parts, err.Error())
		}
	}
	if len(parts) == 1 { // made by hand, with nothing in it
		parts = append(parts, "unknown error")
	}
	var b strings.Builder
	b.WriteString(strings.Join(parts, ": "))
	if e.Attempts > 1 {
		fmt.Fprintf(&b, " (%d attempts)", e.Attempts)
	}
	if e.maybeExecuted {
		b.WriteString("; the outcome of an attempt is unknown: it may have been carried out")
	}
	if hint := e.hint(); hint != "" {
		b.WriteString("; " + hint)
	}
	return b.String()
}

// Is reports whether the error is of the kind of a sentinel of this package.
func (e *Error) Is(target error) bool {
	if target == ErrAmbiguous {
		return e.maybeExecuted
	}
	kinds := e.kinds
	if kinds == nil { // made by hand, as a fake in a test
		kinds = classify(e.StatusCode, e.Message)
	}
	return slices.Contains(kinds, target)
}

// Timeout reports whether time ran out: the call's, an attempt's or the network's.
func (e *Error) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.cause, &t) && t.Timeout()
}

// Unwrap returns the network's or the context's error, if there is one.
func (e *Error) Unwrap() error { return e.cause }

// maxMessage bounds what an Error keeps of the server's text.
const maxMessage = 4 << 10

// call returns the method and the path, in one short line.
func (e *Error) call() string {
	return strings.TrimSpace(oneLine(e.Method) + " " + oneLine(fmt.Sprintf("%.1000s", e.Path)))
}

var contextErrors = []error{context.DeadlineExceeded, context.Canceled}

// hint says what the caller can change, for the mistakes of a first try.
func (e *Error) hint() string {
	switch {
	case e.Is(ErrEndpointNotFound) && doubledPath.MatchString(e.Path):
		return "the base URL (WithBaseURL or ZEP_API_URL) ends in /api/v1, " +
			"which the client adds: leave it out"
	case e.Is(ErrEndpointNotFound) && messagesPath.MatchString(e.Path):
		return "the server does not know this path: if it knows others, " +
			"it is a Zep server before v0.21, which has no paths for messages"
	case e.Is(ErrEndpointNotFound):
		return "the server does not know this path: check that the base URL " +
			"(WithBaseURL or ZEP_API_URL) is that of a Zep v0.x server"
	case e.maybeLocked, e.Is(ErrLocked):
		return "the record may be locked on the server: see " +
			"https://github.com/zep-go/zep/blob/main/docs/server-locks.md"
	case e.Is(ErrUnauthorized):
		return "check the API key (WithAPIKey, WithTokenSource or ZEP_API_KEY)"
	case e.StatusCode/100 == 3 && e.Header.Get("Location") != "":
		return "redirects are not followed: set the base URL (WithBaseURL or ZEP_API_URL) to the " +
			"server's own"
	case e.StatusCode == 0 && neverConnected(e.cause):
		return "check that Zep runs there, or set the base URL (WithBaseURL or ZEP_API_URL)"
	}
	return ""
}

// The paths that the hints of ErrEndpointNotFound are about. No id has a slash.
var (
	doubledPath  = regexp.MustCompile(`/api/v1(/api/v1/.*|/healthz)$`)
	messagesPath = regexp.MustCompile(`/api/v1/sessions/[^/]+/messages(/[^/]+)?$`)
)

// timedOut reports whether time ran out or the context ended.
func (e *Error) timedOut() bool {
	return errors.Is(e.cause, context.DeadlineExceeded) || errors.Is(e.cause, context.Canceled)
}

// afterAnswer returns the error of a call, made of the last answer if time ran out or the context
// ended after it: the answer says why the call went on for so long.
func (e *Error) afterAnswer(answer *Error) *Error {
	if answer == nil || answer == e || !e.timedOut() {
		return e
	}
	merged := *answer
	merged.Attempts = e.Attempts
	merged.cause = errors.Join(answer.cause, e.cause)
	merged.maybeExecuted, merged.maybeLocked = e.maybeExecuted, e.maybeLocked
	return &merged
}

// errMessageStored says that the UUID of a message is taken, and that nothing of the request is
// stored.
var errMessageStored = errors.New("zep: message stored before")

// The server's texts. An id that one quotes stands at its end and is not matched, so that no id can
// make one text look like another.
var (
	existsText = regexp.MustCompile(`^(failed to [Cc]reate (collection|documents): )?` +
		`(bad request: )?(user|session|collection|document_id) already exists\b`)
	userMissingText = regexp.MustCompile(`^(bad request: )?user does not exist\b`)
	userTakenText   = regexp.MustCompile( // up to Zep 0.11
		`^[^"]*duplicate key value violates unique constraint "users_user_id_key"`)
	missingText = regexp.MustCompile(
		`^(failed to \w+ (collection|documents?): )*(collection: .*|documents) not found$`)
	lockText          = "failed to acquire advisory lock"
	notPublishedText  = regexp.MustCompile(`^failed to publish new messages`)
	messageStoredText = regexp.MustCompile(
		`duplicate key value violates unique constraint "message_pkey"`)
)

// classify returns the sentinels for a response: none for a success or a redirect.
func classify(status int, text string) []error {
	switch {
	case status == http.StatusNotFound && isMissingResource(text):
		return []error{ErrNotFound}
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		return []error{ErrEndpointNotFound}
	case status == http.StatusConflict,
		status == http.StatusBadRequest && existsText.MatchString(text):
		return []error{ErrAlreadyExists}
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return []error{ErrUnauthorized}
	case status == http.StatusRequestEntityTooLarge:
		return []error{ErrTooLarge}
	case status == http.StatusTooManyRequests:
		return []error{ErrRateLimited}
	case status == http.StatusBadRequest && userMissingText.MatchString(text):
		return []error{ErrBadRequest, ErrUserNotFound}
	case status >= 400 && status < 500:
		return []error{ErrBadRequest}
	case status >= 500 && missingText.MatchString(text):
		return []error{ErrServer, ErrNotFound}
	case status >= 500 && strings.HasPrefix(text, lockText):
		return []error{ErrServer, ErrLocked}
	case status >= 500 && notPublishedText.MatchString(text):
		return []error{ErrServer, ErrNotPublished}
	case status >= 500 && messageStoredText.MatchString(text):
		return []error{ErrServer, ErrAlreadyExists, errMessageStored}
	case status >= 500 && (userTakenText.MatchString(text) || sessionRaceText.MatchString(text)):
		return []error{ErrServer, ErrAlreadyExists}
	case status >= 500:
		return []error{ErrServer}
	}
	return nil
}

// isMissingResource tells Zep's "not found" from that of a router or a proxy.
func isMissingResource(text string) bool {
	return text == "not found" || missingText.MatchString(text)
}

// serverText returns the text of an error's body, without HTML.
func serverText(body []byte) string {
	text := strings.TrimSpace(string(body))
	if isPage(body) {
		return "(an HTML page)"
	}
	return text
}

// isPage reports whether a body is HTML, which Zep's API never sends: a router or a proxy did.
func isPage(body []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) }

// oneLine returns at most 4 KiB of a text, with nothing in it that ends a line, drives a terminal,
// turns the direction of the text or has no width. All texts from outside go through it.
func oneLine(text string) string {
	lines := strings.FieldsFunc(strings.ToValidUTF8(text, "\uFFFD"), func(r rune) bool {
		return r == '\n' || r == '\r'
	})
	text = strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
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

// lineError is an error from outside, whose text is made one short line.
type lineError struct{ error }

func (e lineError) Error() string { return oneLine(e.error.Error()) }

func (e lineError) Unwrap() error { return e.error }

func errNilRequest(method string) error {
	return fmt.Errorf("%w: %s: the request is nil", ErrBadRequest, method)
}

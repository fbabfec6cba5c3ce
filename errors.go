package zep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What errors.Is finds in an error of this package. An [Error] that a server refused with matches one of them, by the status and the
// text; but a 500 that says more is ErrServer and what it says: ErrNotFound of a collection or document, ErrNotPublished.
// Redirects, and what got no answer that can be read, match none.
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

	// kinds are the sentinels that the error matches, from the server's text as it came.
	kinds []error

	// unsettled says that an attempt was sent and its answer lost: the call may have been carried out.
	unsettled bool
}

// Error gives the call, the server's words and, where it is known, what to change, in one line.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "zep: %s %.1000s: ", e.Method, e.Path)
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
	switch {
	case e.Is(ErrEndpointNotFound):
		return "the server does not know this path: check that the base URL (WithBaseURL or ZEP_API_URL) is that of a Zep v0.x server"
	case e.Is(ErrUnauthorized):
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
	if e.kinds == nil { // not one of ours: a fake in somebody's test
		return slices.Contains(classify(e.StatusCode, e.Message), target)
	}
	return slices.Contains(e.kinds, target)
}

// redacted stands where the API key was.
const redacted = "[redacted]"

// redact takes a secret out of what net/http and encoding/json quote of an answer: a header that holds it, and a cause that tells
// it, of which only that stays which callers match.
func (e *Error) redact(secret string) {
	for key, values := range e.Header {
		if slices.ContainsFunc(values, func(value string) bool { return strings.Contains(value, secret) }) {
			e.Header = maps.Clone(e.Header)
			e.Header[key] = []string{redacted}
		}
	}
	if !tells(e.cause, secret) {
		return
	}
	var kept []error
	for _, known := range []error{ErrTooLarge, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(e.cause, known) {
			kept = append(kept, known)
		}
	}
	e.cause = errors.Join(kept...)
}

// withoutSecret takes a secret out of a text, also the beginning of one where the text was cut.
func withoutSecret(text, secret string) string {
	const telling = 8 // characters
	text = strings.ReplaceAll(text, secret, redacted)
	for n := len(secret) - 1; n >= telling; n-- {
		if before, found := strings.CutSuffix(text, secret[:n]); found {
			return before + redacted
		}
	}
	return text
}

// tells: the text of an error, or of one within it, has the secret.
func tells(err error, secret string) bool {
	if err == nil {
		return false
	}
	if strings.Contains(err.Error(), secret) {
		return true
	}
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		return tells(err.Unwrap(), secret)
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(err.Unwrap(), func(err error) bool { return tells(err, secret) })
	}
	return false
}

// Unwrap gives the network's or the context's error, if there is one.
func (e *Error) Unwrap() error { return e.cause }

// errMessageStored: a message of this UUID is stored, and nothing of the request is stored again.
var errMessageStored = errors.New("zep: message stored before")

// The server's words. An id that it quotes ends the line and is not looked at, so that no id can make one text look like
// another.
var (
	existsText        = regexp.MustCompile(`^(failed to create (collection|documents): )?(bad request: )?(user|session|collection|document_id) already exists\b`)
	missingText       = regexp.MustCompile(`^(failed to \w+ (collection|documents?): )*(collection: .*|documents) not found$`)
	notPublishedText  = regexp.MustCompile(`^failed to publish new messages`)
	messageStoredText = regexp.MustCompile(`duplicate key value violates unique constraint "message_pkey"`)
)

// classify gives the sentinels for what the server answered: none for no answer, a success or a redirect.
func classify(status int, text string) []error {
	switch {
	case status == http.StatusNotFound && isMissingResource(text):
		return []error{ErrNotFound}
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		return []error{ErrEndpointNotFound}
	case status == http.StatusConflict, status == http.StatusBadRequest && existsText.MatchString(text):
		return []error{ErrAlreadyExists}
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return []error{ErrUnauthorized}
	case status == http.StatusRequestEntityTooLarge:
		return []error{ErrTooLarge}
	case status == http.StatusTooManyRequests:
		return []error{ErrRateLimited}
	case status >= 400 && status < 500:
		return []error{ErrBadRequest}
	case status >= 500 && missingText.MatchString(text):
		return []error{ErrServer, ErrNotFound}
	case status >= 500 && notPublishedText.MatchString(text):
		return []error{ErrServer, ErrNotPublished}
	case status >= 500 && messageStoredText.MatchString(text):
		return []error{ErrServer, errMessageStored}
	case status >= 500:
		return []error{ErrServer}
	}
	return nil
}

// isMissingResource tells Zep's "not found" from a router's or a proxy's: Zep says just that, or of which collection or documents.
func isMissingResource(text string) bool {
	return text == "not found" || missingText.MatchString(text)
}

// serverText is what an error's body says; a page is nothing to show.
func serverText(body []byte) string {
	text := strings.TrimSpace(string(body))
	if isPage(body) {
		return "(an HTML page)"
	}
	return text
}

// isPage tells HTML, which Zep does not send of itself: it is a router's or a proxy's.
func isPage(body []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) }

// oneLine leaves nothing in a text that ends a line or drives a terminal, and at most 4 KiB of it.
func oneLine(text string) string {
	lines := strings.FieldsFunc(strings.ToValidUTF8(text, "\uFFFD"), func(r rune) bool { return r == '\n' || r == '\r' })
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
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

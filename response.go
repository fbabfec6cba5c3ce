package zep

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	// maxBody bounds what is read of a success.
	maxBody = 256 << 20

	// maxPooled bounds the buffers that are kept for later responses. A page of 5,000 users takes
	// about 1.8 MB.
	maxPooled = 4 << 20

	// maxErrorBody bounds what is read of any other response, and maxErrorDrain what is read after
	// that and dropped, so that the connection can be used again.
	maxErrorBody  = 64 << 10
	maxErrorDrain = 256 << 10

	// maxErrorTime bounds how long both may take: an error is no reason to wait for the deadline.
	maxErrorTime = time.Second
)

// judgeFailure says what an attempt without a response proves.
func (x *exchange) judgeFailure(err error) (outcome, *Error) {
	err = x.stream.failure(err)
	x.attempt.trace.closeConn() // from here on, nothing of the request is sent that was not
	o := failureOutcome(err, x.attempt.trace)
	if wrapped, ok := err.(*url.Error); ok { // of http.Client: it repeats the verb and the URL
		err = wrapped.Err
	}
	if x.attempt.trace.resent.Load() {
		err = errReset
	}
	return o, x.newError(nil, err.Error(), err)
}

// judgeResponse reads a response whole, which frees its connection, and says what it proves. The
// error is nil after a success.
func (x *exchange) judgeResponse(resp *http.Response) (outcome, *Error) {
	if x.stream != nil && isSuccess(resp) {
		return x.judgeStream(resp)
	}
	buffer := buffers.Get().(*bytes.Buffer)
	defer putBuffer(buffer)
	err := x.readBody(buffer, resp)
	if x.capture != nil {
		*x.capture = x.captured(resp, buffer.Bytes())
	}
	switch {
	case err != nil:
		return x.judgeCut(resp, err)
	case isSuccess(resp):
		return x.judgeSuccess(resp, buffer.Bytes())
	}
	return x.judgeRefusal(resp, buffer.Bytes())
}

func isSuccess(resp *http.Response) bool { return resp.StatusCode/100 == 2 }

// readBody reads the body of a response into the buffer, and closes it.
func (x *exchange) readBody(buffer *bytes.Buffer, resp *http.Response) error {
	body := resp.Body
	defer body.Close()
	resp.Body = http.NoBody
	switch {
	case resp.StatusCode < 200: // the body of a 101 is the connection, which no context ends
		return nil
	case isSuccess(resp):
		limit := x.page.maxBody(x.client.maxBody)
		err := readUpTo(buffer, body, limit)
		x.page.setWeight(buffer.Len())
		if err == nil {
			err = checkDecodedSize(buffer.Bytes(), maxDecoded)
		}
		return err
	}
	end := time.AfterFunc(x.client.maxErrorTime, x.attempt.cancel)
	_, err := buffer.ReadFrom(io.LimitReader(body, maxErrorBody))
	if err == nil {
		_, _ = io.CopyN(io.Discard, body, maxErrorDrain)
	}
	if !end.Stop() && err != nil {
		err = errTrickles
	}
	return err
}

// readUpTo reads a body into the buffer, and returns ErrTooLarge for one of more than limit bytes.
// The buffer doubles as in [bytes.Buffer.ReadFrom], but a large one grows to the limit at once: all
// that was allocated for a body of up to 256 MiB is 384 MiB.
func readUpTo(buffer *bytes.Buffer, body io.Reader, limit int64) error {
	for {
		if buffer.Available() == 0 {
			capacity := int64(max(2*buffer.Cap(), bytes.MinRead))
			if capacity >= limit || capacity > max(limit/4, maxPooled) {
				capacity = limit + bytes.MinRead
			}
			grown := make([]byte, buffer.Len(), capacity)
			copy(grown, buffer.Bytes())
			*buffer = *bytes.NewBuffer(grown)
		}
		free := buffer.AvailableBuffer()
		n, err := body.Read(free[:min(int64(cap(free)), limit+1-int64(buffer.Len()))])
		buffer.Write(free[:n])
		switch {
		case int64(buffer.Len()) > limit:
			return fmt.Errorf("%w: the response is over %d bytes", ErrTooLarge, limit)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

var errTrickles = errors.New("the text of the error did not come to its end in time")

// buffers are what responses are read into. Decoding copies out of them.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func putBuffer(buffer *bytes.Buffer) {
	if buffer.Cap() <= maxPooled {
		buffer.Reset()
		buffers.Put(buffer)
	}
}

// judgeCut says what a response proves that was not read to its end.
func (x *exchange) judgeCut(resp *http.Response, err error) (outcome, *Error) {
	failure := x.newError(resp, err.Error(), err)
	if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusBadRequest {
		failure.kinds = []error{} // what is missing, or at fault, stands in the text
	}
	o := statusOutcome(resp.StatusCode)
	switch {
	case errors.Is(err, ErrTooLarge):
		return final, failure
	case o == notExecuted, o == final && resp.StatusCode/100 == 4:
		return notExecuted, failure // the status proves it, and the next response may be whole
	}
	return ambiguous, failure
}

// judgeSuccess decodes a 2xx. A page, half an answer or another record comes from a proxy or a
// broken server, and leaves open what became of the request.
func (x *exchange) judgeSuccess(resp *http.Response, body []byte) (outcome, *Error) {
	var err error
	if isPage(body) {
		err = fmt.Errorf("an HTML page: %w", errNotZep)
	} else {
		err = x.decode(resp.Header, body)
	}
	if err == nil {
		return final, nil
	}
	failure := x.newError(resp, "unexpected response: "+err.Error(), err)
	if tooMany := tooManyRecords(0); errors.Is(err, ErrTooLarge) || errors.As(err, &tooMany) {
		return final, failure // the next response would be as large
	}
	return ambiguous, failure
}

// judgeRefusal says what a response proves that is not a 2xx.
func (x *exchange) judgeRefusal(resp *http.Response, body []byte) (outcome, *Error) {
	text := serverText(body)
	if location := resp.Header.Get("Location"); resp.StatusCode/100 == 3 && location != "" {
		text = "redirects to " + shownURL(location)
	}
	return refusalOutcome(resp.StatusCode, oneLine(text), x.transient), x.newError(resp, text, nil)
}

// captured returns a response for the caller to keep: its body can be read again, and nothing of it
// has the API key.
func (x *exchange) captured(resp *http.Response, body []byte) *http.Response {
	kept := *resp
	r := x.redactor()
	kept.Status = r.Text(resp.Status)
	kept.Header, kept.Trailer = r.Header(resp.Header.Clone()), r.Header(resp.Trailer.Clone())
	kept.Body = io.NopCloser(bytes.NewReader(r.Bytes(bytes.Clone(body))))
	// A transport of the caller's may have left the request out.
	kept.Request = cmp.Or(resp.Request, x.request.Request)
	kept.Request = kept.Request.Clone(context.WithoutCancel(x.ctx)) // without the trace
	kept.Request.Header.Del("Authorization")
	kept.Request.Header = r.Header(kept.Request.Header)
	return &kept
}

// shownURL returns the Location of a redirect without what may be secret in it.
func shownURL(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return "a Location that is not a URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

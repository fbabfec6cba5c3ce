package zeptest

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"
)

// answer is a response that is not sent yet.
type answer struct {
	status int
	header http.Header
	// body is in parts, so that a list of a million rows is sent from the rows as they are kept.
	body [][]byte
	// release, if not nil, ends the metadata update that is answered: see [locks].
	release func()
}

// end ends the update that is answered, if it is one. A second call does nothing.
func (a *answer) end() {
	if a.release != nil {
		a.release()
		a.release = nil
	}
}

// writeTo sends the answer. It ends the update first, so that whoever has the answer knows that
// the update is over.
func (a *answer) writeTo(w http.ResponseWriter) {
	a.end()
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	for _, part := range a.body {
		if _, err := w.Write(part); err != nil {
			return
		}
	}
}

// okHeader is the header of a success. Zep does not set the type of its JSON, and Go's server
// takes it for plain text.
var okHeader = http.Header{"Content-Type": {"text/plain; charset=utf-8"}}

func newAnswer(status int, body ...[]byte) answer {
	return answer{status: status, header: okHeader, body: body}
}

var okAnswer = newAnswer(http.StatusOK, []byte("OK"))

func rowAnswer(status int, r *row) answer {
	return newAnswer(status, r.json, []byte("\n"))
}

func listAnswer(rows []*row) answer {
	body := make([][]byte, 0, 2*len(rows)+2)
	open, separator := []byte("["), []byte(",")
	for i, r := range rows {
		if i > 0 {
			open = separator
		}
		body = append(body, open, r.json)
	}
	if len(rows) == 0 {
		body = append(body, open)
	}
	return newAnswer(http.StatusOK, append(body, []byte("]\n"))...)
}

// jsonAnswer answers with a value. A value that JSON does not have, such as a score that is not a
// number, is an error.
func jsonAnswer(v any) (answer, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return answer{}, err
	}
	return newAnswer(http.StatusOK, text, []byte("\n")), nil
}

// statusError is an error with the status that it is answered with. Any other error is answered
// with 500, also when the caller is to blame, as Zep does.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

var (
	// errPanic is answered as a panic of Zep's handler is: 500 without a body.
	errPanic = errors.New("panic")

	// errNoAnswer closes the connection without an answer.
	errNoAnswer = errors.New("no answer")

	errNotFound = &statusError{http.StatusNotFound, "not found"}
)

func badRequest(text string) error {
	return &statusError{http.StatusBadRequest, "bad request: " + text}
}

// textAnswer is what [http.Error] sends.
func textAnswer(status int, text string) answer {
	header := okHeader.Clone()
	header.Set("X-Content-Type-Options", "nosniff")
	return answer{status: status, header: header, body: [][]byte{[]byte(text + "\n")}}
}

func errorAnswer(err error) answer {
	if errors.Is(err, errPanic) {
		return answer{status: http.StatusInternalServerError}
	}
	status := http.StatusInternalServerError
	var withStatus *statusError
	if errors.As(err, &withStatus) {
		status = withStatus.status
	}
	return textAnswer(status, err.Error())
}

// decodeJSON decodes the request's body. Like Zep, it reads one JSON value and ignores what
// follows. Its errors name the type of v, which must therefore have the name that it has in Zep.
func decodeJSON(r *http.Request, v any) error {
	err := json.NewDecoder(r.Body).Decode(v)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &tooLarge):
		return &statusError{http.StatusRequestEntityTooLarge, "request body too large. " +
			"if you're uploading documents, reduce the batch size or size of the document chunks"}
	}
	return &statusError{http.StatusBadRequest, serverTypes.Replace(err.Error())}
}

// serverTypes gives the types in an error of encoding/json the packages that they have in Zep.
var serverTypes = strings.NewReplacer(
	"zeptest.uuid", "uuid.UUID",
	"zeptest.jsonQuery", "postgres.JSONQuery",
	"struct field jsonQuery", "struct field JSONQuery",
	"zeptest.", "models.",
)

// intQuery reads an integer from the query. It is 0 if the parameter is not there, and an error
// with status 400 and the text of strconv if it is not a number.
func intQuery(r *http.Request, name string) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, &statusError{http.StatusBadRequest, err.Error()}
	}
	return n, nil
}

// sqlLimit is a limit or an offset as Zep's query builder writes it into SQL: it has 32 bits of
// it. Only a positive one counts.
func sqlLimit(n int64) int64 { return int64(int32(n)) }

package zeptest

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// An answer is a handler's success: a status and a body in parts, so that a list of a million rows
// is sent from the rows as they are kept.
type answer struct {
	status int
	body   [][]byte
}

func (a answer) writeTo(w http.ResponseWriter) {
	// Zep never sets the type of its JSON, and Go's server takes it for plain text.
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(a.status)
	for _, part := range a.body {
		if _, err := w.Write(part); err != nil {
			return
		}
	}
}

var okAnswer = answer{http.StatusOK, [][]byte{[]byte("OK")}}

func rowAnswer(status int, r *row) answer {
	return answer{status, [][]byte{r.json, []byte("\n")}}
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
	return answer{http.StatusOK, append(body, []byte("]\n"))}
}

// jsonAnswer answers with a value. What JSON can't say, such as a score that is no number, is an error.
func jsonAnswer(v any) (answer, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusOK, [][]byte{text, []byte("\n")}}, nil
}

// statusError is an error with the status that it is answered with. Any other error is a 500, as it
// is for Zep, mistakes of the caller among them.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

// errPanic is answered as a panic of Zep's handler: with 500 and no body.
var errPanic = errors.New("panic")

var errNotFound = &statusError{http.StatusNotFound, "not found"}

func badRequest(text string) error {
	return &statusError{http.StatusBadRequest, "bad request: " + text}
}

func writeError(w http.ResponseWriter, err error) {
	if errors.Is(err, errPanic) {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	status, text := http.StatusInternalServerError, err.Error()
	var withStatus *statusError
	if errors.As(err, &withStatus) {
		status = withStatus.status
	}
	http.Error(w, text, status)
}

// decodeJSON decodes the request's body. Like Zep, it reads one JSON value and doesn't look at what
// follows. Its errors show the name of v's type, which must therefore be the one that Zep has.
func decodeJSON(r *http.Request, v any) error {
	err := json.NewDecoder(r.Body).Decode(v)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &tooLarge):
		return &statusError{http.StatusRequestEntityTooLarge, "request body too large. if you're uploading documents, " +
			"reduce the batch size or size of the document chunks"}
	}
	return &statusError{http.StatusBadRequest, strings.Replace(err.Error(), "type zeptest.", "type models.", 1)}
}

// intQuery reads a number from the query: 0 if it isn't there, 400 with strconv's words if it is none.
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

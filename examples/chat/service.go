package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/zep-go/zep"
)

// service is the chat over HTTP. It keeps nothing in memory: several may run on one Zep server.
type service struct {
	client  *zep.Client
	timeout time.Duration // of a request
	grace   time.Duration // of the requests that are under way at the end
	logger  *slog.Logger
}

// turn is what a user says.
type turn struct {
	User string `json:"user"`
	Text string `json:"text"`
}

// reply is what the assistant says to a turn.
type reply struct {
	Answer string `json:"answer"`
	Facts  []fact `json:"facts,omitempty"` // that it chose from, the best first
}

// history is what was said in a session.
type history struct {
	User     string    `json:"user"`
	Summary  string    `json:"summary,omitempty"` // of the messages before, if the server makes any
	Messages []message `json:"messages"`          // oldest first
}

type message struct {
	Role zep.Role `json:"role"`
	Text string   `json:"text"`
}

// handler returns the routes of the service.
func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /chat/{session}", s.handle(s.say))
	mux.HandleFunc("GET /chat/{session}", s.handle(s.history))
	mux.HandleFunc("DELETE /chat/{session}", s.handle(s.forget))
	return mux
}

// handle makes a handler of a function that returns what is sent as JSON.
func (s *service) handle(
	f func(ctx context.Context, session string, w http.ResponseWriter, r *http.Request) (any, error),
) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), s.timeout)
		defer cancel()
		status := http.StatusOK
		body, err := f(ctx, r.PathValue("session"), w, r)
		if err != nil {
			var text string
			status, text = explain(err)
			if status >= http.StatusInternalServerError {
				s.logger.Error("chat", "method", r.Method, "status", status, "error", err)
			}
			body = map[string]string{"error": text}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // fails if the client has left
	}
}

// requestError is an error of whoever sent the request.
type requestError struct {
	status int
	text   string
}

func (e *requestError) Error() string { return e.text }

// explain returns what the service answers to an error. The error of a call names the Zep server:
// that is for the log.
func explain(err error) (status int, text string) {
	var wrong *requestError
	switch {
	case errors.As(err, &wrong):
		return wrong.status, wrong.text
	case errors.Is(err, zep.ErrInvalidID):
		return http.StatusBadRequest, "no session or user can have this id"
	case errors.Is(err, zep.ErrUserNotFound): // deleted since open has got it; also ErrBadRequest
		return http.StatusConflict, "the user has just been deleted"
	case errors.Is(err, zep.ErrBadRequest):
		return http.StatusBadRequest, "the text cannot be stored"
	case errors.Is(err, zep.ErrNotFound):
		return http.StatusNotFound, "there is no such session"
	case errors.Is(err, zep.ErrAlreadyExists):
		return http.StatusConflict, "the session belongs to another user"
	case errors.Is(err, zep.ErrAmbiguous):
		status, text = http.StatusBadGateway, "the turn may be stored: look at the history"
	case errors.Is(err, zep.ErrRateLimited):
		return http.StatusServiceUnavailable, "too many requests at the moment"
	default:
		status, text = http.StatusBadGateway, "the memory does not work at the moment"
	}
	if errors.Is(err, context.DeadlineExceeded) {
		status = http.StatusGatewayTimeout
	}
	return status, text
}

// maxBody is the number of bytes of a turn's JSON.
const maxBody = 1 << 20

// say answers POST /chat/{session}.
func (s *service) say(
	ctx context.Context, session string, w http.ResponseWriter, r *http.Request,
) (any, error) {
	var said turn
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	body.DisallowUnknownFields()
	if err := body.Decode(&said); err != nil {
		status := http.StatusBadRequest
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		return nil, &requestError{status, "invalid JSON: " + err.Error()}
	}
	said.Text = strings.TrimSpace(said.Text)
	if said.User == "" || said.Text == "" {
		return nil, &requestError{http.StatusBadRequest, "user or text is missing"}
	}
	m, err := open(ctx, s.client, session, said.User)
	if err != nil {
		return nil, err
	}
	answer, err := m.answer(ctx, said.Text)
	if err != nil {
		return nil, err
	}
	return answer, m.add(ctx, said.Text, answer.Answer)
}

const (
	defaultLast = 20
	maxLast     = 1000
)

// history answers GET /chat/{session}?last=n.
func (s *service) history(
	ctx context.Context, session string, _ http.ResponseWriter, r *http.Request,
) (any, error) {
	last := defaultLast
	if text := r.URL.Query().Get("last"); text != "" {
		var err error
		if last, err = strconv.Atoi(text); err != nil || last < 1 || last > maxLast {
			return nil, &requestError{http.StatusBadRequest,
				fmt.Sprintf("last must be 1 to %d", maxLast)}
		}
	}
	return recall(ctx, s.client, session, last)
}

// forget answers DELETE /chat/{session}. The next turn brings the session back, without its
// messages.
func (s *service) forget(
	ctx context.Context, session string, _ http.ResponseWriter, _ *http.Request,
) (any, error) {
	return struct{}{}, s.client.Session.Delete(ctx, session)
}

// serve serves until ctx ends. Then it answers the requests that are under way.
func (s *service) serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
	defer cancel()
	err := server.Shutdown(ctx)
	if err != nil {
		_ = server.Close()
	}
	<-ended
	// GetOrAdd may have given up an update, which is finished in the background.
	return errors.Join(err, s.client.Wait(ctx))
}

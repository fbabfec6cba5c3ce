package zep

import (
	"cmp"
	"context"
	"iter"
	"net/http"
)

// SessionService manages sessions: [Client.Session].
type SessionService struct{ client *Client }

// Add creates a session and returns it as stored. The server rounds integers in the metadata that are beyond 2^53.
//
// An id that no request can carry is [ErrInvalidID]; one that is taken is [ErrAlreadyExists], also when a deleted session had it:
// [SessionService.Update] brings that one back. A user who is not there is [ErrBadRequest], a session of over 5 MiB [ErrTooLarge].
// If the answer to an attempt was lost, and the session turns out to be there with just this content, it is this call's, and is
// returned.
//
// POST /api/v1/sessions
func (s *SessionService) Add(ctx context.Context, req *CreateSessionRequest, opts ...RequestOption) (*Session, error) {
	if req == nil {
		return do(ctx, s.client, call[*Session]{refused: errNilRequest("Session.Add")}, opts)
	}
	return do(ctx, s.client, call[*Session]{
		method: http.MethodPost, route: "/sessions", body: req, decode: decodeSession,
		refused: cmp.Or(checkID("session_id", req.SessionID), checkText("user_id", req.UserID)),
		settle: func(ctx context.Context, failure *Error) (*Session, error) {
			return settleAdd(failure, req, sameSession, func() (*Session, error) { return s.Get(ctx, req.SessionID, opts...) })
		},
	}, opts)
}

// sameSession: the session that is there has the content that was sent.
func sameSession(sent, there *Session) bool {
	return there.UserID == sent.UserID && sameMetadata(sent.Metadata, there.Metadata)
}

// Get returns a session, or [ErrNotFound]. An id that no request can carry is [ErrInvalidID], here as in all methods.
//
// GET /api/v1/sessions/{sessionId}
func (s *SessionService) Get(ctx context.Context, sessionID string, opts ...RequestOption) (*Session, error) {
	return do(ctx, s.client, call[*Session]{
		method: http.MethodGet, route: "/sessions/{sessionId}", ids: []string{sessionID}, decode: decodeSession,
	}, opts)
}

// Update merges metadata into that of a session, as [UpdateUserRequest] tells, and returns the session as it is then;
// [ErrNotFound] if there is none. Without metadata, or with empty metadata, none is sent. A deleted session is brought
// back by an update, without its messages.
//
// Updates of one session through one Client go one after the other, because the server loses some of concurrent ones, or
// locks up: see [WithConcurrentUpdates]. A waiting update gives up when its context ends.
//
// PATCH /api/v1/sessions/{sessionId}
func (s *SessionService) Update(ctx context.Context, req *UpdateSessionRequest, opts ...RequestOption) (*Session, error) {
	if req == nil {
		return do(ctx, s.client, call[*Session]{refused: errNilRequest("Session.Update")}, opts)
	}
	return do(ctx, s.client, call[*Session]{
		method: http.MethodPatch, route: "/sessions/{sessionId}", ids: []string{req.SessionID}, body: req, decode: decodeSession,
		updates: []record{{"session", req.SessionID}},
	}, opts)
}

// Delete removes a session and its messages; [ErrNotFound] if there is none. Its id stays taken. A "not found" after an
// attempt whose answer was lost is success.
//
// DELETE /api/v1/sessions/{sessionId}/memory
func (s *SessionService) Delete(ctx context.Context, sessionID string, opts ...RequestOption) error {
	_, err := do(ctx, s.client, call[none]{
		method: http.MethodDelete, route: "/sessions/{sessionId}/memory", ids: []string{sessionID}, decode: decodeOK,
		settle: settleDelete,
	}, opts)
	return err
}

// List returns one page of the sessions, by ascending ID; past the end an empty one. nil options, and a zero Limit, are
// the server's default: every session there is, in one answer, which has to be under 256 MiB ([ErrTooLarge]). To walk many, use
// [SessionService.All] or [SessionService.ListChunked].
//
// GET /api/v1/sessions
func (s *SessionService) List(ctx context.Context, page *ListOptions, opts ...RequestOption) ([]*Session, error) {
	return do(ctx, s.client, call[[]*Session]{
		method: http.MethodGet, route: "/sessions", query: page, decode: decodeSessions, refused: page.check(),
	}, opts)
}

// ListChunked walks all sessions in chunks, just as [UserService.ListChunked] walks users.
//
// GET /api/v1/sessions
func (s *SessionService) ListChunked(ctx context.Context, chunkSize int, opts ...RequestOption) iter.Seq2[[]*Session, error] {
	return s.pager().chunks(ctx, chunkSize, opts)
}

// All walks all sessions one by one, just as [UserService.All] walks users.
//
// GET /api/v1/sessions
func (s *SessionService) All(ctx context.Context, opts ...RequestOption) iter.Seq2[*Session, error] {
	return s.pager().all(ctx, opts)
}

// AllParallel walks all sessions by several workers at once, in no order, just as [UserService.AllParallel] walks users.
//
// GET /api/v1/sessions
func (s *SessionService) AllParallel(ctx context.Context, workers int, opts ...RequestOption) iter.Seq2[*Session, error] {
	return s.pager().parallel(ctx, workers, opts)
}

func (s *SessionService) pager() pager[Session] {
	return byID(s.List, func(x *Session) int64 { return x.ID })
}

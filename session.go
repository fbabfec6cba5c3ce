package zep

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// SessionService manages sessions: [Client.Session].
type SessionService struct{ client *Client }

// Add creates a session and returns it as stored. The server rounds integers in the metadata that
// are beyond 2^53.
//
// The error is [ErrAlreadyExists] if the id is taken, also by a deleted session, which
// [SessionService.GetOrAdd] brings back. It is [ErrInvalidID] if no request can carry an id,
// [ErrUserNotFound] if the user does not exist, and [ErrTooLarge] if the server refuses its size.
// If the response to an attempt was lost and the session exists with exactly this content, this
// call created it, and Add returns it.
//
// A session without a user can never be given one. Add is done once: an attempt that the network
// delivers late is refused, unless the user was deleted and added again in between.
//
// POST /api/v1/sessions
func (s *SessionService) Add(
	ctx context.Context, req *CreateSessionRequest, opts ...RequestOption,
) (*Session, error) {
	if err := req.validate("Session.Add"); err != nil {
		return nil, s.client.precheck(opts, err)
	}
	return do(ctx, s.client, s.addCall(req, opts), opts)
}

// Get returns a session. The error is [ErrNotFound] if there is none, and [ErrInvalidID] if no
// request can carry the id, here as in all methods.
//
// GET /api/v1/sessions/{sessionId}
func (s *SessionService) Get(
	ctx context.Context, sessionID string, opts ...RequestOption,
) (*Session, error) {
	return do(ctx, s.client, call[*Session]{
		endpoint: "GET /sessions/{sessionId}",
		ids:      []string{sessionID},
		decode:   decodeSession,
	}, opts)
}

// GetOrAdd returns the session with the SessionID of the request as stored, or adds the session of
// the request if there is none. It changes no metadata of a session that exists.
//
// A deleted session is brought back: with the user, the metadata, the UUID and the CreatedAt that
// it had, and without its messages. The metadata of the request is not used. To know whether that
// happened, use [CaptureResponse], which gives the response to the last request. The Method of its
// Request is PATCH if the session was brought back, by this call or by another at the same time,
// and POST if this call added the session. It is GET if the session was there, and if this call
// added it but the response to the POST was lost.
//
// The error is [ErrAlreadyExists] if the session does not belong to the UserID of the request: it
// belongs to another user, or to nobody, or UserID is empty and it belongs to a user. Nothing is
// brought back then, as far as the API allows: the server does not tell whose a deleted session is
// before it is back. So a session of another user is deleted again at once, unless it has messages
// by then, or the call fails in between, which the error says. If its owner brings it back in the
// same moment, that delete can remove a message that the owner adds just then.
//
// It is safe to call at the same time from several places, and when a response is lost: all get the
// same session, which is added once. It sends one request if the session is there, two if it is
// new, and four if it was deleted. All requests share one timeout, and each has the options of the
// call. The other errors are those of [SessionService.Get], [SessionService.Add] and
// [SessionService.Update], but never [ErrNotFound].
//
// GET /api/v1/sessions/{sessionId}
// and POST /api/v1/sessions, PATCH /api/v1/sessions/{sessionId}
func (s *SessionService) GetOrAdd(
	ctx context.Context, req *CreateSessionRequest, opts ...RequestOption,
) (*Session, error) {
	if err := req.validate("Session.GetOrAdd"); err != nil {
		return nil, s.client.precheck(opts, err)
	}
	// Get comes first because the session is usually there: a chat asks for it at each turn. An
	// Add that is refused costs a second request, an error in the server's log, and a row id. An
	// Update would bring back the sessions of others.
	get := func(ctx context.Context, taken bool) (*Session, error) {
		session, err := s.Get(ctx, req.SessionID, opts...)
		switch {
		case taken && errors.Is(err, ErrNotFound):
			return s.bringBack(ctx, req, opts)
		case err == nil && session.UserID != req.UserID:
			return nil, errNotOwner(session)
		}
		return session, err
	}
	return getOrAdd(ctx, s.client, s.addCall(req, opts), opts, get)
}

// Update merges metadata into that of a session, as [UpdateUserRequest] says, and returns the
// session after that. The error is [ErrNotFound] if there is none. Empty metadata is not sent. An
// update brings a deleted session back, without its messages.
//
// Updates of sessions and of users that carry metadata go one at a time through one Client, in the
// order of the calls, because the server loses some concurrent ones and leaves their records
// locked: see [WithParallelUpdates] and [WithConcurrentUpdates]. An update waits for its turn
// until its context ends, and for at most its timeout, which begins anew with the turn. One that
// is given up fails at once, but its request is allowed to finish: see [Client.Wait]. The server
// does not answer an update of a session that is locked.
//
// Update is done once, unless the network delivers an attempt after its successor was answered:
// that reverts a later update, or brings a deleted session back.
//
// PATCH /api/v1/sessions/{sessionId}
func (s *SessionService) Update(
	ctx context.Context, req *UpdateSessionRequest, opts ...RequestOption,
) (*Session, error) {
	if err := req.validate(); err != nil {
		return nil, s.client.precheck(opts, err)
	}
	return do(ctx, s.client, call[*Session]{
		endpoint: "PATCH /sessions/{sessionId}",
		ids:      []string{req.SessionID},
		body:     req,
		decode:   decodeSession,
		update:   metadataUpdateOf("session", req.SessionID, req.Metadata),
	}, opts)
}

// Delete removes a session and its messages. The error is [ErrNotFound] if there is none. Its id
// stays taken until the server removes what is deleted for good: each hour, unless it is configured
// otherwise. A "not found" after an attempt whose response was lost is success.
//
// [SessionService.GetOrAdd], [SessionService.Update] and [MemoryService.Add] bring a deleted
// session back. A session that is deleted before its messages are embedded holds up the server's
// queue for about 12 s a message.
//
// Delete is done once, unless the network delivers an attempt after its successor was answered:
// that deletes a session that was brought back.
//
// DELETE /api/v1/sessions/{sessionId}/memory
func (s *SessionService) Delete(
	ctx context.Context, sessionID string, opts ...RequestOption,
) error {
	_, err := do(ctx, s.client, call[none]{
		endpoint:  "DELETE /sessions/{sessionId}/memory",
		ids:       []string{sessionID},
		decode:    decodeOK,
		reconcile: reconcileDelete,
	}, opts)
	return err
}

// List returns one page of the sessions, by ascending ID. It is empty past the end. nil options
// and a zero Limit ask for every session in one response, which must be under 256 MiB
// ([ErrTooLarge]). A negative number is [ErrBadRequest]. [SessionService.All] and
// [SessionService.ListChunked] walk many.
//
// GET /api/v1/sessions
func (s *SessionService) List(
	ctx context.Context, page *ListOptions, opts ...RequestOption,
) ([]*Session, error) {
	if err := page.validate(); err != nil {
		return nil, s.client.precheck(opts, err)
	}
	return do(ctx, s.client, call[[]*Session]{
		endpoint: "GET /sessions",
		query:    page,
		decode:   decodeSessions(page.limit()),
	}, opts)
}

// ListChunked walks all sessions in chunks, as [UserService.ListChunked] walks users.
//
// GET /api/v1/sessions
func (s *SessionService) ListChunked(
	ctx context.Context, chunkSize int, opts ...RequestOption,
) iter.Seq2[[]*Session, error] {
	return s.pager().chunks(ctx, chunkSize, opts)
}

// All walks all sessions one by one, as [UserService.All] walks users.
//
// GET /api/v1/sessions
func (s *SessionService) All(
	ctx context.Context, opts ...RequestOption,
) iter.Seq2[*Session, error] {
	return s.pager().all(ctx, opts)
}

// AllParallel walks all sessions by several workers, in no order, as [UserService.AllParallel]
// walks users.
//
// GET /api/v1/sessions
func (s *SessionService) AllParallel(
	ctx context.Context, workers int, opts ...RequestOption,
) iter.Seq2[*Session, error] {
	return s.pager().parallel(ctx, workers, opts)
}

func (s *SessionService) addCall(req *CreateSessionRequest, opts []RequestOption) call[*Session] {
	return call[*Session]{
		endpoint: "POST /sessions",
		body:     req,
		record:   req.SessionID,
		decode:   decodeSession,
		reconcile: func(ctx context.Context, body []byte, failure *Error) (*Session, error) {
			get := func() (*Session, error) { return s.Get(ctx, req.SessionID, opts...) }
			return reconcileAdd(failure, body, sameSession, get)
		},
	}
}

// bringBack undeletes a session, by an update without metadata: for that the server takes no lock.
// Only the response tells whose the session is. One of another user is deleted again, unless
// somebody uses it: a session that was just brought back has no messages.
func (s *SessionService) bringBack(
	ctx context.Context, req *CreateSessionRequest, opts []RequestOption,
) (*Session, error) {
	session, err := s.Update(ctx, &UpdateSessionRequest{SessionID: req.SessionID}, opts...)
	if err != nil || session.UserID == req.UserID {
		return session, err
	}
	memory, err := s.client.Memory.Get(ctx, req.SessionID, &GetMemoryOptions{LastN: 1}, opts...)
	if errors.Is(err, ErrNotFound) || // a server before 0.20 has no memory without messages
		err == nil && len(memory.Messages) == 0 {
		err = s.Delete(ctx, req.SessionID, opts...)
	}
	if err == nil || errors.Is(err, ErrNotFound) {
		return nil, errNotOwner(session)
	}
	return nil, fmt.Errorf("%w; it was deleted, and is back: could not delete it again: %w",
		errNotOwner(session), err)
}

// errNotOwner says that a session is not of the user who asks for it, but not whose it is.
func errNotOwner(session *Session) error {
	owner := "another user"
	if session.UserID == "" {
		owner = "nobody, and can never be given a user"
	}
	return fmt.Errorf("%w: session %.100q belongs to %s",
		ErrAlreadyExists, session.SessionID, owner)
}

// sameSession reports whether a stored session has the content that was sent.
func sameSession(sent, stored *Session) bool {
	return stored.UserID == sent.UserID && sameMetadata(sent.Metadata, stored.Metadata)
}

func (s *SessionService) pager() pager[Session] {
	return byID(s.List, func(x *Session) int64 { return x.ID })
}

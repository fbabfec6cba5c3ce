package zep

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// UserService manages users: [Client.User].
type UserService struct{ client *Client }

// Add creates a user and returns it as stored. The server rounds integers in the metadata that are
// beyond 2^53, and stores no empty metadata.
//
// The error is [ErrAlreadyExists] if the id is taken; the id of a deleted user is free. It is
// [ErrInvalidID] if no request can carry the id, before anything is sent, and [ErrTooLarge] if the
// server refuses the size of the user. If the response to an attempt was lost and the user exists
// with exactly this content, this call created it, and Add returns it.
//
// Add is done once, unless the network delivers an attempt after its successor was answered: that
// adds the user again after a deletion.
//
// POST /api/v1/user
func (s *UserService) Add(
	ctx context.Context, req *CreateUserRequest, opts ...RequestOption,
) (*User, error) {
	if err := req.validate("User.Add"); err != nil {
		return nil, s.client.precheck(opts, err)
	}
	return do(ctx, s.client, s.addCall(req, opts), opts)
}

// Get returns a user. The error is [ErrNotFound] if there is none, and [ErrInvalidID] if no request
// can carry the id, here as in all methods.
//
// GET /api/v1/user/{userId}
func (s *UserService) Get(
	ctx context.Context, userID string, opts ...RequestOption,
) (*User, error) {
	return do(ctx, s.client, call[*User]{
		endpoint: "GET /user/{userId}",
		ids:      []string{userID},
		decode:   decodeUser,
	}, opts)
}

// GetOrAdd returns the user with the UserID of the request as stored, or adds the user of the
// request if there is none. It changes nothing of a user who exists: [UserService.Upsert] does.
//
// It is safe to call at the same time from several places, and when a response is lost: all get the
// same user, who is added once.
//
// It sends one request if the user exists, and two if not. All requests share one timeout, and each
// has the options of the call. [CaptureResponse] gives the response to the last one. The Method of
// its Request is POST if this call added the user. It is GET if the user was there, and if this
// call added the user but the response to the POST was lost.
//
// The errors are those of [UserService.Get] and [UserService.Add], but never [ErrNotFound]. It is
// [ErrAlreadyExists] only if four times in a row the user was not found and could not be added.
//
// GET /api/v1/user/{userId}
// and POST /api/v1/user
func (s *UserService) GetOrAdd(
	ctx context.Context, req *CreateUserRequest, opts ...RequestOption,
) (*User, error) {
	if err := req.validate("User.GetOrAdd"); err != nil {
		return nil, s.client.precheck(opts, err)
	}
	// Get comes first because the user is usually there. An Add that is refused costs a second
	// request, an error in the server's log, and a row id.
	get := func(ctx context.Context, _ bool) (*User, error) {
		return s.Get(ctx, req.UserID, opts...)
	}
	return getOrAdd(ctx, s.client, s.addCall(req, opts), opts, get)
}

// Upsert updates the user with the UserID of the request, or adds the user of the request if there
// is none, and returns the user after that. A user who exists is updated as by
// [UserService.Update]: an empty field of the request leaves the stored one as it is, and metadata
// is merged, so that stored keys that the request does not have stay. Upsert cannot clear a field
// or remove a key.
//
// The update waits for its turn with all others, and takes a [Locker]'s keys, as Update does, and
// it is allowed to finish if it is given up. Several Clients that update the same user at the same
// time need a common Locker, or the server can lose some of what they set. A lost response is
// handled as by Update and [UserService.Add]. The turn is also taken for a user who is not there
// yet: to import new users, Add from many goroutines is faster.
//
// It sends one request if the user exists, and two if not. All requests share one timeout, which
// includes the wait for the turn, and each has the options of the call. [CaptureResponse] gives the
// response to the last one. The Method of its Request is PATCH if this call updated the user, POST
// if it added the user, and GET if it added the user but the response to the POST was lost.
//
// The errors are those of [UserService.Update] and [UserService.Add], but never [ErrNotFound]. It
// is [ErrAlreadyExists] only if four times in a row the user was not found and could not be added.
//
// PATCH /api/v1/user/{userId}
// and POST /api/v1/user
func (s *UserService) Upsert(
	ctx context.Context, req *CreateUserRequest, opts ...RequestOption,
) (*User, error) {
	if err := req.validate("User.Upsert"); err != nil {
		return nil, s.client.precheck(opts, err)
	}
	// Update comes first because the user is usually there, and because it takes its place in the
	// queue in the order of the calls. An Add that is refused costs a second request, an error in
	// the server's log, and a row id; an Update that finds nobody costs only the request.
	update := func(ctx context.Context, _ bool) (*User, error) {
		return s.Update(ctx, (*UpdateUserRequest)(req), opts...)
	}
	return getOrAdd(ctx, s.client, s.addCall(req, opts), opts, update)
}

// Update changes the fields of a user that the request sets, and returns the user after that. The
// error is [ErrNotFound] if there is none.
//
// Empty fields stay as they are: the server cannot clear one. Metadata is merged, as
// [UpdateUserRequest] says; empty metadata is not sent, because the server answers it with 500.
//
// Updates of one user through one Client go one at a time, in the order of the calls, because the
// server loses some concurrent ones: see [WithConcurrentUpdates]. Those with metadata go one at a
// time with all metadata updates of users and sessions, because the server leaves their records
// locked otherwise: see [WithParallelUpdates]. An update waits for its turn until its context
// ends, and for at most its timeout, which begins anew with the turn. A metadata update that is
// given up fails at once, but its request is allowed to finish: see [Client.Wait]. The error of a
// record that is locked on the server is [ErrLocked].
//
// Update is done once, unless the network delivers an attempt after its successor was answered:
// that reverts a later update.
//
// PATCH /api/v1/user/{userId}
func (s *UserService) Update(
	ctx context.Context, req *UpdateUserRequest, opts ...RequestOption,
) (*User, error) {
	if err := req.validate(); err != nil {
		return nil, s.client.precheck(opts, err)
	}
	return do(ctx, s.client, call[*User]{
		endpoint: "PATCH /user/{userId}",
		ids:      []string{req.UserID},
		body:     req,
		decode:   decodeUser,
		update:   metadataUpdateOf("user", req.UserID, req.Metadata),
	}, opts)
}

// Delete removes a user and the user's sessions and messages for good: their ids are free again.
// The server removes the sessions one by one, and then the user. The error is [ErrNotFound] if
// there is none. A "not found" after an attempt whose response was lost is success if the user is
// gone then.
//
// Delete is done once, unless the network delivers an attempt after its successor was answered:
// that deletes a user who was added again.
//
// DELETE /api/v1/user/{userId}
func (s *UserService) Delete(ctx context.Context, userID string, opts ...RequestOption) error {
	_, err := do(ctx, s.client, call[none]{
		endpoint: "DELETE /user/{userId}",
		ids:      []string{userID},
		decode:   decodeOK,
		reconcile: func(ctx context.Context, _ []byte, failure *Error) (none, error) {
			return none{}, s.reconcileDelete(ctx, userID, failure, opts)
		},
	}, opts)
	return err
}

// GetSessions returns all sessions of a user, in no promised order. Their [Session].ID is 0,
// whatever it is elsewhere. A user who does not exist has no sessions: that is no error. So an
// empty list does not prove that a user exists, or that a deletion is complete. The server has no
// pages here.
//
// GET /api/v1/user/{userId}/sessions
func (s *UserService) GetSessions(
	ctx context.Context, userID string, opts ...RequestOption,
) ([]*Session, error) {
	return do(ctx, s.client, call[[]*Session]{
		endpoint: "GET /user/{userId}/sessions",
		ids:      []string{userID},
		decode:   decodeSessions(0),
	}, opts)
}

// List returns one page of the users, by ascending ID. It is empty past the end. nil options and a
// zero Limit ask for every user in one response, which must be under 256 MiB ([ErrTooLarge]). A
// negative number is [ErrBadRequest]. [UserService.All] and [UserService.ListChunked] walk many.
//
// GET /api/v1/user
func (s *UserService) List(
	ctx context.Context, page *ListOptions, opts ...RequestOption,
) ([]*User, error) {
	if err := page.validate(); err != nil {
		return nil, s.client.precheck(opts, err)
	}
	return do(ctx, s.client, call[[]*User]{
		endpoint: "GET /user",
		query:    page,
		decode:   decodeUsers(page.limit()),
	}, opts)
}

// ListChunked walks all users in chunks, by ascending ID. It sends one request a chunk, when the
// loop asks for it. A chunkSize of 0 means 100; a negative one is [ErrBadRequest]. The walk ends
// with the first empty chunk, which is not yielded, or with an error, which is yielded once.
//
// Users who exist throughout are yielded once each; one added meanwhile comes last, if the walk is
// not over. Ranging over the result again is a new walk.
//
// The errors are those of any call, and [ErrCursorStuck] if the server gives a page that leads
// nowhere.
//
// GET /api/v1/user
func (s *UserService) ListChunked(
	ctx context.Context, chunkSize int, opts ...RequestOption,
) iter.Seq2[[]*User, error] {
	return s.pager().chunks(ctx, chunkSize, opts)
}

// All walks all users one by one, by ascending ID, as fast as the server allows: its pages grow
// from 100 to 5,000 users, and the next is fetched while the loop works on this one. A break
// cancels that. Its promises and errors are those of [UserService.ListChunked].
//
// GET /api/v1/user
func (s *UserService) All(
	ctx context.Context, opts ...RequestOption,
) iter.Seq2[*User, error] {
	return s.pager().all(ctx, opts)
}

// AllParallel walks all users by several workers at once, in no order. workers is 8 if it is 0; a
// negative number is [ErrBadRequest]. It is for a server that has cores to spare, or is far away:
// each worker asks for pages of about 5,000 users, and Zep sorts its whole table for each. On a
// busy server [UserService.All] is as fast, and holds one page instead of one a worker.
//
// Users who exist throughout are yielded once each; of those added or removed meanwhile, any.
// Ranging over the result again is a new walk. The errors are those of any call, and
// [ErrCursorStuck]; one is yielded, and ends the walk.
//
// GET /api/v1/user
func (s *UserService) AllParallel(
	ctx context.Context, workers int, opts ...RequestOption,
) iter.Seq2[*User, error] {
	return s.pager().parallel(ctx, workers, opts)
}

func (s *UserService) addCall(req *CreateUserRequest, opts []RequestOption) call[*User] {
	return call[*User]{
		endpoint: "POST /user",
		body:     req,
		record:   req.UserID,
		decode:   decodeUser,
		reconcile: func(ctx context.Context, body []byte, failure *Error) (*User, error) {
			get := func() (*User, error) { return s.Get(ctx, req.UserID, opts...) }
			return reconcileAdd(failure, body, sameUser, get)
		},
	}
}

// sameUser reports whether a stored user has the content that was sent.
func sameUser(sent, stored *User) bool {
	return stored.Email == sent.Email &&
		stored.FirstName == sent.FirstName &&
		stored.LastName == sent.LastName &&
		sameMetadata(sent.Metadata, stored.Metadata)
}

// reconcileDelete reads the "not found" that follows an attempt whose outcome is ambiguous. Zep
// removes the sessions of a user one by one, and then the user: the "not found" can be about a
// session that the earlier attempt has just removed, and that attempt may have been cut off
// since. So it looks whether the user is gone, and deletes again until that is so, within the
// deadline of the call.
func (s *UserService) reconcileDelete(
	ctx context.Context, userID string, failure *Error, opts []RequestOption,
) error {
	for n := 1; errors.Is(failure, ErrNotFound); n++ {
		_, err := s.Get(ctx, userID, opts...)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err == nil {
			_, err = do(ctx, s.client, call[none]{
				endpoint: "DELETE /user/{userId}",
				ids:      []string{userID},
				decode:   decodeOK,
			}, opts)
		}
		if err == nil {
			return nil
		}
		if errors.Is(err, ErrNotFound) { // about another session
			err = s.client.sleep(ctx, s.client.backoff(n))
		}
		if err != nil {
			return fmt.Errorf("zep: %s %s: could not verify whether the user is gone: %w",
				failure.Method, failure.Path, err)
		}
	}
	return failure
}

func (s *UserService) pager() pager[User] {
	return byID(s.List, func(u *User) int64 { return u.ID })
}

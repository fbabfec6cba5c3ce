package zep

import (
	"context"
	"iter"
	"net/http"
)

// UserService manages users: [Client.User].
type UserService struct{ client *Client }

// Add creates a user and returns it as stored. The server rounds integers in the metadata that are beyond 2^53, and stores no
// empty metadata.
//
// An id that no request can carry is [ErrInvalidID], before anything is sent; one that is taken is [ErrAlreadyExists]; a deleted
// user's can be added again. A user of over 5 MiB is [ErrTooLarge]. If the answer to an attempt was lost, and the user turns out
// to be there with just this content, it is this call's, and is returned.
//
// POST /api/v1/user
func (s *UserService) Add(ctx context.Context, req *CreateUserRequest, opts ...RequestOption) (*User, error) {
	if req == nil {
		return do(ctx, s.client, call[*User]{refused: errNilRequest("User.Add")}, opts)
	}
	return do(ctx, s.client, call[*User]{
		method: http.MethodPost, route: "/user", body: req, decode: decodeUser, refused: checkID("user_id", req.UserID),
		settle: func(ctx context.Context, failure *Error) (*User, error) {
			return settleAdd(failure, req, sameUser, func() (*User, error) { return s.Get(ctx, req.UserID, opts...) })
		},
	}, opts)
}

// sameUser: the user that is there has the content that was sent.
func sameUser(sent, there *User) bool {
	return there.Email == asStored(sent.Email) && there.FirstName == asStored(sent.FirstName) && there.LastName == asStored(sent.LastName) &&
		sameMetadata(sent.Metadata, there.Metadata)
}

// Get returns a user, or [ErrNotFound]. An id that no request can carry is [ErrInvalidID], here as in all methods.
//
// GET /api/v1/user/{userId}
func (s *UserService) Get(ctx context.Context, userID string, opts ...RequestOption) (*User, error) {
	return do(ctx, s.client, call[*User]{
		method: http.MethodGet, route: "/user/{userId}", ids: []string{userID}, decode: decodeUser,
	}, opts)
}

// Update changes what the request says of a user, and returns the user as it is then; [ErrNotFound] if there is none.
//
// Empty fields stay as they are: the server cannot clear one. Metadata is merged, as [UpdateUserRequest] tells; without any,
// or with empty metadata, none is sent, because the server answers 500 to it.
//
// Updates of one user through one Client go one after the other, because the server loses some of concurrent ones: see
// [WithConcurrentUpdates]. A waiting update gives up when its context ends, and the wait counts into its timeout. One whose answer
// is lost gives up its turn, though the server may still be at work on it.
//
// PATCH /api/v1/user/{userId}
func (s *UserService) Update(ctx context.Context, req *UpdateUserRequest, opts ...RequestOption) (*User, error) {
	if req == nil {
		return do(ctx, s.client, call[*User]{refused: errNilRequest("User.Update")}, opts)
	}
	return do(ctx, s.client, call[*User]{
		method: http.MethodPatch, route: "/user/{userId}", ids: []string{req.UserID}, body: req, decode: decodeUser,
		updates: []record{{"user", req.UserID}},
	}, opts)
}

// Delete removes a user for good, and the user's sessions with it; [ErrNotFound] if there is none. A "not found" after an
// attempt whose answer was lost is success.
//
// DELETE /api/v1/user/{userId}
func (s *UserService) Delete(ctx context.Context, userID string, opts ...RequestOption) error {
	_, err := do(ctx, s.client, call[none]{
		method: http.MethodDelete, route: "/user/{userId}", ids: []string{userID}, decode: decodeOK, settle: settleDelete,
	}, opts)
	return err
}

// GetSessions returns all sessions of a user, in no promised order and with [Session].ID 0, whatever it is elsewhere. A user who
// is not there has none: that is no error. The server knows no pages here.
//
// GET /api/v1/user/{userId}/sessions
func (s *UserService) GetSessions(ctx context.Context, userID string, opts ...RequestOption) ([]*Session, error) {
	return do(ctx, s.client, call[[]*Session]{
		method: http.MethodGet, route: "/user/{userId}/sessions", ids: []string{userID}, decode: decodeSessions,
	}, opts)
}

// List returns one page of the users, by ascending ID; past the end an empty one. nil options, and a zero Limit, are the
// server's default: every user there is, in one answer, which has to be under 256 MiB ([ErrTooLarge]). A negative number is
// [ErrBadRequest]. To walk many, use
// [UserService.All] or [UserService.ListChunked].
//
// GET /api/v1/user
func (s *UserService) List(ctx context.Context, page *ListOptions, opts ...RequestOption) ([]*User, error) {
	return do(ctx, s.client, call[[]*User]{
		method: http.MethodGet, route: "/user", query: page, decode: decodeUsers, refused: page.check(),
	}, opts)
}

// ListChunked walks all users in chunks, by ascending ID: one request a chunk, each sent when the loop asks for it. A
// chunkSize of 0 is 100, and a negative one [ErrBadRequest]. The walk ends with the first empty chunk, which is not yielded, or
// with an error, which is yielded once.
//
// Users who are there throughout are yielded once each; one added meanwhile comes last, if the walk is not over. Ranging
// over the result again is a new walk.
//
// Errors: those of any call, and [ErrCursorStuck] if the server gives a page that leads nowhere.
//
// GET /api/v1/user
func (s *UserService) ListChunked(ctx context.Context, chunkSize int, opts ...RequestOption) iter.Seq2[[]*User, error] {
	return s.pager().chunks(ctx, chunkSize, opts)
}

// All walks all users one by one, by ascending ID, as fast as the server allows: its pages grow from 100 to 5,000 users, and
// the next is fetched while the loop works on this one. A break cancels that. It promises what [UserService.ListChunked]
// does, and ends with an error in the same way.
//
// GET /api/v1/user
func (s *UserService) All(ctx context.Context, opts ...RequestOption) iter.Seq2[*User, error] {
	return s.pager().all(ctx, opts)
}

// AllParallel walks all users by several workers at once, in no order: 0 is 8 of them, and a negative number [ErrBadRequest]. It is for
// a server that has cores to spare, or is far away: each worker asks for pages of about 5,000 users, and Zep sorts its whole table
// for each. On a server that is busy already, [UserService.All] does no worse, and holds one page instead of one a worker.
//
// Users who are there throughout are yielded once each; of those added or removed meanwhile, any. Ranging over the result again is a
// new walk. Errors: those of any call, and [ErrCursorStuck]; one is yielded, and is the end.
//
// GET /api/v1/user
func (s *UserService) AllParallel(ctx context.Context, workers int, opts ...RequestOption) iter.Seq2[*User, error] {
	return s.pager().parallel(ctx, workers, opts)
}

func (s *UserService) pager() pager[User] {
	return byID(s.List, func(u *User) int64 { return u.ID })
}

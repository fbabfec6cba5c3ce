package zep

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDocumentUpdate_InvalidRequests(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	tests := map[string]struct {
		req  UpdateDocumentRequest
		want string
	}{
		"an id of 41": {
			UpdateDocumentRequest{UUID: uuid2, DocumentID: strings.Repeat("x", 41)},
			"has a DocumentID of 41 bytes: must be at most 40",
		},
		"an id beyond ASCII": {
			UpdateDocumentRequest{UUID: uuid2, DocumentID: "é"},
			`has the DocumentID "é": must be printable ASCII`,
		},
		"no JSON": {
			UpdateDocumentRequest{UUID: uuid2, Metadata: Metadata{"f": func() {}}},
			"cannot be sent as JSON",
		},
	}
	for name, test := range tests {
		c, s, _ := scripted(t, nil)
		err := c.Document.Update(ctx, "docs", &test.req)
		require.ErrorContains(t, err, test.want, name)
		assert.Equal(t, []error{ErrBadRequest}, matched(err), name)
		err = c.Document.UpdateAll(ctx, "docs",
			[]*UpdateDocumentRequest{
				{UUID: uuid1, DocumentID: strings.Repeat("x", 40)},
				&test.req,
			})
		require.ErrorContains(t, err, test.want, name)
		require.Regexp(t, ` 1\b`, err.Error(), "which one")
		assert.Equal(t, []error{ErrBadRequest}, matched(err), name)
		assert.Empty(t, s.requests())
		assert.True(t, idle(c.updates))
	}
	for how, call := range map[string]func(c *Client) error{
		"nil": func(c *Client) error {
			return c.Document.UpdateAll(ctx, "docs",
				[]*UpdateDocumentRequest{{UUID: uuid1, DocumentID: "d"}, nil})
		},
	} {
		c, s, _ := scripted(t, nil)
		require.ErrorContains(t, call(c), " 1 ", how)
		assert.Empty(t, s.requests())
	}
}

// TestDocumentUpdateAll_SplitByFields checks that a request updates the same fields of all of
// its documents: the server changes in each what it changes in one.
func TestDocumentUpdateAll_SplitByFields(t *testing.T) {
	t.Parallel()
	id := func(uuid string) *UpdateDocumentRequest {
		return &UpdateDocumentRequest{UUID: uuid, DocumentID: "d"}
	}
	metadata := func(uuid string) *UpdateDocumentRequest {
		return &UpdateDocumentRequest{UUID: uuid, Metadata: Metadata{"k": 1}}
	}
	both := func(uuid string) *UpdateDocumentRequest {
		return &UpdateDocumentRequest{UUID: uuid, DocumentID: "d", Metadata: Metadata{"k": 1}}
	}
	empty := func(uuid string) *UpdateDocumentRequest {
		return &UpdateDocumentRequest{UUID: uuid, DocumentID: "d", Metadata: Metadata{}}
	}
	var many []*UpdateDocumentRequest
	for i := range 1001 {
		many = append(many, id(fmt.Sprint("u", i)))
	}
	tests := map[string]struct {
		reqs []*UpdateDocumentRequest
		want []int
	}{
		"the same field": {
			[]*UpdateDocumentRequest{id("a"), id("b"), id("c")},
			[]int{3},
		},
		"the same, once empty": {
			[]*UpdateDocumentRequest{id("a"), empty("b"), id("c")},
			[]int{3},
		},
		"both in all": {
			[]*UpdateDocumentRequest{both("a"), both("b")},
			[]int{2},
		},
		"one field, then another": {
			[]*UpdateDocumentRequest{id("a"), id("b"), metadata("c"), metadata("d")},
			[]int{2, 2},
		},
		"both, then neither": {
			[]*UpdateDocumentRequest{both("a"), {UUID: "b"}},
			[]int{1, 1},
		},
		"one field, then both": {
			[]*UpdateDocumentRequest{metadata("a"), both("b")},
			[]int{1, 1},
		},
		"in turn, in their order": {
			[]*UpdateDocumentRequest{id("a"), metadata("b"), id("c"), both("d"), both("e")},
			[]int{1, 1, 1, 2},
		},
		"a document twice": {
			[]*UpdateDocumentRequest{id("a"), id("b"), id("a"), id("c")},
			[]int{2, 2},
		},
		"a document thrice": {
			[]*UpdateDocumentRequest{id("a"), id("a"), id("a")},
			[]int{1, 1, 1},
		},
		"a document in many forms": {
			[]*UpdateDocumentRequest{id(uuid1), id(strings.ToUpper(uuid1)), id("{" + uuid1 + "}")},
			[]int{1, 1, 1},
		},
		"twice, but in other batches": {
			[]*UpdateDocumentRequest{id("a"), metadata("b"), id("a"), id("c")},
			[]int{1, 1, 2},
		},
		"1001 of the same": {many, []int{500, 500, 1}},
		"1001, the first one once more": {
			append(slices.Clone(many), id("u0")),
			[]int{500, 500, 2},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _ := scripted(t, nil, repeat(len(test.want), answers(200, "OK"))...)
			require.NoError(t, c.Document.UpdateAll(context.Background(), "docs", test.reqs))
			var got []int
			var sent []*UpdateDocumentRequest
			for _, request := range s.requests() {
				var batch []*UpdateDocumentRequest
				require.NoError(t, json.Unmarshal([]byte(request.body), &batch))
				got = append(got, len(batch))
				sent = append(sent, batch...)
			}
			assert.Equal(t, test.want, got)
			require.Len(t, sent, len(test.reqs))
			for i, req := range sent {
				assert.Equal(t, test.reqs[i].UUID, req.UUID, "in the given order")
			}
			assert.True(t, idle(c.updates))
		})
	}
}

func TestDocumentUpdateAll_FailedBatch(t *testing.T) {
	t.Parallel()
	var reqs []*UpdateDocumentRequest
	for i := range 1001 {
		reqs = append(reqs, &UpdateDocumentRequest{UUID: fmt.Sprint("u", i), DocumentID: "d"})
	}
	for _, test := range []struct {
		steps   []step
		want    string
		matches []error
	}{
		{
			[]step{answers(404, "failed to Update documents: documents not found\n")},
			"zep: PATCH ",
			[]error{ErrNotFound},
		},
		{
			[]step{answers(200, "OK"), answers(500, "no disk")},
			"zep: Document.UpdateAll: the first 500 of 1001 are updated: zep: PATCH ",
			[]error{ErrServer},
		},
		{
			[]step{answers(200, "OK"), answers(200, "OK"), answers(400, "no")},
			"the first 1000 of 1001 are updated",
			[]error{ErrBadRequest},
		},
	} {
		c, s, _ := scripted(t, nil, test.steps...)
		err := c.Document.UpdateAll(context.Background(), "docs", reqs)
		require.ErrorContains(t, err, test.want)
		assert.Equal(t, test.matches, matched(err))
		assert.Len(t, s.requests(), len(test.steps))
		assert.True(t, idle(c.updates))
	}
}

// TestDocumentUpdateAll_OppositeOrders checks that concurrent updates of the same documents in
// opposite orders do not block one another.
func TestDocumentUpdateAll_OppositeOrders(t *testing.T) {
	t.Parallel()
	c, g := turnstiled(t)
	forth := []*UpdateDocumentRequest{
		{UUID: "a", DocumentID: "1"},
		{UUID: "b", DocumentID: "2"},
		{UUID: "c", DocumentID: "3"},
	}
	back := slices.Clone(forth)
	slices.Reverse(back)
	const calls = 40
	done := make(chan error, calls)
	for i := range calls {
		go func() {
			switch i % 4 {
			case 0:
				done <- c.Document.UpdateAll(context.Background(), "docs", forth)
			case 1:
				done <- c.Document.UpdateAll(context.Background(), "docs", back)
			case 2:
				done <- c.Document.UpdateAll(context.Background(), "docs", back[1:])
			default:
				done <- c.Document.Update(context.Background(), "docs", forth[1])
			}
		}()
	}
	for range calls { // all of them update b
		a := g.next(t)
		select {
		case other := <-g.arrived:
			require.FailNow(t, "two updates at once", other.body)
		default:
		}
		close(a.pass)
		require.NoError(t, <-done)
	}
	assert.True(t, idle(c.updates))
}

// TestDocumentUpdate_AfterEarlierUpdateAll checks that UpdateAll queues for all of its documents
// at once, so that a later update does not overtake it.
func TestDocumentUpdate_AfterEarlierUpdateAll(t *testing.T) {
	t.Parallel()
	c, g := turnstiled(t)
	ctx := context.Background()
	done := make(chan error, 3)
	req := func(uuid, id string) *UpdateDocumentRequest {
		return &UpdateDocumentRequest{UUID: uuid, DocumentID: id}
	}
	go func() { done <- c.Document.Update(ctx, "docs", req("a", "first")) }()
	held := g.next(t)
	go func() {
		done <- c.Document.UpdateAll(ctx, "docs",
			[]*UpdateDocumentRequest{req("a", "second"), req("b", "second")})
	}()
	waitUntil(t, "the second waits for a",
		func() bool { return waiting(c.updates, record{"document", "a"}) == 1 })
	go func() { done <- c.Document.Update(ctx, "docs", req("b", "third")) }()
	waitUntil(t, "the third waits for b",
		func() bool { return waiting(c.updates, record{"document", "b"}) == 1 })
	close(held.pass)
	second := g.next(t)
	assert.Contains(t, second.body, "second")
	close(second.pass)
	third := g.next(t)
	assert.Contains(t, third.body, "third")
	close(third.pass)
	for range 3 {
		require.NoError(t, <-done)
	}
	assert.True(t, idle(c.updates))
}

// TestDocumentUpdateAll_GivenUpWhileWaiting checks that an update that is given up while it
// waits does not block the updates behind it.
func TestDocumentUpdateAll_GivenUpWhileWaiting(t *testing.T) {
	t.Parallel()
	c, g := turnstiled(t)
	call := func(ctx context.Context, uuids ...string) chan error {
		done := make(chan error, 1)
		var reqs []*UpdateDocumentRequest
		for _, uuid := range uuids {
			reqs = append(reqs, &UpdateDocumentRequest{UUID: uuid, DocumentID: "d"})
		}
		go func() { done <- c.Document.UpdateAll(ctx, "docs", reqs) }()
		return done
	}
	ctx, cancel := context.WithCancel(context.Background())
	first := call(context.Background(), "b")
	held := g.next(t)
	second := call(ctx, "b", "a")
	waitUntil(t, "the second has a and waits for b",
		func() bool { return waiting(c.updates, record{"document", "b"}) == 1 })
	third := call(context.Background(), "a")
	waitUntil(t, "the third waits for a",
		func() bool { return waiting(c.updates, record{"document", "a"}) == 1 })
	cancel()
	err := <-second
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "waiting for earlier updates of the same record (1 in front)")
	close(g.next(t).pass)
	require.NoError(t, <-third)
	close(held.pass)
	require.NoError(t, <-first)
	assert.True(t, idle(c.updates))
}

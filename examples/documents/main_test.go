package main

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

func TestMain(m *testing.M) {
	os.Unsetenv("ZEP_API_URL") // the tests use the server in this process
	goleak.VerifyTestMain(m)
}

// transcript is the output, with NAME for the name of the collection.
const transcript = `Uploading 3 texts into the collection NAME.
  split     The Declaration of Independence (1776) into 39 documents
  split     The Gettysburg Address (1863) into 4 documents
  split     Lincoln's Second Inaugural Address (1865) into 11 documents
  uploaded  54 documents, 10 per request
  embedded  all of them

By text: "taxes without consent".
  0.81  The Declaration of Independence, paragraph 19 (declaration-023)
        For imposing Taxes on us without our Consent:
  0.63  The Declaration of Independence, paragraph 13 (declaration-017)
        He has kept among us, in times of peace, Standing Armies without the Consent of our
        legislatures.

By text: "a nation at war".
  0.76  The Gettysburg Address, paragraph 2 (gettysburg-002)
        Now we are engaged in a great civil war, testing whether that nation, or any nation so
        conceived and so dedicated, can long endure. We are met on a great battle-field of that
        war. We have come to dedicate a portion of that field, as a final resting place for those
        who here gave their lives that that nation might live. It is altogether fitting and proper
        that we should do this.
  0.66  Lincoln's Second Inaugural Address, paragraph 2 (inaugural-005)
        Both parties deprecated war; but one of them would make war rather than let the nation
        survive; and the other would accept war rather than let it perish. And the war came.

By text and metadata: "a nation at war", in a text from before 1800.
  0.61  The Declaration of Independence, paragraph 25 (declaration-029)
        He has abdicated Government here, by declaring us out of his Protection and waging War
        against us.

By metadata: the third paragraph of the Gettysburg Address.
     -  The Gettysburg Address, paragraph 3 (gettysburg-003)
        But, in a larger sense, we can not dedicate — we can not consecrate — we can not hallow —
        this ground. The brave men, living and dead, who struggled here, have consecrated it, far
        above our poor power to add or detract. The world will little note, nor long remember what
        we say here, but it can never forget what they did here. It is for us the living, rather,
        to be dedicated here to the unfinished work which they who fought here have thus far so
        nobly advanced.
     -  The Gettysburg Address, paragraph 3 (gettysburg-004)
        It is rather for us to be here dedicated to the great task remaining before us — that from
        these honored dead we take increased devotion to that cause for which they gave the last
        full measure of devotion — that we here highly resolve that these dead shall not have died
        in vain — that this nation, under God, shall have a new birth of freedom — and that
        government of the people, by the people, for the people, shall not perish from the earth.

The collection is deleted.
`

// withName returns an output with NAME for the name of the collection.
func withName(t *testing.T, out string) string {
	t.Helper()
	name := regexp.MustCompile(`liberty[0-9a-f]{16}`).FindString(out)
	require.NotEmpty(t, name, out)
	return strings.ReplaceAll(out, name, "NAME")
}

// noWait returns the settings of a run that finds everything embedded.
func noWait(t *testing.T) settings {
	t.Helper()
	return settings{dimensions: 384, pause: func(context.Context) error {
		t.Error("the run waits")
		return nil
	}}
}

func newServer(t *testing.T, opts ...zeptest.Option) (*zeptest.Server, *zep.Client) {
	t.Helper()
	server := zeptest.NewServer(opts...)
	t.Cleanup(server.Close)
	client, err := server.Client(zep.WithBackoff(0, 0))
	require.NoError(t, err)
	return server, client
}

// requireEmpty fails if the server has a collection.
func requireEmpty(t *testing.T, client *zep.Client) {
	t.Helper()
	collections, err := client.Collection.List(context.Background())
	require.NoError(t, err)
	require.Empty(t, collections)
}

func TestRun(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(context.Background(), &out, noWait(t)))
	greeting, rest, _ := strings.Cut(out.String(), "\n\n")
	assert.Regexp(t, `^Connected to Zep 0\.\d+\.\d+\S* .*\.$`, greeting)
	assert.Equal(t, transcript, withName(t, rest))
}

func TestTour_Queries(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	s := noWait(t)
	s.queries = []string{"who cut off our trade with the world?", "who plundered our seas?"}
	var out bytes.Buffer
	require.NoError(t, tour(context.Background(), &out, client, s))
	for _, want := range []string{
		"\nBy text: \"who cut off our trade with the world?\".\n  0.",
		"        For cutting off our Trade with all parts of the world:\n",
		"\nBy text: \"who plundered our seas?\".\n  0.",
		"        He has plundered our seas, ravaged our Coasts, burnt our towns,",
	} {
		assert.Contains(t, out.String(), want)
	}
	assert.Equal(t, 6, strings.Count(out.String(), "\n  0."))
	requireEmpty(t, client)
}

// TestTour_InParallel checks that two runs on one server have a collection each.
func TestTour_InParallel(t *testing.T) {
	t.Parallel()
	_, client := newServer(t)
	var out [2]bytes.Buffer
	failed := make(chan error, len(out))
	for i := range out {
		go func() { failed <- tour(context.Background(), &out[i], client, noWait(t)) }()
	}
	for range out {
		require.NoError(t, <-failed)
	}
	for i := range out {
		assert.Equal(t, transcript, withName(t, out[i].String()))
	}
	requireEmpty(t, client)
}

// TestTour_LostResponse checks that every document is stored once.
func TestTour_LostResponse(t *testing.T) {
	t.Parallel()
	server, client := newServer(t)
	server.Inject(zeptest.Fault{
		Method: "POST", Route: "/collection/{collectionName}/document", Cut: true, Apply: true,
	})
	var out bytes.Buffer
	require.NoError(t, tour(context.Background(), &out, client, noWait(t)))
	assert.Equal(t, transcript, withName(t, out.String()))
}

// TestTour_Failures checks that the error names the call, and that the collection is deleted.
func TestTour_Failures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, method, route, want string }{
		{"adding the collection", "POST", "/collection/{collectionName}", "/collection/liberty"},
		{
			"the upload", "POST", "/collection/{collectionName}/document",
			"uploaded 0 of 54 documents: ",
		},
		{"embedding", "GET", "/collection/{collectionName}", "collection/liberty"},
		{"a search", "POST", "/collection/{collectionName}/search", "/search"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, client := newServer(t)
			server.Inject(zeptest.Fault{
				Method: test.method,
				Route:  test.route,
				Status: 500,
				Body:   "disk full\n",
				Times:  4,
			})
			var out bytes.Buffer
			err := tour(context.Background(), &out, client, noWait(t))
			require.ErrorIs(t, err, zep.ErrServer)
			assert.ErrorContains(t, err, test.want)
			assert.Equal(t, 1, strings.Count(err.Error(), "disk full"), err)
			assert.NotContains(t, out.String(), "deleted")
			requireEmpty(t, client)
		})
	}
}

// TestTour_Unauthorized checks that the error is told once, without that of the cleanup.
func TestTour_Unauthorized(t *testing.T) {
	t.Parallel()
	server, _ := newServer(t, zeptest.WithAPIKey("secret"))
	client, err := server.Client(zep.WithAPIKey("another"))
	require.NoError(t, err)
	err = tour(context.Background(), new(bytes.Buffer), client, noWait(t))
	require.ErrorIs(t, err, zep.ErrUnauthorized)
	assert.NotContains(t, err.Error(), "\n")
}

// TestTour_Canceled checks that an interrupted run deletes its collection.
func TestTour_Canceled(t *testing.T) {
	t.Parallel()
	_, client := newServer(t, zeptest.WithDelayedEnrichment())
	ctx, cancel := context.WithCancel(context.Background())
	s := noWait(t)
	s.pause = func(ctx context.Context) error {
		cancel()
		return pause(ctx)
	}
	err := tour(ctx, new(bytes.Buffer), client, s)
	require.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "embedded 0 of 54 documents: ")
	requireEmpty(t, client)
}

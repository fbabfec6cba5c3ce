// Documents cuts three texts up, uploads the pieces into a collection, and searches it by what they say and by their metadata.
//
//	go run -C examples/documents .
//	go run -C examples/documents . "when may a people change its government?"
//
// The texts are the Declaration of Independence and two addresses of Lincoln's, all in the public domain: see texts/README.md.
// Arguments are searched for in place of the searches that come with the program.
//
// It starts a Zep server of its own, in this process. That one finds texts by the words that they share with the search, however
// common. With ZEP_API_URL set (and ZEP_API_KEY, if that server asks for one) the program uploads to that server, which finds texts
// by what they mean. -dimensions is then for that server's embedding model to decide: 384, the default, is Zep's own.
//
// The collection has a new name in every run, and is deleted in the end.
//
// A bar shows the progress if the standard error output is a terminal. It comes from a library that nothing else here needs, and so
// this program is a Go module of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/examples/internal/demo"
)

// settings are the flags, the arguments, and what is different in tests.
type settings struct {
	dimensions int
	queries    []string

	progress io.Writer                   // where bars are drawn; nil for nowhere
	pause    func(context.Context) error // between two looks at how far the server is
}

func main() {
	s := settings{pause: pause}
	flag.IntVar(&s.dimensions, "dimensions", 384, "`numbers` in an embedding of the server's model")
	flag.Parse()
	s.queries = flag.Args()
	if term.IsTerminal(int(os.Stderr.Fd())) {
		s.progress = os.Stderr
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, os.Stdout, s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// pause waits half a second, or until ctx ends.
func pause(ctx context.Context) error {
	timer := time.NewTimer(500 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func run(ctx context.Context, w io.Writer, s settings) error {
	client, stop, err := demo.Client() // yours: zep.NewClient()
	if err != nil {
		return err
	}
	defer stop()
	health, err := client.Health(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Zep %s is there.\n\n", health.Version)
	return tell(ctx, w, client, s)
}

// tell tells the story, and deletes the collection, however it ends.
func tell(ctx context.Context, w io.Writer, client *zep.Client, s settings) (err error) {
	name := fmt.Sprintf("liberty%016x", rand.Uint64()) // new on any server
	added := false
	defer func() {
		gone := client.Collection.Delete(context.WithoutCancel(ctx), name, zep.RequestTimeout(10*time.Second))
		if added { // or else it may never have been there
			err = errors.Join(err, gone)
		}
		if err == nil {
			fmt.Fprintf(w, "\nThe collection is deleted.\n")
		}
	}()
	_, err = client.Collection.Add(ctx, &zep.CreateCollectionRequest{
		Name:                name,
		Description:         "texts about liberty",
		EmbeddingDimensions: s.dimensions,
		IsAutoEmbedded:      true, // the server makes the embeddings
	})
	if err != nil {
		return err
	}
	added = true

	fmt.Fprintf(w, "%d texts go into the collection %s.\n", len(works), name)
	var documents []*zep.CreateDocumentRequest
	for _, work := range works {
		pieces := work.documents()
		fmt.Fprintf(w, "  cut       %s (%d) into %d documents\n", work.title, work.year, len(pieces))
		documents = append(documents, pieces...)
	}
	if err := upload(ctx, client, name, documents, s.progress); err != nil {
		return err
	}
	fmt.Fprintf(w, "  uploaded  %d documents, %d in a request\n", len(documents), batchSize)
	if err := awaitEmbeddings(ctx, client, name, len(documents), s); err != nil {
		return err
	}
	fmt.Fprintf(w, "  embedded  all of them\n")

	for _, search := range searches(s.queries) {
		fmt.Fprintf(w, "\n%s\n", search.title)
		if err := search.run(ctx, w, client, name); err != nil {
			return err
		}
	}
	return nil
}

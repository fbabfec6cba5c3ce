// Documents splits three texts, uploads the pieces into a collection, and searches it by text and
// by metadata.
//
//	go run -C examples/documents .
//	go run -C examples/documents . "when may a people change its government?"
//
// The texts are the Declaration of Independence and two addresses of Lincoln, all in the public
// domain: see texts/README.md. Arguments replace the searches that the program makes without any.
//
// Without ZEP_API_URL the program starts a Zep server in its own process, which scores texts by
// the words that they share with the search. With ZEP_API_URL (and ZEP_API_KEY, if that server
// requires one) it uploads to that server, which scores texts by their meaning. -dimensions has to
// be that of the server's embedding model: 384, the default, is Zep's own.
//
// The collection has a new name in every run, and is deleted at the end.
//
// If the standard error output is a terminal, a bar shows the progress. It needs a library that
// nothing else in the repository uses, so this program is a Go module of its own.
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

// settings has the flags, the arguments, and what tests replace.
type settings struct {
	dimensions int
	queries    []string

	progress io.Writer                   // for the bars; nil for none
	pause    func(context.Context) error // waits before the server is asked again
}

func main() {
	s := settings{pause: pause}
	flag.IntVar(&s.dimensions, "dimensions", 384, "`length` of an embedding of the server's model")
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
	client, stop, err := demo.Client() // your program calls zep.NewClient
	if err != nil {
		return err
	}
	defer stop()
	health, err := client.Health(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Connected to Zep %s.\n\n", health.Version)
	return tour(ctx, w, client, s)
}

// tour uploads and searches, and deletes the collection, even after a failure.
func tour(ctx context.Context, w io.Writer, client *zep.Client, s settings) (err error) {
	name := fmt.Sprintf("liberty%016x", rand.Uint64()) // unique on any server
	added := false
	defer func() {
		failure := client.Collection.Delete(context.WithoutCancel(ctx), name,
			zep.RequestTimeout(10*time.Second))
		if added { // otherwise there may be no collection
			err = errors.Join(err, failure)
		}
		if err == nil {
			fmt.Fprintf(w, "\nThe collection is deleted.\n")
		}
	}()
	_, err = client.Collection.Add(ctx, &zep.CreateCollectionRequest{
		Name:                name,
		Description:         "texts about liberty",
		EmbeddingDimensions: s.dimensions,
		IsAutoEmbedded:      true, // by the server
	})
	if err != nil {
		return err
	}
	added = true

	fmt.Fprintf(w, "Uploading %d texts into the collection %s.\n", len(works), name)
	var documents []*zep.CreateDocumentRequest
	for _, work := range works {
		pieces := work.documents()
		fmt.Fprintf(w, "  split     %s (%d) into %d documents\n",
			work.title, work.year, len(pieces))
		documents = append(documents, pieces...)
	}
	if err := upload(ctx, client, name, documents, s.progress); err != nil {
		return err
	}
	fmt.Fprintf(w, "  uploaded  %d documents, %d per request\n", len(documents), batchSize)
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

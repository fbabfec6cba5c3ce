package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/zep-go/zep"
)

// batchSize is how many documents go up in one call. A call takes any number of them, but only between calls can progress be shown.
const batchSize = 10

// upload puts the documents into the collection.
func upload(ctx context.Context, client *zep.Client, collection string, documents []*zep.CreateDocumentRequest, progress io.Writer) error {
	bar := newBar(progress, "uploading", len(documents))
	defer remove(bar)
	done := 0
	for batch := range slices.Chunk(documents, batchSize) {
		if _, err := client.Document.Add(ctx, collection, batch); err != nil {
			return fmt.Errorf("%d of %d documents are uploaded: %w", done, len(documents), err)
		}
		done += len(batch)
		_ = bar.Set(done)
	}
	return nil
}

// patience is how long the server may take to embed all documents.
const patience = 2 * time.Minute

// awaitEmbeddings waits until all documents are embedded. Zep does that after it has answered the upload, and a search finds what
// is embedded.
func awaitEmbeddings(ctx context.Context, client *zep.Client, name string, documents int, s settings) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	bar := newBar(s.progress, "embedding", documents)
	defer remove(bar)
	embedded := 0
	for {
		collection, err := client.Collection.Get(ctx, name)
		if err == nil {
			embedded = collection.DocumentEmbeddedCount
			_ = bar.Set(embedded)
			if embedded >= documents {
				return nil
			}
			err = s.pause(ctx)
		}
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("%d of %d documents are embedded (does the server's model make embeddings of %d numbers? see -dimensions): %w",
				embedded, documents, s.dimensions, err)
		case err != nil:
			return fmt.Errorf("%d of %d documents are embedded: %w", embedded, documents, err)
		}
	}
}

// newBar is a bar on w that disappears when it is full, or a silent one if w is nil.
func newBar(w io.Writer, what string, total int) *progressbar.ProgressBar {
	if w == nil {
		return progressbar.DefaultSilent(int64(total))
	}
	return progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription("  "+what),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetRenderBlankState(true), // from the start, not from the first answer on
		progressbar.OptionClearOnFinish(),
	)
}

// remove takes a bar away that is not full, so that an error has the line for itself.
func remove(bar *progressbar.ProgressBar) {
	if !bar.IsFinished() {
		_ = bar.Clear()
	}
}

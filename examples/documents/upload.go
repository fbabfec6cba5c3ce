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

// batchSize is the number of documents in a call. A call takes any number of them, but progress
// can be shown only between calls.
const batchSize = 10

// upload adds the documents to the collection.
func upload(
	ctx context.Context, client *zep.Client, collection string,
	documents []*zep.CreateDocumentRequest, progress io.Writer,
) error {
	bar := newBar(progress, "uploading", len(documents))
	defer remove(bar)
	done := 0
	for batch := range slices.Chunk(documents, batchSize) {
		if _, err := client.Document.Add(ctx, collection, batch); err != nil {
			return fmt.Errorf("uploaded %d of %d documents: %w", done, len(documents), err)
		}
		done += len(batch)
		_ = bar.Set(done)
	}
	return nil
}

// maxEmbeddingTime is how long the server may take to embed all documents.
const maxEmbeddingTime = 2 * time.Minute

// awaitEmbeddings waits until all documents are embedded. Zep embeds them after it has answered
// the upload, and searches need the embeddings.
func awaitEmbeddings(
	ctx context.Context, client *zep.Client, name string, documents int, s settings,
) error {
	ctx, cancel := context.WithTimeout(ctx, maxEmbeddingTime)
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
			return fmt.Errorf(
				"embedded %d of %d documents (is -dimensions %d right for the model?): %w",
				embedded, documents, s.dimensions, err)
		case err != nil:
			return fmt.Errorf("embedded %d of %d documents: %w", embedded, documents, err)
		}
	}
}

// newBar returns a bar on w that disappears when it is full, or a silent one if w is nil.
func newBar(w io.Writer, what string, total int) *progressbar.ProgressBar {
	if w == nil {
		return progressbar.DefaultSilent(int64(total))
	}
	return progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription("  "+what),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetRenderBlankState(true), // show it before the first response
		progressbar.OptionClearOnFinish(),
	)
}

// remove clears a bar that is not full, so that an error is printed on an empty line.
func remove(bar *progressbar.ProgressBar) {
	if !bar.IsFinished() {
		_ = bar.Clear()
	}
}

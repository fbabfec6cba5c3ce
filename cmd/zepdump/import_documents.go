package main

import (
	"context"
	"strings"

	"github.com/zep-go/zep"
)

// documents imports the documents, in batches of one collection.
func (im *importer) documents(ctx context.Context) error {
	targets, err := im.server.collectionsByName(ctx)
	if err != nil {
		return err
	}
	all := chunks(im.in, documents, func(d *documentRecord) string { return d.Collection })
	return inParallel(ctx, im.workers, all, func(ctx context.Context, chunk []*documentRecord) error {
		name := strings.ToLower(chunk[0].Collection)
		batch := documentBatch{im: im, collection: targets[name]}
		switch {
		case targets[name] == nil:
			batch.refusal = "the server does not have the collection"
		case im.isBlocked(collections, name):
			batch.refusal = "the collection is not that of the export"
		}
		if err := batch.run(ctx, chunk); err != nil {
			return err
		}
		im.progress.add(int64(len(chunk)), int64(len(chunk)))
		return nil
	})
}

// documentBatch is the import of some documents of one collection.
type documentBatch struct {
	im         *importer
	collection *zep.Collection // nil if the server does not have it
	refusal    string          // why no document can be imported, "" if they can
}

// run adds the documents that are not there. It looks first: of a batch with an id that is taken
// the server stores nothing.
func (b documentBatch) run(ctx context.Context, chunk []*documentRecord) error {
	var there map[string]*zep.Document
	if b.collection != nil {
		var err error
		there, err = b.im.server.findDocuments(ctx, b.collection.Name, chunk)
		if err != nil {
			return err
		}
	}
	var missing []*documentRecord
	for _, d := range chunk {
		var err error
		switch found := there[d.UUID]; {
		case b.refusal != "" && (found == nil || len(b.changes(d, found)) > 0):
			err = b.im.conflict(difference{
				Kind:       documents,
				ID:         documentID(&d.Document),
				In:         d.Collection,
				Difference: isRefused,
				Reason:     b.refusal,
			})
		case found == nil:
			missing = append(missing, d)
		default:
			err = b.compare(ctx, d, found)
		}
		if err != nil {
			return err
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return b.add(ctx, missing)
}

// changes compares a document with the one that is there.
func (b documentBatch) changes(d *documentRecord, there *zep.Document) map[string]change {
	return compareDocuments(&d.Document, there, !b.collection.IsAutoEmbedded)
}

// compare settles a document that is there. Only its metadata can be changed.
func (b documentBatch) compare(ctx context.Context, d *documentRecord, there *zep.Document) error {
	x := existing{
		kind: documents,
		in:   b.collection.Name,
		id:   documentID(&d.Document),
		compare: func() (map[string]change, error) {
			return b.changes(d, there), nil
		},
		overwrite: func() error {
			if len(d.Metadata) == 0 { // the API cannot empty it
				return nil
			}
			err := b.im.server.Document.Update(ctx, b.collection.Name, &zep.UpdateDocumentRequest{
				UUID:     there.UUID,
				Metadata: d.Metadata,
			})
			if err == nil {
				there, err = b.im.server.Document.Get(ctx, b.collection.Name, there.UUID)
			}
			return err
		},
	}
	err := b.im.server.again(ctx, func() error { return b.im.settle(x) })
	return b.im.refused(documents, b.collection.Name, x.id, err)
}

// add adds documents. If that fails they are added one by one, to find those that cannot be.
func (b documentBatch) add(ctx context.Context, missing []*documentRecord) error {
	reqs := make([]*zep.CreateDocumentRequest, len(missing))
	for i, d := range missing {
		reqs[i] = &zep.CreateDocumentRequest{
			DocumentID: documentID(&d.Document),
			Content:    d.Content,
			Metadata:   d.Metadata,
		}
		if !b.collection.IsAutoEmbedded {
			reqs[i].Embedding = d.Embedding
		}
	}
	err := b.im.server.again(ctx, func() error {
		_, err := b.im.server.Document.Add(ctx, b.collection.Name, reqs)
		return err
	})
	switch {
	case err == nil:
		b.im.counts[documents].added.Add(int64(len(missing)))
		return nil
	case len(missing) > 1 && isRefusal(err):
		for i := range missing {
			if err := b.run(ctx, missing[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	return b.im.refused(documents, b.collection.Name, documentID(&missing[0].Document), err)
}

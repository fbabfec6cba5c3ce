package main

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"math"
	"slices"

	"github.com/zep-go/zep"
)

// allMessages walks the messages of a session. Servers before v0.21 have no pages of them: their
// messages come in one response.
func allMessages(
	ctx context.Context, client *zep.Client, sessionID string,
) iter.Seq2[*zep.Message, error] {
	return func(yield func(*zep.Message, error) bool) {
		for message, err := range client.Message.All(ctx, sessionID) {
			if errors.Is(err, zep.ErrEndpointNotFound) {
				memory, err := lastMessages(ctx, client, sessionID, math.MaxInt32)
				for _, message := range memory.Messages {
					if !yield(message, nil) {
						return
					}
				}
				if err != nil {
					yield(nil, err)
				}
				return
			}
			if !yield(message, err) {
				return
			}
		}
	}
}

// lastMessages returns the last messages of a session, and its summary if it has one.
func lastMessages(
	ctx context.Context, client *zep.Client, sessionID string, n int,
) (*zep.Memory, error) {
	memory, err := client.Memory.Get(ctx, sessionID, &zep.GetMemoryOptions{LastN: n})
	switch {
	case errors.Is(err, zep.ErrNotFound): // before v0.20, a session without messages
		return new(zep.Memory), nil
	case err != nil:
		return new(zep.Memory), err
	}
	return memory, nil
}

// listCollections returns the collections by name: the server promises no order.
func listCollections(ctx context.Context, client *zep.Client) ([]*zep.Collection, error) {
	list, err := client.Collection.List(ctx)
	slices.SortFunc(list, func(a, b *zep.Collection) int { return cmp.Compare(a.Name, b.Name) })
	return list, err
}

// allDocuments walks the documents of a collection.
func allDocuments(
	ctx context.Context, client *zep.Client, collection string,
) iter.Seq2[*zep.Document, error] {
	return func(yield func(*zep.Document, error) bool) {
		var all []*zep.Document
		err := client.Do(ctx, zep.RawCall{
			Method: "POST",
			Route:  "/collection/{collectionName}/document/list/get",
			IDs:    []string{collection},
			Body:   struct{}{},
		}, &all, zep.RequestMaxAttempts(10))
		if errors.Is(err, zep.ErrNotFound) {
			return
		}
		if err != nil {
			yield(nil, err)
		}
		for _, document := range all {
			if !yield(document, nil) {
				return
			}
		}
	}
}

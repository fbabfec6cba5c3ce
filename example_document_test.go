package zep_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/zep-go/zep"
)

func ExampleDocumentService_Add() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	_, err := client.Collection.Add(ctx,
		&zep.CreateCollectionRequest{
			Name:                "fables",
			EmbeddingDimensions: 384,
			IsAutoEmbedded:      true,
		})
	if err != nil {
		log.Fatal(err)
	}

	// Any number of documents is split into batches that the server accepts. With a DocumentID,
	// an upload can be retried after its response was lost.
	uuids, err := client.Document.Add(ctx, "fables", []*zep.CreateDocumentRequest{
		{DocumentID: "fox", Content: "The fox and the grapes"},
		{DocumentID: "hare", Content: "The hare and the tortoise"},
	})
	if err != nil {
		log.Fatalf("%d stored before that: %v", len(uuids), err)
	}
	fmt.Println(len(uuids), "documents")

	_, err = client.Document.Add(ctx, "fables",
		[]*zep.CreateDocumentRequest{{Content: "Another"}, {DocumentID: "empty"}})
	fmt.Println(err)
	// Output:
	// 2 documents
	// zep: bad request: Document.Add: document 1 has neither Content nor Embedding
}

func ExampleDocumentService_Get() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	uuids := addFables(ctx, client)

	document, err := client.Document.Get(ctx, "fables", uuids[0])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(document.DocumentID, document.Content, document.Metadata)
	// Output:
	// fox The fox and the grapes map[animals:1]
}

func ExampleDocumentService_All() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addFables(ctx, client)

	for document, err := range client.Document.All(ctx, "fables") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(document.Content, len(document.Embedding))
	}
	// Unordered output:
	// The fox and the grapes 384
	// The hare and the tortoise 384
	// The ant and the cricket 384
}

func ExampleDocumentService_GetByUUIDs() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	uuids := addFables(ctx, client)

	documents, err := client.Document.GetByUUIDs(ctx, "fables", uuids[:2])
	if err != nil {
		log.Fatal(err)
	}
	for _, document := range documents {
		fmt.Println(document.Content)
	}
	// Unordered output:
	// The fox and the grapes
	// The hare and the tortoise
}

func ExampleDocumentService_GetByIDs() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addFables(ctx, client)

	// Documents that do not exist are missing from the result.
	documents, err := client.Document.GetByIDs(ctx, "fables", []string{"fox", "wolf"})
	if err != nil {
		log.Fatal(err)
	}
	for _, document := range documents {
		fmt.Println(document.DocumentID, document.Content)
	}
	// Output:
	// fox The fox and the grapes
}

func ExampleDocumentService_Update() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	uuids := addFables(ctx, client)

	err := client.Document.Update(ctx, "fables", &zep.UpdateDocumentRequest{
		UUID:     uuids[0],
		Metadata: zep.Metadata{"moral": "sour"}, // replaces the old metadata
	})
	if err != nil {
		log.Fatal(err)
	}

	document, err := client.Document.Get(ctx, "fables", uuids[0])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(document.DocumentID, document.Metadata)
	// Output:
	// fox map[moral:sour]
}

func ExampleDocumentService_UpdateAll() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	uuids := addFables(ctx, client)

	err := client.Document.UpdateAll(ctx, "fables", []*zep.UpdateDocumentRequest{
		{UUID: uuids[0], DocumentID: "fox-and-grapes"},
		{UUID: uuids[1], DocumentID: "hare-and-tortoise"},
	})
	if err != nil {
		log.Fatal(err)
	}

	documents, err := client.Document.GetByUUIDs(ctx, "fables", uuids)
	if err != nil {
		log.Fatal(err)
	}
	for _, document := range documents {
		fmt.Println(document.DocumentID)
	}
	// Unordered output:
	// fox-and-grapes
	// hare-and-tortoise
	// ant
}

func ExampleDocumentService_Delete() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	uuids := addFables(ctx, client)

	for range 2 { // deleting it again is not an error
		if err := client.Document.Delete(ctx, "fables", uuids[0]); err != nil {
			log.Fatal(err)
		}
	}

	_, err := client.Document.Get(ctx, "fables", uuids[0])
	fmt.Println(errors.Is(err, zep.ErrNotFound))
	// Output:
	// true
}

func ExampleDocumentService_DeleteAll() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	uuids := addFables(ctx, client)

	if err := client.Document.DeleteAll(ctx, "fables", uuids[:2]); err != nil {
		log.Fatal(err)
	}

	documents, err := client.Document.GetByUUIDs(ctx, "fables", uuids)
	if err != nil {
		log.Fatal(err)
	}
	for _, document := range documents {
		fmt.Println(document.DocumentID)
	}
	// Output:
	// ant
}

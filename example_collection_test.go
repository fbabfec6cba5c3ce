package zep_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/zep-go/zep"
)

// addFables adds a collection with three documents, and returns their UUIDs.
func addFables(ctx context.Context, client *zep.Client) []string {
	_, err := client.Collection.Add(ctx, &zep.CreateCollectionRequest{
		Name:                "fables",
		Description:         "By Aesop",
		EmbeddingDimensions: 384,
		IsAutoEmbedded:      true,
	})
	must(err)
	uuids, err := client.Document.Add(ctx, "fables", []*zep.CreateDocumentRequest{
		{
			DocumentID: "fox",
			Content:    "The fox and the grapes",
			Metadata:   zep.Metadata{"animals": 1},
		},
		{
			DocumentID: "hare",
			Content:    "The hare and the tortoise",
			Metadata:   zep.Metadata{"animals": 2},
		},
		{
			DocumentID: "ant",
			Content:    "The ant and the cricket",
			Metadata:   zep.Metadata{"animals": 2},
		},
	})
	must(err)
	return uuids
}

func ExampleCollectionService_Add() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	collection, err := client.Collection.Add(ctx, &zep.CreateCollectionRequest{
		Name:                "fables",
		Description:         "By Aesop",
		EmbeddingDimensions: 384,
		IsAutoEmbedded:      true, // by the server's model
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(collection.Name, collection.Description, collection.DocumentCount)

	_, err = client.Collection.Add(ctx,
		&zep.CreateCollectionRequest{Name: "my fables", EmbeddingDimensions: 384})
	fmt.Println(err)
	// Output:
	// fables By Aesop 0
	// zep: bad request: Collection.Add: Name "my fables" must be 3 to 40 letters and digits
}

func ExampleCollectionService_Get() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addFables(ctx, client)

	collection, err := client.Collection.Get(ctx, "Fables") // case does not matter
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(collection.Name, collection.DocumentCount)
	// Output:
	// fables 3
}

func ExampleCollectionService_Update() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addFables(ctx, client)

	collection, err := client.Collection.Update(ctx, &zep.UpdateCollectionRequest{
		Name:     "fables",
		Metadata: zep.Metadata{"language": "en"}, // replaces the old metadata
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(collection.Description, collection.Metadata)
	// Output:
	// By Aesop map[language:en]
}

func ExampleCollectionService_Delete() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addFables(ctx, client)

	if err := client.Collection.Delete(ctx, "fables"); err != nil {
		log.Fatal(err)
	}

	_, err := client.Collection.Get(ctx, "fables")
	fmt.Println(errors.Is(err, zep.ErrNotFound))
	// Output:
	// true
}

func ExampleCollectionService_List() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addFables(ctx, client)

	collections, err := client.Collection.List(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, collection := range collections {
		fmt.Println(collection.Name)
	}
	// Output:
	// fables
}

func ExampleCollectionService_CreateIndex() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addFables(ctx, client)

	const force = false // true builds the index even for few documents
	if err := client.Collection.CreateIndex(ctx, "fables", force); err != nil {
		log.Fatal(err)
	}

	collection, err := client.Collection.Get(ctx, "fables")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("indexed:", collection.IsIndexed)
	// Output:
	// indexed: true
}

func ExampleCollectionService_Search() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addFables(ctx, client)

	found, err := client.Collection.Search(ctx, "fables", &zep.SearchDocumentsRequest{
		Text:     "tortoise and hare",
		Metadata: zep.SearchFilter{Where: zep.JSONPath(`$[*] ? (@.animals == 2)`)}.Metadata(),
		Limit:    1,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, result := range found.Results {
		fmt.Println(result.DocumentID, result.Content)
	}
	// Output:
	// hare The hare and the tortoise
}

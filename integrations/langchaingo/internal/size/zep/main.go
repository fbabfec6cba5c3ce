// Zep is a program that uses the client alone.
package main

import (
	"context"
	"fmt"

	"github.com/zep-go/zep"
)

func main() {
	client, err := zep.NewClient()
	if err != nil {
		panic(err)
	}
	memory, err := client.Memory.Get(context.Background(), "session", nil)
	fmt.Println(memory, err)
	found, err := client.Collection.Search(context.Background(), "library",
		&zep.SearchDocumentsRequest{Text: "text"})
	fmt.Println(found, err)
}

package zep_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/zep-go/zep"
)

func ExampleSessionService_GetOrAdd() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addUsers(ctx, client, "jane", "joe")

	// The method of the last request tells what became of the session.
	enter := func(userID string) {
		var response *http.Response
		session, err := client.Session.GetOrAdd(ctx, &zep.CreateSessionRequest{
			SessionID: "books",
			UserID:    userID,
			Metadata:  zep.Metadata{"topic": "books of " + userID},
		}, zep.CaptureResponse(&response))
		switch {
		case errors.Is(err, zep.ErrAlreadyExists):
			fmt.Println("of another user")
		case err != nil:
			log.Fatal(err)
		case response.Request.Method == http.MethodPost:
			fmt.Println("added:", session.Metadata["topic"])
		case response.Request.Method == http.MethodPatch:
			fmt.Println("brought back:", session.Metadata["topic"])
		default:
			fmt.Println("there:", session.Metadata["topic"])
		}
	}
	enter("jane")
	enter("jane")
	enter("joe")
	if err := client.Session.Delete(ctx, "books"); err != nil {
		log.Fatal(err)
	}
	enter("joe")
	enter("jane")
	// Output:
	// added: books of jane
	// there: books of jane
	// of another user
	// of another user
	// brought back: books of jane
}

func ExampleSessionService_List() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addSessions(ctx, client, "a", "b", "c")

	// Cursor is the ID of the last record of the page before. Without options, List returns
	// all sessions: client.Session.List(ctx, nil).
	first, err := client.Session.List(ctx, &zep.ListOptions{Limit: 2})
	if err != nil {
		log.Fatal(err)
	}
	last := first[len(first)-1]
	second, err := client.Session.List(ctx, &zep.ListOptions{Limit: 2, Cursor: last.ID})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(first), "and then", len(second))
	// Output:
	// 2 and then 1
}

func ExampleSessionService_ListChunked() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addSessions(ctx, client, "a", "b", "c", "d", "e")

	for sessions, err := range client.Session.ListChunked(ctx, 2) {
		if err != nil {
			log.Fatal(err)
		}
		for _, session := range sessions {
			fmt.Print(session.SessionID, " ")
		}
		fmt.Println("and a request for more")
	}
	// Output:
	// a b and a request for more
	// c d and a request for more
	// e and a request for more
}

func ExampleSessionService_All() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addSessions(ctx, client, "a", "b", "c", "d", "e")

	for session, err := range client.Session.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(session.SessionID)
		if session.SessionID == "c" {
			break // cancels the request for the next page
		}
	}
	// Output:
	// a
	// b
	// c
}

func ExampleSessionService_AllParallel() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addSessions(ctx, client, "a", "b", "c")

	for session, err := range client.Session.AllParallel(ctx, 4) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(session.SessionID) // in any order
	}
	// Unordered output:
	// a
	// b
	// c
}

func ExampleSessionService_Add() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addUsers(ctx, client, "jane")

	session, err := client.Session.Add(ctx, &zep.CreateSessionRequest{
		SessionID: "lesson",
		UserID:    "jane", // optional
		Metadata:  zep.Metadata{"topic": "verbs"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(session.SessionID, session.UserID, session.Metadata["topic"])

	_, err = client.Session.Add(ctx,
		&zep.CreateSessionRequest{SessionID: "other", UserID: "nobody"})
	fmt.Println(err)
	// Output:
	// lesson jane verbs
	// zep: POST /api/v1/sessions: 400: bad request: user does not exist with user_id: nobody
}

func ExampleSessionService_Get() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addSessions(ctx, client, "lesson")

	session, err := client.Session.Get(ctx, "lesson")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s is nobody's: %t\n", session.SessionID, session.UserID == "")

	_, err = client.Session.Get(ctx, "party")
	fmt.Println(errors.Is(err, zep.ErrNotFound))
	// Output:
	// lesson is nobody's: true
	// true
}

func ExampleSessionService_Update() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addSessions(ctx, client, "lesson")

	session, err := client.Session.Update(ctx, &zep.UpdateSessionRequest{
		SessionID: "lesson",
		Metadata:  zep.Metadata{"topic": "verbs"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(session.Metadata)
	// Output:
	// map[topic:verbs]
}

func ExampleSessionService_Delete() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addSessions(ctx, client, "lesson")

	if err := client.Session.Delete(ctx, "lesson"); err != nil {
		log.Fatal(err)
	}

	// A deleted session keeps its id. An update restores the session.
	_, err := client.Session.Add(ctx, &zep.CreateSessionRequest{SessionID: "lesson"})
	fmt.Println(errors.Is(err, zep.ErrAlreadyExists))
	// Output:
	// true
}

package zep_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/zep-go/zep"
)

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

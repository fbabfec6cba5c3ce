package zep_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/zep-go/zep"
)

func ExampleUserService_Add() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	user, err := client.User.Add(ctx, &zep.CreateUserRequest{
		UserID:    "jane@example.com",
		Email:     "jane@example.com",
		FirstName: "Jane",
		LastName:  "Smith",
		Metadata:  zep.Metadata{"plan": "pro"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(user.ID, user.UserID, user.Metadata["plan"])

	_, err = client.User.Add(ctx, &zep.CreateUserRequest{UserID: "jane@example.com"})
	fmt.Println(errors.Is(err, zep.ErrAlreadyExists))
	fmt.Println(err)
	// Output:
	// 1 jane@example.com pro
	// true
	// zep: POST /api/v1/user: 400: bad request: user already exists with user_id: jane@example.com
}

func ExampleUserService_Get() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addUsers(ctx, client, "jane")

	user, err := client.User.Get(ctx, "jane")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(user.UserID)

	_, err = client.User.Get(ctx, "nobody")
	fmt.Println(errors.Is(err, zep.ErrNotFound))

	_, err = client.User.Get(ctx, "../sessions")
	fmt.Println(errors.Is(err, zep.ErrInvalidID))
	// Output:
	// jane
	// true
	// true
}

func ExampleUserService_GetOrAdd() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()

	for _, name := range []string{"Jane", "Joan"} {
		user, err := client.User.GetOrAdd(ctx, &zep.CreateUserRequest{
			UserID:    "jane",
			FirstName: name,
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(user.ID, user.FirstName) // as stored
	}
	// Output:
	// 1 Jane
	// 1 Jane
}

func ExampleUserService_Upsert() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()

	for _, user := range []zep.CreateUserRequest{
		{UserID: "jane", FirstName: "Jane", Metadata: zep.Metadata{"plan": "free", "seats": 1}},
		{UserID: "jane", Metadata: zep.Metadata{"plan": "pro"}}, // a key that is left out stays
	} {
		stored, err := client.User.Upsert(ctx, &user)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(stored.FirstName, stored.Metadata)
	}
	// Output:
	// Jane map[plan:free seats:1]
	// Jane map[plan:pro seats:1]
}

func ExampleUserService_Update() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	_, err := client.User.Add(ctx, &zep.CreateUserRequest{
		UserID: "jane", Email: "jane@example.com",
		Metadata: zep.Metadata{"plan": "free", "limits": map[string]any{"seats": 1}},
	})
	if err != nil {
		log.Fatal(err)
	}

	// Metadata is merged, and so are the maps in it. Fields that are left out are not changed.
	user, err := client.User.Update(ctx, &zep.UpdateUserRequest{
		UserID:   "jane",
		Metadata: zep.Metadata{"plan": "pro", "limits": map[string]any{"disk": "10 GB"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(user.Email)
	fmt.Println(user.Metadata)
	// Output:
	// jane@example.com
	// map[limits:map[disk:10 GB seats:1] plan:pro]
}

func ExampleUserService_Delete() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addUsers(ctx, client, "jane")

	if err := client.User.Delete(ctx, "jane"); err != nil {
		log.Fatal(err)
	}

	err := client.User.Delete(ctx, "jane")
	fmt.Println(errors.Is(err, zep.ErrNotFound))
	// Output:
	// true
}

func ExampleUserService_GetSessions() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addUsers(ctx, client, "jane")
	for _, id := range []string{"monday", "tuesday"} {
		_, err := client.Session.Add(ctx, &zep.CreateSessionRequest{SessionID: id, UserID: "jane"})
		if err != nil {
			log.Fatal(err)
		}
	}

	sessions, err := client.User.GetSessions(ctx, "jane")
	if err != nil {
		log.Fatal(err)
	}
	for _, session := range sessions {
		fmt.Println(session.SessionID, session.UserID)
	}
	// Unordered output:
	// monday jane
	// tuesday jane
}

func ExampleUserService_List() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addUsers(ctx, client, "a", "b", "c")

	// Cursor is the ID of the last record of the page before. Without options, List returns
	// all users: client.User.List(ctx, nil).
	first, err := client.User.List(ctx, &zep.ListOptions{Limit: 2})
	if err != nil {
		log.Fatal(err)
	}
	last := first[len(first)-1]
	second, err := client.User.List(ctx, &zep.ListOptions{Limit: 2, Cursor: last.ID})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(first), "and then", len(second))
	// Output:
	// 2 and then 1
}

func ExampleUserService_ListChunked() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addUsers(ctx, client, "a", "b", "c", "d", "e")

	for users, err := range client.User.ListChunked(ctx, 2) {
		if err != nil {
			log.Fatal(err)
		}
		for _, user := range users {
			fmt.Print(user.UserID, " ")
		}
		fmt.Println("and a request for more")
	}
	// Output:
	// a b and a request for more
	// c d and a request for more
	// e and a request for more
}

func ExampleUserService_All() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addUsers(ctx, client, "a", "b", "c", "d", "e")

	for user, err := range client.User.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(user.UserID)
		if user.UserID == "c" {
			break // cancels the request for the next page
		}
	}
	// Output:
	// a
	// b
	// c
}

func ExampleUserService_AllParallel() {
	ctx := context.Background()
	server, client := newServer()
	defer server.Close()
	addUsers(ctx, client, "a", "b", "c")

	for user, err := range client.User.AllParallel(ctx, 4) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(user.UserID) // in any order
	}
	// Unordered output:
	// a
	// b
	// c
}

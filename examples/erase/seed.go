package main

import (
	"context"
	"fmt"

	"github.com/zep-go/zep"
)

// seed adds users of two tenants, with sessions and messages.
func seed(ctx context.Context, client *zep.Client) error {
	for _, user := range []struct {
		id, tenant string
		sessions   int
	}{
		{"ann", "acme", 2},
		{"bob", "globex", 1},
		{"carol", "acme", 1},
		{"dave", "acme", 0},
		{"eve", "globex", 2},
	} {
		_, err := client.User.Add(ctx, &zep.CreateUserRequest{
			UserID:   user.id,
			Metadata: zep.Metadata{"tenant": user.tenant},
		})
		if err != nil {
			return err
		}
		for i := range user.sessions {
			sessionID := fmt.Sprintf("%s-%d", user.id, i+1)
			if err := seedSession(ctx, client, user.id, sessionID); err != nil {
				return err
			}
		}
	}
	return nil
}

func seedSession(ctx context.Context, client *zep.Client, userID, sessionID string) error {
	_, err := client.Session.Add(ctx, &zep.CreateSessionRequest{
		SessionID: sessionID,
		UserID:    userID,
	})
	if err != nil {
		return err
	}
	return client.Memory.Add(ctx, sessionID, &zep.AddMemoryRequest{Messages: []*zep.Message{
		{Role: zep.RoleUser, Content: "My name is " + userID + "."},
		{Role: zep.RoleAssistant, Content: "Hello " + userID + "!"},
	}})
}

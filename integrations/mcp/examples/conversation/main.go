// Conversation shows what a language model sees of Zep: an MCP client calls the tools of the MCP
// server, which keeps the memory on a Zep server.
//
//	go run -C integrations/mcp ./examples/conversation
//
// All three run in this process. An MCP client of yours starts the command zep-mcp, which talks to
// a Zep server of yours.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	zepmcp "github.com/zep-go/zep/integrations/mcp"
	"github.com/zep-go/zep/zeptest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer) error {
	zepServer := zeptest.NewServer() // your program uses a Zep server of yours
	defer zepServer.Close()
	zepClient, err := zepServer.Client() // and calls zep.NewClient
	if err != nil {
		return err
	}
	defer zepClient.CloseIdleConnections()
	server, err := zepmcp.NewServer(zepClient, &zepmcp.Options{UserID: "jane@example.com"})
	if err != nil {
		return err
	}
	serverSide, clientSide := mcp.NewInMemoryTransports()
	if _, err := server.Connect(ctx, serverSide, nil); err != nil {
		return err
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "conversation"}, nil)
	session, err := client.Connect(ctx, clientSide, nil)
	if err != nil {
		return err
	}
	defer session.Close()

	fmt.Fprintln(w, "Tools:")
	for tool, err := range session.Tools(ctx, nil) {
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "  %s: %s\n", tool.Name, tool.Title)
	}
	for _, c := range calls {
		if err := c.make(ctx, w, session); err != nil {
			return err
		}
	}
	return nil
}

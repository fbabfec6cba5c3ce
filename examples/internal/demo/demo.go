// Package demo gives the examples a server to talk to.
package demo

import (
	"os"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/zeptest"
)

// Client returns a client for the server at ZEP_API_URL or, if that is not set, for a new server
// in this process. Call stop when done with it. A program of your own calls [zep.NewClient].
func Client() (client *zep.Client, stop func(), err error) {
	if os.Getenv("ZEP_API_URL") != "" {
		client, err = zep.NewClient()
		return client, func() {}, err
	}
	server := zeptest.NewServer()
	client, err = server.Client()
	return client, server.Close, err
}

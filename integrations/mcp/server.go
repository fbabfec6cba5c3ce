// Package zepmcp is an MCP server for Zep v0.x: it gives language models tools to remember
// messages, to recall and search them, to search documents, and to list sessions and collections.
// The command cmd/zep-mcp serves them over the standard input and output. A program of your own
// can serve them over any transport of the SDK:
//
//	client, err := zep.NewClient()
//	...
//	server, err := zepmcp.NewServer(client, nil)
//	...
//	err = server.Run(ctx, &mcp.StdioTransport{})
package zepmcp

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/zep-go/zep"
)

// DefaultMaxBytes is the default of [Options.MaxBytes].
const DefaultMaxBytes = 32 << 10

// The bounds of Options.MaxBytes.
const (
	leastMaxBytes    = 4 << 10
	greatestMaxBytes = 1 << 20
)

// Options are the options of a server.
type Options struct {
	// ReadOnly leaves out the tools that write.
	ReadOnly bool

	// UserID confines the memory tools to the sessions of one user: they find no others, and
	// remember makes new sessions for this user, whom it adds if there is none. If it is empty,
	// the tools find every session. Collections of documents belong to no user: the tools
	// search all of them.
	UserID string

	// MaxBytes is the size of the largest answer of a tool, in bytes of its JSON: 32 KiB by
	// default, at least 4 KiB and at most 1 MiB. An answer that is cut says how to get the rest.
	MaxBytes int

	// Logger gets what goes wrong, with the errors of the Zep client, which the tools reword for
	// the model. It gets no texts of messages and no keys. nil logs nothing.
	Logger *slog.Logger
}

// NewServer returns an MCP server with the tools over a Zep client. It sends nothing. nil options
// are the defaults. The error names the option that cannot be used.
//
// The tools honour the cancellation of a call. [mcp.Server.Run] does not cancel the calls under
// way when its context ends: it waits for them.
func NewServer(client *zep.Client, options *Options) (*mcp.Server, error) {
	if client == nil {
		return nil, errors.New("zepmcp: the client is nil")
	}
	s := &server{client: client, maxBytes: DefaultMaxBytes, log: slog.New(slog.DiscardHandler)}
	if options != nil {
		s.readOnly, s.userID = options.ReadOnly, options.UserID
		if options.MaxBytes != 0 {
			s.maxBytes = options.MaxBytes
		}
		if options.Logger != nil {
			s.log = options.Logger
		}
	}
	if s.maxBytes < leastMaxBytes || s.maxBytes > greatestMaxBytes {
		return nil, fmt.Errorf("zepmcp: MaxBytes is %d, must be %d to %d",
			s.maxBytes, leastMaxBytes, greatestMaxBytes)
	}
	if why := invalidID(s.userID); s.userID != "" && why != "" {
		return nil, fmt.Errorf("zepmcp: UserID %s", why)
	}
	s.mcp = mcp.NewServer(
		&mcp.Implementation{Name: "zep-mcp", Title: "Zep memory", Version: Version()},
		&mcp.ServerOptions{
			Instructions: s.instructions(),
			Logger:       s.log,
			Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}},
		})
	s.addTools()
	return s.mcp, nil
}

// Version returns the version of this module in the running program, such as "v1.2.3", or "devel"
// if it was not built from a released version.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	for _, module := range append(info.Deps, &info.Main) {
		if module.Path == modulePath && module.Replace == nil && module.Version != "(devel)" &&
			module.Version != "" {
			return module.Version
		}
	}
	return "devel"
}

const modulePath = "github.com/zep-go/zep/integrations/mcp"

// server has what the tools need.
type server struct {
	mcp      *mcp.Server
	client   *zep.Client
	readOnly bool
	userID   string
	maxBytes int
	log      *slog.Logger
}

// instructions tells the model how the tools belong together.
func (s *server) instructions() string {
	text := "Long-term memory in Zep. A session is one conversation: recall reads its latest " +
		"messages, search_memory finds messages in it by meaning, and list_sessions shows which " +
		"sessions there are. Documents are kept in collections: list_collections shows them, and " +
		"search_documents searches one."
	if s.readOnly {
		return text + " The memory can be read only."
	}
	return text + " remember stores messages, and makes the session if there is none."
}

// addTools adds the tools to the MCP server.
func (s *server) addTools() {
	if !s.readOnly {
		s.addRemember()
	}
	s.addRecall()
	s.addSearchMemory()
	s.addSearchDocuments()
	s.addListSessions()
	s.addListCollections()
}

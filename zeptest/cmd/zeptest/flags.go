package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/zep-go/zep/zeptest"
)

// settings is what the flags say.
type settings struct {
	addr    string
	options []zeptest.Option
	log     bool
	grace   time.Duration // for the requests that are under way at the end
	usage   string
}

// parse reads the flags. Its error is one line. apiKey is the key where the flag is not given.
func parse(args []string, apiKey string) (settings, error) {
	s := settings{grace: 5 * time.Second}
	flags := flag.NewFlagSet("zeptest", flag.ContinueOnError)
	flags.StringVar(&s.addr, "addr", "127.0.0.1:8000", "`host:port` to listen on")
	key := flags.String("api-key", "", "`key` that requests need (default $ZEP_API_KEY)")
	dimensions := flags.Int("dimensions", 384, "`length` of the embeddings")
	version := flags.String("server-version", "0.27.2", "`version` of Zep to behave as")
	flags.BoolVar(&s.log, "log", false, "log requests to the standard error output")

	var usage bytes.Buffer
	fmt.Fprintf(&usage, "zeptest serves a Zep server that keeps everything in memory.\n\n")
	flags.SetOutput(&usage)
	flags.PrintDefaults()
	s.usage = usage.String()

	flags.SetOutput(io.Discard)
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	flags.Visit(func(f *flag.Flag) {
		if f.Name == "api-key" {
			apiKey = *key // also if it is empty
		}
	})
	err := s.setOptions(apiKey, *dimensions, *version)
	return s, err
}

// setOptions makes the options of the server. Those of zeptest panic if their value is wrong.
func (s *settings) setOptions(apiKey string, dimensions int, version string) (err error) {
	defer func() {
		if wrong := recover(); wrong != nil {
			err = fmt.Errorf("%s", strings.TrimPrefix(fmt.Sprint(wrong), "zeptest: "))
		}
	}()
	s.options = []zeptest.Option{
		zeptest.WithAPIKey(apiKey),
		zeptest.WithEmbeddingDimensions(dimensions),
		zeptest.WithServerVersion(version),
	}
	return nil
}

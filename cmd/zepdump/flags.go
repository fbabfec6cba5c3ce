package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// parse parses the flags of a command. They may also come behind the folder.
func (c *command) parse(name string, args []string) error {
	flags := flag.NewFlagSet("zepdump "+name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error gets one line, not the list of flags
	flags.StringVar(&c.url, "url", "",
		"`URL` of the server; by default ZEP_API_URL, or http://localhost:8000")
	flags.StringVar(&c.key, "key", "",
		"API `key`; by default ZEP_API_KEY, which no list of processes shows")
	flags.IntVar(&c.workers, "workers", 4, "`number` of requests at once")
	flags.StringVar(&c.only, "only", "",
		"`kinds` of records; by default all: "+strings.Join(allKinds, ","))
	switch name {
	case "export":
		flags.StringVar(&c.dir, "o", "zep-export",
			"`folder` of the export; a partial export that it has is completed")
		flags.BoolVar(&c.gzip, "gzip", false, "compress the files")
	case "import":
		flags.BoolVar(&c.overwrite, "overwrite", false,
			"change records of the server that differ to what the export has")
		flags.StringVar(&c.conflicts, "conflicts", "",
			"`file` for the records that are not imported as they are; by default "+
				"conflicts.jsonl in dir")
		flags.IntVar(&c.batch, "batch", batchMessages, "`number` of messages in a request; a server "+
			"whose language model answers at once may need fewer than it has connections "+
			"to its database")
	case "verify":
		flags.BoolVar(&c.extra, "extra", false, "also report users, sessions, collections and "+
			"documents that the export does not have")
	}
	if name != "export" {
		flags.StringVar(&c.timeKey, "time-key", "", "`key` of the metadata of messages under which "+
			"import stores the times of messages, such as created_at; by default none")
		flags.StringVar(&c.embeddings, "embeddings", "server", "`who` embeds the documents of "+
			"collections that are embedded automatically: server, or carry, which makes their "+
			"collections ones that are not, and imports the exported embeddings")
	}
	if err := c.parseArgs(flags, args, name != "export"); err != nil {
		return err
	}
	return c.check(name)
}

// check checks the values of the flags.
func (c *command) check(name string) (err error) {
	switch {
	case c.workers < 1:
		return errors.New("-workers: must be at least 1")
	case name == "import" && c.batch < 1:
		return errors.New("-batch: must be at least 1")
	case name != "export" && c.embeddings != "server" && c.embeddings != "carry":
		return fmt.Errorf("-embeddings: %q is neither server nor carry", c.embeddings)
	}
	c.kinds, err = parseKinds(c.only)
	return err
}

// parseArgs parses the flags before and behind the folder.
func (c *command) parseArgs(
	flags *flag.FlagSet, args []string, wantsDir bool,
) error {
	var rest []string
	for {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				flags.SetOutput(c.stdout)
				flags.Usage()
			}
			return err
		}
		if flags.NArg() == 0 {
			break
		}
		rest, args = append(rest, flags.Arg(0)), flags.Args()[1:]
	}
	if wantsDir && len(rest) == 1 {
		c.dir = rest[0]
	} else if wantsDir || len(rest) > 0 {
		return fmt.Errorf("%s: %d arguments, see -h", flags.Name(), len(rest))
	}
	return nil
}

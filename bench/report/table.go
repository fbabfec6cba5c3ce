package main

import (
	"fmt"
	"strings"
)

// clients are the columns.
var clients = []struct{ id, name string }{
	{"floor", "net/http, encoding/json"},
	{"retryablehttp", "go-retryablehttp"},
	{"resty", "resty v3"},
	{"zep", "**zep**"},
	{"zep-logger", "zep, with a logger"},
}

// A row is one kind of work.
type row struct {
	name   string
	form   func(float64) string
	figure func(r *Results, client string) (float64, bool)
	// relative says how a figure relates to the floor's, of this row or of what against says; nil
	// for not at all.
	relative func(value, floor float64) string
	against  func(*Results, string) (float64, bool)
}

// unit makes a row of one benchmark's figures, whose units have the clients' names in them.
func unit(benchmark, suffix string) func(*Results, string) (float64, bool) {
	return func(r *Results, client string) (float64, bool) { return r.Get(benchmark, client+suffix) }
}

// peer makes a row of figures of benchmarks that have the clients' names in theirs.
func peer(benchmark, unit string) func(*Results, string) (float64, bool) {
	return func(r *Results, client string) (float64, bool) { return r.Get(benchmark+"/peer="+client, unit) }
}

// only makes a row of one client's figure.
func only(who string, figure func(*Results, string) (float64, bool), as string) func(*Results, string) (float64, bool) {
	return func(r *Results, client string) (float64, bool) {
		if client != who {
			return 0, false
		}
		return figure(r, as)
	}
}

var (
	chunks = unit("SideBySideWalk", "-ns")
	slow   = peer("RealServer/how=chunks-100", "ns/op")
)

var rows = []row{
	{"Get a user", duration, unit("SideBySideCall/work=Get", "-ns"), times, nil},
	{"… allocations", count, peer("Call/work=Get", "allocs/op"), more, nil},
	{"Add a user", duration, unit("SideBySideCall/work=Add", "-ns"), times, nil},
	{"… allocations", count, peer("Call/work=Add", "allocs/op"), more, nil},
	{"Update a user", duration, unit("SideBySideCall/work=Update", "-ns"), times, nil},
	{"… allocations", count, peer("Call/work=Update", "allocs/op"), more, nil},
	{"Get 50 messages", duration, unit("SideBySideCall/work=Memory", "-ns"), times, nil},
	{"… allocations", count, peer("Call/work=Memory", "allocs/op"), more, nil},
	{
		"Get 500 documents with embeddings of 384 numbers", duration,
		unit("SideBySideCall/work=Documents", "-ns"), times, nil,
	},
	{"… allocations", count, peer("Call/work=Documents", "allocs/op"), more, nil},
	{"64 goroutines get users: calls a second", count, unit("ManyCalls", "-calls/s"), times, nil},
	{"… connections opened", count, unit("ManyCalls", "-connections"), nil, nil},
	{
		"… calls a second, with a transport tuned like zep's", count,
		only("floor", unit("ManyCalls", "-calls/s"), "floor-tuned"), nil, nil,
	},
	{"Walk 100,000 users in chunks of 1,000", duration, chunks, times, nil},
	{"… `All`", duration, only("zep", unit("SideBySideWalk", "-ns"), "zep-all"), times, chunks},
	{
		"Walk 1,000,000 users in chunks of 1,000: live heap", mebibytes,
		peer("Memory/how=chunks-1000", "live-MiB"), nil, nil,
	},
	{"… `All`", mebibytes, peer("Memory/how=all", "live-MiB"), nil, nil},
	{"Walk 200,000 documents, 1 GB", duration, peer("AllDocuments", "ns/op"), times, nil},
	{"… live heap", mebibytes, peer("AllDocuments", "live-MiB"), nil, nil},
	{"Slow server, 100,000 users in chunks of 100", duration, slow, times, nil},
	{"… in chunks of 1,000", duration, peer("RealServer/how=chunks-1000", "ns/op"), times, slow},
	{"… in one request", duration, peer("RealServer/how=one-request", "ns/op"), times, slow},
	{"… `All`", duration, peer("RealServer/how=all", "ns/op"), times, slow},
	{
		"… the first user, in one request", milliseconds,
		peer("RealServer/how=one-request", "first-ms"), nil, nil,
	},
	{
		"… the first user, in chunks of 1,000", milliseconds,
		peer("RealServer/how=chunks-1000", "first-ms"), nil, nil,
	},
	{"… the first user, `All`", milliseconds, peer("RealServer/how=all", "first-ms"), nil, nil},
	{
		"10,000 metadata updates by 64 goroutines", duration,
		peer("MetadataUpdates/latency=0ms/how=default", "ns/op"), nil, nil,
	},
	{
		"… `WithParallelUpdates`", duration,
		peer("MetadataUpdates/latency=0ms/how=parallel", "ns/op"), nil, nil,
	},
	{
		"… with 5 ms of latency", duration,
		peer("MetadataUpdates/latency=5ms/how=default", "ns/op"), nil, nil,
	},
	{
		"… with 5 ms of latency, `WithParallelUpdates`", duration,
		peer("MetadataUpdates/latency=5ms/how=parallel", "ns/op"), nil, nil,
	},
}

// section returns the chart, the table, and where the figures are from: what a page shows.
func section(r *Results, chart string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "![Time of calls and walks, by client](%s)\n\n", chart)
	b.WriteString("| |")
	for _, client := range clients {
		fmt.Fprintf(&b, " %s |", client.name)
	}
	b.WriteString("\n| --- |" + strings.Repeat(" ---: |", len(clients)) + "\n")
	whole := false // whether the row that a "…" goes on from was shown
	for _, row := range rows {
		line, any := "", false
		against := row.figure
		if row.against != nil {
			against = row.against
		}
		floor, hasFloor := against(r, "floor")
		for _, client := range clients {
			value, found := row.figure(r, client.id)
			cell := "–"
			if found {
				any = true
				cell = row.form(value)
				if row.relative != nil && hasFloor && (client.id != "floor" || row.against != nil) {
					cell += " " + row.relative(value, floor)
				}
			}
			line += " " + cell + " |"
		}
		goesOn := strings.HasPrefix(row.name, "…")
		if any && (whole || !goesOn) {
			fmt.Fprintf(&b, "| %s |%s\n", row.name, line)
		}
		if !goesOn {
			whole = any
		}
	}
	fmt.Fprintf(&b, "\n%s\n", provenance(r))
	return b.String()
}

// provenance says what was measured, and where and when.
func provenance(r *Results) string {
	m := r.Machine
	return "Median times, all clients by turns in one process with the server, on the same work; in brackets against net/http by hand, " +
		"in chunks of 1,000, or of 100 on the slow server: that one takes 17 ms for a list and 12 µs for each user in it, as Zep 0.27.2 does " +
		"with 100,000 users. " +
		fmt.Sprintf("Measured on %s: %s, %s cores, %s (%s/%s), %s.", known(m["date"]), known(m["cpu"]), known(m["cores"]), known(m["os"]),
			known(m["goos"]), known(m["goarch"]), known(m["go"]))
}

func known(value string) string {
	if value == "" {
		return "(unknown)"
	}
	return value
}

// resultsFile is RESULTS.md: the section, and what else was measured.
func resultsFile(r *Results) string {
	var b strings.Builder
	b.WriteString("# Results\n\nMade by `go run ./report`. How: see [README.md](README.md).\n\n")
	b.WriteString(section(r, "chart.svg"))
	list := func(title, prefix, text string, columns []column) {
		var lines strings.Builder
		for _, name := range r.Names {
			rest, found := strings.CutPrefix(name, prefix)
			if !found {
				continue
			}
			fmt.Fprintf(&lines, "| %s |", strings.NewReplacer("/", ", ", "=", " ").Replace(rest))
			for _, c := range columns {
				cell := "–"
				if value, found := r.Get(name, c.unit); found {
					cell = c.form(value)
				}
				fmt.Fprintf(&lines, " %s |", cell)
			}
			lines.WriteString("\n")
		}
		if lines.Len() == 0 {
			return
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| |", title, text)
		for _, c := range columns {
			fmt.Fprintf(&b, " %s |", c.name)
		}
		b.WriteString("\n| --- |" + strings.Repeat(" ---: |", len(columns)) + "\n" + lines.String())
	}
	list("One call without a network", "InMemory/work=", "What the clients themselves take: a transport answers from memory.",
		[]column{{"time", "ns/op", duration}, {"bytes", "B/op", count}, {"allocations", "allocs/op", count}})
	list("How pages grow", "Growth/",
		"Walks over 100,000 users of the slow server, by the first page, the factor, and the largest page. With page 170ms it takes ten "+
			"times as long for a list, as with a million users.",
		[]column{{"time", "ns/op", duration}, {"first user", "first-ms", milliseconds}, {"live heap", "live-MiB", mebibytes}})
	list("In parallel", "AllParallel/",
		"`AllParallel` with 8 workers against `All`, over 100,000 users. Latency is the network's; with model real, the server takes as long "+
			"as the slow one, for two lists at once.",
		[]column{{"`All`", "all-ns", duration}, {"parallel", "parallel-ns", duration}, {"factor", "factor", twoDigits}})
	return b.String()
}

type column struct {
	name, unit string
	form       func(float64) string
}

// duration shows nanoseconds in three digits.
func duration(ns float64) string {
	for _, unit := range []struct {
		ns   float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}} {
		if ns >= unit.ns*0.9995 {
			return digits(ns/unit.ns) + " " + unit.name
		}
	}
	return digits(ns) + " ns"
}

func milliseconds(v float64) string { return duration(v * 1e6) }

func digits(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// count shows a number with its thousands apart.
func count(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func mebibytes(v float64) string { return fmt.Sprintf("%.1f MiB", v) }
func twoDigits(v float64) string { return fmt.Sprintf("%.2f", v) }

func times(value, floor float64) string { return fmt.Sprintf("(%.2f×)", value/floor) }
func more(value, floor float64) string  { return fmt.Sprintf("(%+.0f)", value-floor) }

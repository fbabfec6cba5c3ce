package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Results has the figures that go test -bench printed.
type Results struct {
	// Machine has the lines about the machine: go, os, goos, goarch, cpu, cores, date.
	Machine map[string]string

	// Names has the benchmarks in their order, without "Benchmark" and the number of processors.
	Names []string

	figures map[string]map[string][]float64 // by name and unit, one figure for each run
}

var (
	machineLine = regexp.MustCompile(`^(go|os|goos|goarch|cpu|cores|date): (.+)$`)
	benchLine   = regexp.MustCompile(`^Benchmark(\S+?)(-\d+)?\s+\d+\s+(.+)$`)
	failure     = regexp.MustCompile(`^(--- FAIL|FAIL|panic:)`)
)

// parse reads the output of go test -bench. It joins runs of the same benchmark (-count).
func parse(r io.Reader) (*Results, error) {
	results := &Results{
		Machine: map[string]string{},
		figures: map[string]map[string][]float64{},
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if failure.MatchString(line) {
			return nil, fmt.Errorf("a benchmark failed: %s", line)
		}
		if m := machineLine.FindStringSubmatch(line); m != nil {
			if old := results.Machine[m[1]]; old != "" && old != m[2] {
				return nil, fmt.Errorf("figures of two machines or days: %s is %s and %s",
					m[1], old, m[2])
			}
			results.Machine[m[1]] = m[2]
		} else if m := benchLine.FindStringSubmatch(line); m != nil {
			if err := results.add(m[1], strings.Fields(m[3])); err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(results.Names) == 0 {
		return nil, errors.New("no benchmark in the input")
	}
	return results, nil
}

// add adds the figures of a line, each with its unit.
func (r *Results) add(name string, fields []string) error {
	if len(fields)%2 != 0 {
		return errors.New("a figure without a unit")
	}
	if r.figures[name] == nil {
		r.Names = append(r.Names, name)
		r.figures[name] = map[string][]float64{}
	}
	for pair := range slices.Chunk(fields, 2) {
		value, err := strconv.ParseFloat(pair[0], 64)
		if err != nil {
			return err
		}
		r.figures[name][pair[1]] = append(r.figures[name][pair[1]], value)
	}
	return nil
}

// Get returns a figure of a benchmark: the median of all runs.
func (r *Results) Get(name, unit string) (median float64, found bool) {
	values := slices.Sorted(slices.Values(r.figures[name][unit]))
	n := len(values)
	if n == 0 {
		return 0, false
	}
	return (values[n/2] + values[(n-1)/2]) / 2, true
}

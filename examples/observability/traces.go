package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// collector is a trace.SpanExporter that keeps the spans.
type collector struct {
	mu    sync.Mutex
	spans []trace.ReadOnlySpan
}

func (c *collector) ExportSpans(_ context.Context, spans []trace.ReadOnlySpan) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans = append(c.spans, spans...)
	return nil
}

func (c *collector) Shutdown(context.Context) error { return nil }

// print prints the spans as trees.
func (c *collector) print(w io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortStableFunc(c.spans, func(a, b trace.ReadOnlySpan) int {
		return a.StartTime().Compare(b.StartTime())
	})
	c.printBelow(w, oteltrace.SpanID{}, "")
}

// printBelow prints the spans that have a span as their parent.
func (c *collector) printBelow(w io.Writer, parent oteltrace.SpanID, indent string) {
	for _, span := range c.spans {
		if span.Parent().SpanID() == parent {
			fmt.Fprintf(w, "%s%s\n", indent, describe(span))
			c.printBelow(w, span.SpanContext().SpanID(), indent+"  ")
		}
	}
}

// describe returns the line of a span: its name and duration, whether it failed, and some of its
// attributes.
func describe(span trace.ReadOnlySpan) string {
	duration := span.EndTime().Sub(span.StartTime()).Round(time.Microsecond)
	line := fmt.Sprintf("%s (%v)", span.Name(), duration)
	if span.Status().Code == codes.Error {
		line += " Error"
	}
	for _, a := range span.Attributes() {
		switch a.Key {
		case "http.request.resend_count", "http.response.status_code", "error.type":
			line += fmt.Sprintf(" %s=%s", a.Key, a.Value.String())
		}
	}
	return line
}

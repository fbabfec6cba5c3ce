package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
)

// metrics are what OpenTelemetry measures, served for Prometheus.
type metrics struct {
	provider *metric.MeterProvider
	server   *http.Server
	url      string
}

// newMetrics serves the metrics on a free port of the loopback interface.
func newMetrics() (*metrics, error) {
	registry := prometheus.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(registry),
		exporter.WithoutScopeInfo(), exporter.WithoutTargetInfo())
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") // yours has a port that Prometheus knows
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	m := &metrics{
		provider: metric.NewMeterProvider(metric.WithReader(reader)),
		server:   &http.Server{Handler: mux},
		url:      "http://" + listener.Addr().String() + "/metrics",
	}
	go m.server.Serve(listener) // until close
	return m, nil
}

func (m *metrics) close(ctx context.Context) {
	_ = m.server.Close()
	_ = m.provider.Shutdown(context.WithoutCancel(ctx))
}

// sameLabels are those that have one value here: they are left out of what is printed.
var sameLabels = regexp.MustCompile(
	`(network_protocol_version|server_address|server_port)="[^"]*",?`)

// print scrapes the metrics as Prometheus does, and prints how often each attribute set was
// measured.
func (m *metrics) print(ctx context.Context, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	fmt.Fprintf(w, "\nMetrics at %s, without the labels of the server:\n", m.url)
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "http_client_request_duration_seconds_count") {
			fmt.Fprintln(w, sameLabels.ReplaceAllString(lines.Text(), ""))
		}
	}
	return lines.Err()
}

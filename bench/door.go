//go:build linux

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"causeway/internal/catalog"
	"causeway/internal/ingest"
	"causeway/internal/stream"
)

// doorArgument makes the bench's own binary a server of the door alone.
const doorArgument = "door-alone"

// serveDoor serves the data routes with everything up to the fsync and nothing
// behind it: the same rooms as in the product, without the pipeline and the
// store. It is what "server CPU at the door" is measured on, because the
// operating system accounts for processes and not for rooms.
func serveDoor(ctx context.Context, folder string, profiled bool) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	metrics := prometheus.NewRegistry()
	streams, err := stream.Open(ctx, stream.Options{Dir: filepath.Join(folder, "streams"), Log: log, Metrics: metrics})
	if err != nil {
		return err
	}
	defer streams.Close()
	kv, err := streams.KeyValue(ctx, "catalog")
	if err != nil {
		return err
	}
	configured, err := catalog.Open(ctx, catalog.Options{KV: kv, MasterKey: [32]byte{1}, Version: "bench", Log: log})
	if err != nil {
		return err
	}
	defer configured.Close()
	doc, findings := catalog.Decode("bench.yaml", []byte(configuration("")), os.LookupEnv)
	if len(findings) > 0 {
		return fmt.Errorf("the bench's configuration: %v", findings)
	}
	if _, err := configured.Apply(ctx, doc, "bench", 0); err != nil {
		return err
	}
	doors, err := ingest.New(ingest.Options{Snapshot: configured.Snapshot, Append: streams.Append, Metrics: metrics, Log: log})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if profiled {
		fmt.Fprintf(os.Stderr, "profiles: http://%s\n", listener.Addr())
	}
	fmt.Fprintf(os.Stderr, "the door alone serves http://%s\n", listener.Addr())
	routes := doors.Routes()
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/readyz":
			w.WriteHeader(http.StatusOK)
		case profiled && r.URL.Path == "/debug/pprof/profile":
			pprof.Profile(w, r)
		default:
			routes.ServeHTTP(w, r)
		}
	}))
}

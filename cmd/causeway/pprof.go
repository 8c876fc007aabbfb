package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// serveProfiles serves the runtime's profiles on a loopback address, for who
// works on Causeway itself: they show memory, and taking them costs time, so
// there is no way to offer them to a network. close ends it.
func serveProfiles(w io.Writer, address string) (close func() error, err error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, usageError(fmt.Sprintf("--pprof: %v", err))
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, usageError(fmt.Sprintf("--pprof: %q is no loopback address", host))
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--pprof: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends with Close
	fmt.Fprintf(w, "profiles: http://%s\n", listener.Addr())
	return server.Close, nil
}

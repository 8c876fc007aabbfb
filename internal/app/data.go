package app

import (
	"net/http"

	"causeway/internal/flags"
)

// dataSide is what SDKs and Segment reach: what they read is of one room, what
// they send of another.
func (a *App) dataSide(ingest http.Handler) (http.Handler, error) {
	server, err := flags.New(flags.Options{Snapshot: a.catalog.Snapshot, Metrics: a.metrics, Log: a.log, Strangers: a.strangers})
	if err != nil {
		return nil, err
	}
	read := server.Routes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if flags.Serves(r) {
			read.ServeHTTP(w, r)
			return
		}
		ingest.ServeHTTP(w, r)
	}), nil
}

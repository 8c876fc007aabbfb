package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"time"

	"causeway/internal/api"
)

// health answers the operators' routes and leaves the rest to next.
func (a *App) health(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/livez":
			answer(w, http.StatusOK, map[string]string{"status": "alive"})
		case "/readyz", "/healthz":
			a.readyz(w, r)
		case "/version":
			answer(w, http.StatusOK, map[string]string{"version": a.opt.Version, "go": runtime.Version()})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone; nobody to tell
}

// readyz answers 200 when everything needed to accept and process is well,
// else 503; the body lists each check.
func (a *App) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 4*time.Second)
	defer cancel()
	checks := a.Ready(ctx)
	status, word := http.StatusOK, "ready"
	for _, c := range checks {
		if !c.OK {
			status, word = http.StatusServiceUnavailable, "not ready"
		}
	}
	answer(w, status, map[string]any{"status": word, "checks": checks})
}

// Ready checks what is needed to accept and process.
func (a *App) Ready(ctx context.Context) []api.Check {
	check := func(name string, err error) api.Check {
		if err != nil {
			return api.Check{Name: name, Detail: err.Error()}
		}
		return api.Check{Name: name, OK: true}
	}
	var draining error
	if a.draining.Load() {
		draining = fmt.Errorf("the server is stopping")
	}
	return []api.Check{
		check("running", draining),
		check("disk", a.checkDisk()),
		check("streams", a.streams.Health(ctx)),
		check("store", a.store.Check(ctx)),
		check("pipeline", a.pipeline.Stalled()),
	}
}

func (a *App) checkDisk() error {
	free, err := freeBytes(a.opt.Data)
	if err != nil {
		return fmt.Errorf("look at the disk of the data folder: %w", err)
	}
	if free < a.opt.MinFreeDisk {
		return fmt.Errorf("the disk of the data folder has %d MiB left, fewer than the %d MiB to keep free: make room or shorten retention", free>>20, a.opt.MinFreeDisk>>20)
	}
	return nil
}

// index tells who opens the address in a browser what this is.
func (a *App) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, `Causeway %s

A self-hosted experimentation data hub: Segment calls in, FME events and
attributes to look up; feature-flag impressions out to Segment.

Data routes    POST /v1/batch and the other routes of Segment's tracking API
               POST /segment/destination        Segment, by API key
               POST /segment/webhook/{name}     Segment, as a webhook
               POST /api/testImpressions/bulk   Split SDKs (and its siblings)
               POST /hooks/{name}               FME's and the Synchronizer's hooks
Admin API      /admin/v1/...  (Bearer token)    described in /admin/v1/openapi.yaml
Operation      /livez  /readyz  /metrics  /version

In a shell: causeway tail, causeway trace MESSAGE_ID, causeway export
`, a.opt.Version)
}

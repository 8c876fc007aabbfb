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

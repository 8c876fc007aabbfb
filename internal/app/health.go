package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
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
	checks := a.Ready(r.Context())
	status, word := http.StatusOK, "ready"
	for _, c := range checks {
		if !c.OK {
			status, word = http.StatusServiceUnavailable, "not ready"
		}
	}
	answer(w, status, map[string]any{"status": word, "checks": checks})
}

// checkWait bounds one check. A disk that hangs holds who asks it for as long
// as it likes; who asks for readiness must hear a "no" before it gives up.
const checkWait = 3 * time.Second

// A probe is one check of readiness. While it hangs nobody starts it again, so
// that whoever asks every few seconds leaves one goroutine behind and not many.
type probe struct {
	name  string
	check func(context.Context) error

	mu      sync.Mutex
	running chan struct{} // closed when the check is done; nil: none runs
	since   time.Time
	last    error
}

// ask runs the check, or waits with the one that runs, as long as ctx allows.
func (p *probe) ask(ctx context.Context) api.Check {
	p.mu.Lock()
	if p.running == nil {
		done := make(chan struct{})
		p.running, p.since = done, time.Now()
		go func() {
			own, cancel := context.WithTimeout(context.Background(), checkWait)
			defer cancel()
			err := p.check(own)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.last, p.running = err, nil
			close(done)
		}()
	}
	done, since := p.running, p.since
	p.mu.Unlock()
	select {
	case <-done:
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.last != nil {
			return api.Check{Name: p.name, Detail: p.last.Error()}
		}
		return api.Check{Name: p.name, OK: true}
	case <-ctx.Done():
		return api.Check{Name: p.name, Detail: fmt.Sprintf("no answer for %s: its disk hangs, or is very slow", time.Since(since).Round(100*time.Millisecond))}
	}
}

// startProbes makes the checks of readiness, in the order in which they are
// shown.
func (a *App) startProbes(context.Context) error {
	at := func(check func() error) func(context.Context) error {
		return func(context.Context) error { return check() }
	}
	a.ready = []*probe{
		{name: "running", check: at(a.checkRunning)},
		{name: "disk", check: at(a.checkDisk)},
		{name: "streams", check: a.streams.Health},
		{name: "store", check: a.store.Check},
		{name: "pipeline", check: at(a.pipeline.Stalled)},
	}
	return nil
}

// Ready checks what is needed to accept and process.
func (a *App) Ready(ctx context.Context) []api.Check {
	ctx, cancel := context.WithTimeout(ctx, checkWait+500*time.Millisecond)
	defer cancel()
	checks := make([]api.Check, len(a.ready))
	var asked sync.WaitGroup
	for i, p := range a.ready {
		asked.Go(func() { checks[i] = p.ask(ctx) })
	}
	asked.Wait()
	return checks
}

func (a *App) checkRunning() error {
	if a.draining.Load() {
		return errors.New("the server is stopping")
	}
	return nil
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

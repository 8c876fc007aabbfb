package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"causeway/internal/auth"
	"causeway/internal/tail"
)

// slowWriter is a caller who takes nothing for a while.
type slowWriter struct {
	*httptest.ResponseRecorder
	wait   time.Duration
	writes int
}

func (w *slowWriter) Write(p []byte) (int, error) {
	w.writes++
	time.Sleep(w.wait)
	return w.ResponseRecorder.Write(p)
}

// tailing runs a stream in a bubble of its own time and returns what was
// written when the bubble's work is done.
func tailing(t *testing.T, wait time.Duration, act func(*tail.Hub)) (written string, writes int) {
	t.Helper()
	hub := new(tail.Hub)
	s := &Server{feed: tail.NewFeed(hub, 1), closed: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	w := &slowWriter{httptest.NewRecorder(), wait, 0}
	r := &request{Request: httptest.NewRequest(http.MethodGet, "/admin/v1/tail", nil).WithContext(ctx), w: w, query: url.Values{}, who: auth.AdminToken}
	done := make(chan error)
	go func() { done <- s.tail(r) }()
	synctest.Wait()
	act(hub)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	s.CloseTails()
	synctest.Wait()
	if hub.Watched() {
		t.Error("the tail is still watched")
	}
	return w.Body.String(), w.writes
}

func TestAHeartbeatComesEveryFifteenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, _ := tailing(t, 0, func(*tail.Hub) { time.Sleep(46 * time.Second) })
		if strings.Count(got, ": still here\n\n") != 3 {
			t.Errorf("got %q", got)
		}
	})
}

func TestASlowCallerIsToldWhatItMissedAndSlowsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, _ := tailing(t, time.Minute, func(hub *tail.Hub) {
			began := time.Now()
			for range 5000 {
				hub.Publish(tail.Item{Kind: tail.Call})
				synctest.Wait()
			}
			if time.Since(began) != 0 {
				t.Error("publishing waited")
			}
			time.Sleep(5 * time.Minute)
		})
		if strings.Count(got, "event: item") != 512 || !strings.Contains(got, `data: {"missed":4488}`) {
			t.Errorf("%d items; %.200q", strings.Count(got, "event: item"), got)
		}
	})
}

func TestWritesAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, writes := tailing(t, 0, func(hub *tail.Hub) {
			for range 100 {
				hub.Publish(tail.Item{Kind: tail.Call})
				time.Sleep(time.Millisecond)
			}
			time.Sleep(time.Second)
		})
		if strings.Count(got, "event: item") != 100 || writes > 4 {
			t.Errorf("%d items in %d writes", strings.Count(got, "event: item"), writes)
		}
	})
}

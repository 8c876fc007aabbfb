package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"causeway/internal/reason"
	"causeway/internal/store"
	"causeway/internal/stream"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// slowStore takes its time, and fails at first.
type slowStore struct {
	takes  time.Duration
	fails  int
	writes [][]store.Delivery
}

func (s *slowStore) WriteDeliveries(ctx context.Context, attempts []store.Delivery) error {
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.fails > 0 {
		s.fails--
		return errors.New("disk full")
	}
	s.writes = append(s.writes, slices.Clone(attempts))
	return nil
}

func (s *slowStore) ids() []string {
	var ids []string
	for _, write := range s.writes {
		for _, d := range write {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// side runs something beside a test until the test calls the returned function.
func side(run func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

func TestASlowStoreGetsTheNewestAttemptsAndTheOldestAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &slowStore{takes: time.Minute}
		lost := prometheus.NewCounter(prometheus.CounterOpts{Name: "lost"})
		a := newAttempts(s, lost, slog.New(slog.DiscardHandler))
		stop := side(a.run)
		a.add(store.Delivery{ID: "first"})
		time.Sleep(time.Second) // now it is being written
		from := time.Now()
		for i := range maxAttempts + 100 {
			a.add(store.Delivery{ID: fmt.Sprint(i)})
		}
		if took := time.Since(from); took != 0 {
			t.Errorf("adding took %s", took)
		}
		time.Sleep(3 * time.Minute)
		stop()
		ids := s.ids()
		if len(ids) != maxAttempts+1 || ids[0] != "first" || ids[1] != "100" || ids[len(ids)-1] != fmt.Sprint(maxAttempts+99) {
			t.Errorf("%d recorded, from %s, %s", len(ids), ids[0], ids[1])
		}
		if got := testutil.ToFloat64(lost); got != 100 {
			t.Errorf("%v counted as lost, want 100", got)
		}
	})
}

func TestAttemptsThatCouldNotBeWrittenAreWrittenLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &slowStore{fails: 2}
		a := newAttempts(s, prometheus.NewCounter(prometheus.CounterOpts{Name: "lost"}), slog.New(slog.DiscardHandler))
		stop := side(a.run)
		a.add(store.Delivery{ID: "1"})
		time.Sleep(time.Second)
		a.add(store.Delivery{ID: "2"})
		time.Sleep(time.Minute)
		synctest.Wait()
		if !slices.Equal(s.ids(), []string{"1", "2"}) {
			t.Errorf("recorded %v", s.ids())
		}
		a.add(store.Delivery{ID: "3"})
		stop() // and what is left is written on the way out
		if !slices.Equal(s.ids(), []string{"1", "2", "3"}) {
			t.Errorf("recorded %v after stopping", s.ids())
		}
	})
}

func TestStatesAreSavedWhenTheyMatterAndNotMoreOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var saved []stream.DeliveryState
		fails := 1
		b := newBoard(func(_ context.Context, s stream.DeliveryState) error {
			if fails > 0 {
				fails--
				return stream.ErrUnavailable
			}
			saved = append(saved, s)
			return nil
		}, slog.New(slog.DiscardHandler))
		stop := side(b.run)
		post := func(state string, more stream.DeliveryState) {
			more.Source, more.State, more.Since = "prod", state, time.Now()
			b.post(more)
		}
		for range 100 { // at work, but nothing to tell
			post(stream.DeliveryRunning, stream.DeliveryState{})
			post(stream.DeliveryIdle, stream.DeliveryState{})
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if len(saved) != 1 || saved[0].State != stream.DeliveryIdle {
			t.Errorf("saved %+v, want idle once, though the first save failed", saved)
		}
		post(stream.DeliveryPaused, stream.DeliveryState{Reason: reason.CredentialsRefused})
		synctest.Wait()
		if last := saved[len(saved)-1]; len(saved) != 2 || last.State != stream.DeliveryPaused {
			t.Errorf("saved %+v, want paused at once", last)
		}
		post(stream.DeliveryRunning, stream.DeliveryState{})
		synctest.Wait()
		if len(saved) != 3 {
			t.Error("the end of the trouble was not saved at once")
		}
		b.forget("prod")
		time.Sleep(time.Minute)
		stop()
		if len(saved) != 3 {
			t.Errorf("saved %+v after it was forgotten", saved[3:])
		}
	})
}

package app

import (
	"context"
	"time"
)

// startRetention deletes what is old, some minutes after the start, when a
// clock that was wrong at boot has been set, and then each hour.
func (a *App) startRetention(context.Context) error {
	a.background("retention", func(ctx context.Context) error {
		watch := watchClock(time.Now())
		for wait := 10 * time.Minute; ; wait = time.Hour {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(wait):
			}
			now := time.Now()
			if ahead := watch.ahead(now.Round(0), now.Sub(watch.began)); ahead > clockTrust {
				a.log.Error("nothing is deleted: the clock of this machine jumped ahead, and by it everything is old; set it right, or restart if it is right now",
					"ahead", ahead.Round(time.Second))
				continue
			}
			if err := a.store.Retain(ctx, a.opt.Retention, now); err != nil && ctx.Err() == nil {
				a.log.Error("retention failed; it is tried again in an hour", "err", err)
			}
		}
	})
	return nil
}

// clockTrust is how far the clock may go ahead of the time that passed. What
// an hour deletes too early was about to be deleted.
const clockTrust = time.Hour

// clockWatch compares the clock on the wall with the time that really passes:
// a clock that jumps a year ahead must not make ninety days of data old.
type clockWatch struct {
	began time.Time // with its monotonic reading
	wall  time.Time // what the clock on the wall says it should be at began
}

func watchClock(now time.Time) *clockWatch { return &clockWatch{began: now, wall: now.Round(0)} }

// ahead is by how much the wall's clock went ahead of the time that passed
// since began. A clock that was set back only keeps data longer, so it is
// believed from then on.
func (w *clockWatch) ahead(wall time.Time, passed time.Duration) time.Duration {
	ahead := wall.Sub(w.wall) - passed
	if ahead < 0 {
		w.wall = w.wall.Add(ahead)
		return 0
	}
	return ahead
}

package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"causeway/internal/store"
)

// ErrFailed means that a calculation did not come to an end. The log has the
// cause.
var ErrFailed = errors.New("the calculation failed or was cancelled")

// Calculation is how far a calculation is.
type Calculation struct {
	Running bool      `json:"running"` // false: it waits for others
	Started time.Time `json:"started"`
	Done    int       `json:"done"` // questions to the store
	Of      int       `json:"of"`
	Doing   string    `json:"doing,omitempty"`
}

// calculation is one that waits or runs.
type calculation struct {
	cancel context.CancelFunc
	ended  chan struct{} // closed at the end
	failed bool          // holds after ended
	shown  Calculation   // under Service.mu
}

// Calculation reports on the calculation of an experiment that is under way;
// false: there is none.
func (s *Service) Calculation(project, experiment string) (Calculation, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.underWay[s.id(project, experiment)]
	if !ok {
		return Calculation{}, false
	}
	return c.shown, true
}

// Cancel ends the calculation of an experiment that is under way; false: there
// is none.
func (s *Service) Cancel(project, experiment string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.underWay[s.id(project, experiment)]
	if ok {
		c.cancel()
	}
	return ok
}

// Recalculate computes an experiment now, all of it, and returns its results.
// Who asks while it is under way waits for the same calculation. When ctx ends
// the caller stops waiting and the calculation goes on. Errors: ErrUnknown,
// ErrFailed.
func (s *Service) Recalculate(ctx context.Context, project, experiment string) (Results, error) {
	c, err := s.begin(project, experiment, true)
	if err != nil {
		return Results{}, err
	}
	select {
	case <-c.ended:
	case <-ctx.Done():
		return Results{}, ctx.Err()
	}
	if c.failed {
		return Results{}, ErrFailed
	}
	return s.Results(ctx, project, experiment)
}

// Start begins to compute an experiment, if it is not under way, and says how
// far it is. Errors: ErrUnknown.
func (s *Service) Start(project, experiment string) (Calculation, error) {
	c, err := s.begin(project, experiment, true)
	if err != nil {
		return Calculation{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.shown, nil
}

// begin starts a calculation, or finds the one that is under way. all asks
// about the past, too, even where earlier results know it.
func (s *Service) begin(project, experiment string, all bool) (*calculation, error) {
	plan, err := s.Plan(project, experiment)
	if err != nil {
		return nil, err
	}
	key := id{plan.Project, plan.ID}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.underWay[key]; ok {
		return c, nil
	}
	if s.life.Err() != nil {
		return nil, ErrFailed // the server stops
	}
	ctx, cancel := context.WithCancel(s.life)
	c := &calculation{cancel: cancel, ended: make(chan struct{}), shown: Calculation{Started: s.now().UTC()}}
	s.underWay[key] = c
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		defer cancel()
		err := s.run(ctx, key, c, all)
		s.mu.Lock()
		c.failed = err != nil
		delete(s.underWay, key)
		delete(s.failedAt, key)
		if err != nil {
			s.failedAt[key] = s.now()
		}
		s.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			s.log.Error("an experiment could not be computed; it is tried again in a few minutes", "project", key.project, "experiment", key.experiment, "err", err)
		}
		close(c.ended)
	}()
	return c, nil
}

// run waits for its turn, computes and keeps the reading.
func (s *Service) run(ctx context.Context, key id, c *calculation, all bool) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.turn }()
	plan, err := s.Plan(key.project, key.experiment) // as it stands now
	if err != nil {
		return err
	}
	earlier, err := s.last(ctx, plan)
	if err != nil {
		return err
	}
	started := s.now()
	if at, ok := s.next(plan, earlier); !all && (!ok || started.Before(at)) {
		return nil // another one came first while this one was being decided
	}
	a := asker{store: s.store, plan: plan, now: started.UTC().Truncate(time.Microsecond), earlier: earlier,
		step: func(done, of int, doing string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			c.shown.Running, c.shown.Done, c.shown.Of, c.shown.Doing = true, done, of, doing
		},
		failed: func(metric string, err error) {
			s.log.Error("a metric could not be computed", "project", key.project, "experiment", key.experiment, "metric", metric, "err", err)
		},
	}
	if all || ended(plan, started) {
		a.earlier = nil
	}
	ev, err := a.evidence(ctx)
	if err != nil {
		return err
	}
	results := Conclude(plan, ev, earlier, s.version)
	if err := s.keepReading(ctx, plan, &results); err != nil {
		return err
	}
	s.took.Observe(s.now().Sub(started).Seconds())
	return nil
}

// ended reports whether nothing more can count.
func ended(plan Plan, now time.Time) bool {
	return !plan.End.IsZero() && !now.Before(plan.End.Add(plan.buffer()))
}

// keepReading stores results and makes them the newest.
func (s *Service) keepReading(ctx context.Context, plan Plan, r *Results) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the results: %w", err)
	}
	err = s.store.SaveReading(ctx, store.Reading{Project: plan.Project, Experiment: plan.ID, ComputedAt: r.ComputedAt, Body: body})
	if err != nil {
		return fmt.Errorf("keep the results: %w", err)
	}
	s.mu.Lock()
	s.newest[id{plan.Project, plan.ID}] = r
	s.mu.Unlock()
	s.success.WithLabelValues(plan.Project, plan.ID).Set(float64(r.ComputedAt.Unix()))
	s.measureRatio(plan, r)
	return nil
}

func (s *Service) measureRatio(plan Plan, r *Results) {
	mismatch := 0.0
	for _, ratio := range r.Health.SampleRatios {
		if ratio.State == RatioMismatch {
			mismatch = 1
		}
	}
	s.mismatch.WithLabelValues(plan.Project, plan.ID).Set(mismatch)
}

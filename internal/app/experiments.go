package app

import (
	"context"
	"fmt"
	"time"

	"causeway/internal/experiment"
	"causeway/internal/stream"
)

// startExperiments computes experiments when they are due.
func (a *App) startExperiments(context.Context) error {
	var err error
	a.experiments, err = experiment.New(experiment.Options{
		Snapshot: a.catalog.Snapshot, Store: a.store, Metrics: a.metrics, Log: a.log, Version: a.opt.Version, Keep: a.opt.Retention.Impressions,
	})
	if err != nil {
		return err
	}
	a.background("experiments", a.experiments.Run)
	return nil
}

// ComputeExperiments computes every experiment, once all that was accepted
// before the call is stored.
func (a *App) ComputeExperiments(ctx context.Context) error {
	for _, name := range []stream.Name{stream.Calls, stream.Impressions} {
		if err := a.stored(ctx, name); err != nil {
			return err
		}
	}
	stored := time.Now().Truncate(time.Microsecond)
	for _, e := range a.catalog.Snapshot().AllExperiments() {
		for {
			r, err := a.experiments.Recalculate(ctx, e.Environment.Project.Name, e.ID)
			if err != nil {
				return fmt.Errorf("compute the experiment %s: %w", e.Spec.Name, err)
			}
			if !r.ComputedAt.Before(stored) { // otherwise it was under way already
				break
			}
		}
	}
	return nil
}

// stored waits until what is in a stream now is in the store.
func (a *App) stored(ctx context.Context, name stream.Name) error {
	_, last, _, err := a.streams.Bounds(ctx, name)
	if err != nil {
		return err
	}
	for {
		position, err := a.store.Position(ctx, string(name))
		if err != nil || position >= last {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

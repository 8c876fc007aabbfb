package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"causeway/internal/catalog"
	"causeway/internal/store"
)

// Store is what an experiment asks of what is remembered.
type Store interface {
	Exposures(ctx context.Context, e store.Exposure) (store.ExposureReport, error)
	Analyze(ctx context.Context, e store.Exposure, queries []store.MetricQuery) ([]store.MetricResult, error)
	SaveReading(ctx context.Context, r store.Reading) error
	Readings(ctx context.Context, project, experiment string, since time.Time) ([]store.Reading, error)
	LastReading(ctx context.Context, project, experiment string) (store.Reading, bool, error)
}

// What callers branch on.
var (
	// ErrUnknown means that the catalog has no such experiment.
	ErrUnknown = errors.New("there is no such experiment")
	// ErrNoReading means that nothing was computed at or before the time asked for.
	ErrNoReading = errors.New("there is no reading of that time")
)

// Options of a Service.
type Options struct {
	Snapshot func() *catalog.Snapshot // required
	Store    Store                    // required
	Metrics  prometheus.Registerer    // default: a registry of its own
	Log      *slog.Logger             // default: slog.Default()
	Version  string                   // of this build
	// Keep is how long impressions are kept: older experiments are no longer
	// computed by themselves. Zero: for ever.
	Keep time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Look is how often Run looks for what is due. Default: 20 s.
	Look time.Duration
}

// Service computes experiments and keeps their readings. Its methods may be
// used from any number of goroutines.
type Service struct {
	snapshot func() *catalog.Snapshot
	store    Store
	log      *slog.Logger
	version  string
	keep     time.Duration
	now      func() time.Time
	look     time.Duration

	life    context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup // calculations
	turn    chan struct{}  // holds one: whoever has it asks the store

	mu       sync.Mutex
	underWay map[id]*calculation
	failedAt map[id]time.Time // when the last one failed, until one succeeds
	newest   map[id]*Results  // as stored; nil: nothing is

	took     prometheus.Histogram
	success  *prometheus.GaugeVec
	mismatch *prometheus.GaugeVec
}

// id names an experiment across projects.
type id struct{ project, experiment string }

// New checks the options and registers the metrics.
func New(o Options) (*Service, error) {
	if o.Snapshot == nil || o.Store == nil {
		return nil, errors.New("experiment: Snapshot and Store are required")
	}
	s := &Service{
		snapshot: o.Snapshot, store: o.Store, log: o.Log, version: o.Version, keep: o.Keep, now: o.Now, look: o.Look,
		turn: make(chan struct{}, 1), underWay: make(map[id]*calculation), failedAt: make(map[id]time.Time), newest: make(map[id]*Results),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "causeway_experiment_calculation_duration_seconds", Help: "Time to compute the results of one experiment.",
			Buckets: []float64{.05, .2, 1, 5, 20, 60, 300},
		}),
		success: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "causeway_experiment_last_success_timestamp_seconds", Help: "When the results of an experiment were computed last.",
		}, []string{"project", "experiment"}),
		mismatch: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "causeway_experiment_srm_detected", Help: "1 when the sample ratio of an experiment is a mismatch, else 0.",
		}, []string{"project", "experiment"}),
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.look <= 0 {
		s.look = 20 * time.Second
	}
	s.life, s.end = context.WithCancel(context.Background())
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	for _, c := range []prometheus.Collector{s.took, s.success, s.mismatch} {
		if err := o.Metrics.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of experiments: %w", err)
		}
	}
	return s, nil
}

// Close ends what is under way and waits for it.
func (s *Service) Close() error {
	s.end()
	s.running.Wait()
	return nil
}

// Run computes what is due until the context ends, then closes the service.
func (s *Service) Run(ctx context.Context) error {
	for {
		s.computeDue()
		select {
		case <-ctx.Done():
			return s.Close()
		case <-time.After(s.look):
		}
	}
}

// retryAfter is how long a failed calculation is left alone.
const retryAfter = 5 * time.Minute

// forget drops what is known of experiments that are gone: nobody should be
// alerted to them for ever.
func (s *Service) forget(there []*catalog.Experiment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.newest {
		if slices.ContainsFunc(there, func(e *catalog.Experiment) bool {
			return e.Environment.Project.Name == key.project && e.ID == key.experiment
		}) {
			continue
		}
		delete(s.newest, key)
		delete(s.failedAt, key)
		s.success.DeleteLabelValues(key.project, key.experiment)
		s.mismatch.DeleteLabelValues(key.project, key.experiment)
	}
}

// computeDue begins every calculation that is due. They wait for each other.
func (s *Service) computeDue() {
	experiments := s.snapshot().AllExperiments()
	s.forget(experiments)
	for _, e := range experiments {
		plan, now := PlanOf(e), s.now()
		key := id{plan.Project, plan.ID}
		s.mu.Lock()
		failed, retry := s.failedAt[key]
		s.mu.Unlock()
		if retry && now.Sub(failed) < retryAfter {
			continue
		}
		last, err := s.last(s.life, plan)
		if err != nil {
			if s.life.Err() == nil {
				s.log.Error("the newest reading of an experiment could not be read", "project", key.project, "experiment", key.experiment, "err", err)
			}
			continue
		}
		if at, ok := s.next(plan, last); ok && !now.Before(at) {
			_, _ = s.begin(plan.Project, plan.ID, false) // ErrUnknown: it was removed a moment ago
		}
	}
}

// Next is when an experiment is computed next by itself; zero: never. ErrUnknown.
func (s *Service) Next(ctx context.Context, project, experiment string) (time.Time, error) {
	plan, err := s.Plan(project, experiment)
	if err != nil {
		return time.Time{}, err
	}
	last, err := s.last(ctx, plan)
	if err != nil {
		return time.Time{}, err
	}
	at, _ := s.next(plan, last)
	return at, nil
}

func (s *Service) next(plan Plan, last *Results) (time.Time, bool) {
	if last != nil && s.keep > 0 && s.now().Sub(plan.Start) > s.keep {
		return time.Time{}, false // its first impressions are no longer stored: it would only lose
	}
	if last != nil && (last.Definition != plan.definition() || !last.fits(plan)) {
		last = nil
	}
	return due(plan, last)
}

// Plan is an experiment of the catalog as it stands, by id or name. ErrUnknown.
func (s *Service) Plan(project, experiment string) (Plan, error) {
	p, ok := s.snapshot().Project(project)
	if !ok {
		return Plan{}, ErrUnknown
	}
	e, ok := p.Experiment(experiment)
	if !ok {
		return Plan{}, ErrUnknown
	}
	return PlanOf(e), nil
}

// Results are the newest results of an experiment. What was changed in the
// catalog since they were computed is not available in them, and says so.
func (s *Service) Results(ctx context.Context, project, experiment string) (Results, error) {
	plan, err := s.Plan(project, experiment)
	if err != nil {
		return Results{}, err
	}
	r, err := s.last(ctx, plan)
	if err != nil {
		return Results{}, err
	}
	return Fit(plan, r, s.version), nil
}

// id finds an experiment by id or name; one that is unknown has no id.
func (s *Service) id(project, experiment string) id {
	plan, err := s.Plan(project, experiment)
	if err != nil {
		return id{}
	}
	return id{plan.Project, plan.ID}
}

// last is the newest reading, as it was computed; nil: there is none. Whoever
// gets it must not change it.
func (s *Service) last(ctx context.Context, plan Plan) (*Results, error) {
	key := id{plan.Project, plan.ID}
	s.mu.Lock()
	r, known := s.newest[key]
	s.mu.Unlock()
	if known {
		return r, nil
	}
	reading, found, err := s.store.LastReading(ctx, plan.Project, plan.ID)
	if err != nil {
		return nil, err
	}
	if found {
		if r, err = decode(reading); err != nil {
			// One of another build, perhaps. It is computed anew rather than never again.
			s.log.Warn("the newest reading cannot be read; the experiment counts as not computed yet", "project", key.project, "experiment", key.experiment, "err", err)
			found = false
		}
	}
	if found {
		s.measureRatio(plan, r)
		s.success.WithLabelValues(key.project, key.experiment).Set(float64(r.ComputedAt.Unix()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if newer, known := s.newest[key]; known { // computed meanwhile
		return newer, nil
	}
	s.newest[key] = r
	return r, nil
}

func decode(reading store.Reading) (*Results, error) {
	var r Results
	if err := json.Unmarshal(reading.Body, &r); err != nil {
		return nil, fmt.Errorf("decode the reading of %s/%s of %s: %w", reading.Project, reading.Experiment, reading.ComputedAt.Format(time.RFC3339), err)
	}
	return &r, nil
}

// ResultsAt are the results as they were shown at a time: the last reading at
// or before it. Errors: ErrUnknown, ErrNoReading.
func (s *Service) ResultsAt(ctx context.Context, project, experiment string, at time.Time) (Results, error) {
	readings, err := s.readings(ctx, project, experiment)
	if err != nil {
		return Results{}, err
	}
	for i := len(readings) - 1; i >= 0; i-- {
		if !readings[i].ComputedAt.After(at) {
			r, err := decode(readings[i])
			if err != nil {
				return Results{}, err
			}
			return *r, nil
		}
	}
	return Results{}, ErrNoReading
}

func (s *Service) readings(ctx context.Context, project, experiment string) ([]store.Reading, error) {
	plan, err := s.Plan(project, experiment)
	if err != nil {
		return nil, err
	}
	return s.store.Readings(ctx, plan.Project, plan.ID, time.Time{})
}

// Reading is one stored result in a list.
type Reading struct {
	ComputedAt     time.Time      `json:"computedAt"`
	Basis          string         `json:"basis"` // equal: they follow each other
	Version        *int64         `json:"version"`
	Keys           int64          `json:"keys"`
	Code           string         `json:"code"`
	Final          bool           `json:"final"`
	Recommendation Recommendation `json:"recommendation"`
	States         map[State]int  `json:"states"` // how many cards are in each
}

// Readings lists what was computed of an experiment, newest first. ErrUnknown.
func (s *Service) Readings(ctx context.Context, project, experiment string) ([]Reading, error) {
	readings, err := s.readings(ctx, project, experiment)
	if err != nil {
		return nil, err
	}
	list := make([]Reading, 0, len(readings))
	for i := len(readings) - 1; i >= 0; i-- {
		r, err := decode(readings[i])
		if err != nil {
			return nil, err
		}
		list = append(list, Reading{r.ComputedAt, r.Basis, r.Version, r.Health.Exposures.Keys, r.Code, r.Final, r.Recommendation, r.States()})
	}
	return list, nil
}

// States counts the cards by state.
func (r *Results) States() map[State]int {
	count := make(map[State]int)
	for _, g := range r.Groups {
		for _, m := range g.Metrics {
			for _, c := range m.Cards {
				count[c.State]++
			}
		}
	}
	return count
}

// Fit shows stored results under the plan as it stands: what the plan asks for
// and they do not have is not available. stored nil: nothing was computed yet.
func Fit(plan Plan, stored *Results, code string) Results {
	if stored != nil && stored.Definition == plan.definition() && stored.fits(plan) {
		return *stored
	}
	why := "Nothing was computed yet."
	if stored != nil && stored.Definition == plan.definition() {
		why = "The metric is new, or was changed after the last calculation."
	} else if stored != nil {
		why = "The experiment was changed after the last calculation."
		stored = nil
	}
	ev := Evidence{From: plan.Start, To: plan.Start, Metrics: make([]Measured, len(plan.Metrics))}
	for i := range ev.Metrics {
		ev.Metrics[i].Missing = why
	}
	empty := Conclude(plan, ev, nil, code)
	if stored == nil {
		empty.Recommendation = Recommendation{CannotSay, Neutral, why + " It is computed by itself within a minute after it begins; Recalculate does it now.", []string{}}
		return empty
	}
	shown := *stored
	shown.Groups = empty.Groups
	for gi := range shown.Groups {
		metrics := shown.Groups[gi].Metrics
		for mi := range metrics {
			if before := stored.metric(metrics[mi].Metric, metrics[mi].Basis); before != nil && before.Desired == metrics[mi].Desired {
				metrics[mi] = *before
			}
		}
	}
	return shown
}

// fits reports whether results have exactly the metrics of a plan, judged by
// its settings.
func (r *Results) fits(plan Plan) bool {
	if r.Settings != plan.Settings {
		return false
	}
	n := 0
	for _, g := range r.Groups {
		for _, m := range g.Metrics {
			if n >= len(plan.Metrics) || plan.Metrics[n].Name != m.Metric || plan.Metrics[n].Group != g.Name || plan.Metrics[n].Desired != m.Desired || digest(plan.Metrics[n].Query) != m.Basis {
				return false
			}
			n++
		}
	}
	return n == len(plan.Metrics)
}

package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"causeway/internal/auth"
	"causeway/internal/reason"
	"causeway/internal/store"
	"causeway/internal/stream"
)

// shownSource is a source and how its delivery stands.
type shownSource struct {
	Source       string   `json:"source"` // id
	Name         string   `json:"name"`
	Configured   bool     `json:"configured"` // false: removed while items waited
	Environments []string `json:"environments"`
	Endpoint     string   `json:"endpoint,omitempty"`

	State       string       `json:"state"`
	Since       time.Time    `json:"since,omitzero"`
	Reason      *shownReason `json:"reason,omitempty"`
	Status      int          `json:"status,omitempty"`
	Answer      string       `json:"answer,omitempty"`
	NextAttempt time.Time    `json:"nextAttempt,omitzero"`

	Pending     int       `json:"pending"` // parcels that wait
	Oldest      time.Time `json:"oldest,omitzero"`
	DeadLetters int       `json:"deadLetters"`
}

// sources lists every source that is configured or still has items waiting.
func (s *Server) sources(r *request) error {
	ctx := r.Context()
	states, err := s.streams.DeliveryStates(ctx)
	if err != nil {
		return fmt.Errorf("read the delivery states: %w", err)
	}
	counts, err := s.streams.CountDeadLetters(ctx)
	if err != nil {
		return fmt.Errorf("count dead letters: %w", err)
	}
	queues, err := s.streams.OutboundSources(ctx)
	if err != nil {
		return fmt.Errorf("list the outbound streams: %w", err)
	}
	shown := s.configuredSources()
	at := func(id string) *shownSource {
		i := slices.IndexFunc(shown, func(s shownSource) bool { return s.Source == id })
		if i < 0 {
			shown = append(shown, shownSource{Source: id, Name: id, Environments: []string{}, State: stream.DeliveryIdle})
			i = len(shown) - 1
		}
		return &shown[i]
	}
	for _, c := range counts {
		at(c.Source).DeadLetters += c.Count
	}
	for _, id := range queues {
		// Only of a queue that is there: to open one is to make it.
		queue, err := s.streams.Outbound(ctx, id)
		if err != nil {
			return fmt.Errorf("open the outbound stream of %s: %w", id, err)
		}
		source := at(id)
		if source.Pending, source.Oldest, err = queue.Pending(ctx); err != nil {
			return fmt.Errorf("count what waits for %s: %w", id, err)
		}
	}
	for i := range shown {
		if state, ok := states[shown[i].Source]; ok {
			shown[i].addState(state)
		}
	}
	return r.answer(list[shownSource]{Items: shown})
}

func (s *Server) configuredSources() []shownSource {
	shown := []shownSource{}
	for _, source := range s.catalog.Snapshot().AllSources() {
		one := shownSource{
			Source: source.ID, Name: source.Name, Configured: true, Endpoint: source.Endpoint,
			Environments: []string{}, State: stream.DeliveryIdle,
		}
		for _, e := range source.Environments {
			one.Environments = append(one.Environments, string(e.ID))
		}
		shown = append(shown, one)
	}
	return shown
}

func (s *shownSource) addState(state stream.DeliveryState) {
	s.State, s.Since = state.State, state.Since
	s.Status, s.Answer, s.NextAttempt = state.Status, state.Answer, state.NextAttempt
	if info, ok := reason.Lookup(state.Reason); ok {
		explained := showReason(info)
		s.Reason = &explained
	}
}

// sourceID takes a source's id or name; a source that is gone has only its id.
func (s *Server) sourceID(idOrName string) string {
	if source, ok := s.catalog.Snapshot().Source(idOrName); ok {
		return source.ID
	}
	return idOrName
}

// The outcomes of a delivery attempt (store.Delivery.Outcome).
var deliveryOutcomes = []string{"delivered", "retry", "paused", "halved", "dead"}

func (s *Server) deliveries(r *request) error {
	span, err := r.span()
	if err != nil {
		return err
	}
	outcome, err := r.oneOf("outcome", deliveryOutcomes...)
	if err != nil {
		return err
	}
	page, err := s.store.Deliveries(r.Context(), store.DeliveryQuery{
		Source: s.sourceID(r.query.Get("source")), Outcome: outcome, Span: span,
	})
	if err != nil {
		return err
	}
	return r.answer(listFrom(page.Items, page.NextCursor, showDelivery))
}

// shownDelivery is an attempt with its duration in milliseconds.
type shownDelivery struct {
	ID         string          `json:"id"`
	Source     string          `json:"source"`
	Attempt    int             `json:"attempt"`
	StartedAt  time.Time       `json:"startedAt"`
	DurationMs float64         `json:"durationMs"`
	Calls      int             `json:"calls"`
	Bytes      int             `json:"bytes"`
	Status     int             `json:"status,omitempty"`
	Outcome    string          `json:"outcome"`
	Answer     string          `json:"answer,omitempty"`
	Error      string          `json:"error,omitempty"`
	Sample     json.RawMessage `json:"sample,omitempty"`
}

func showDelivery(d store.Delivery) shownDelivery {
	return shownDelivery{
		ID: d.ID, Source: d.Source, Attempt: d.Attempt, StartedAt: d.StartedAt,
		DurationMs: float64(d.Duration.Microseconds()) / 1000, Calls: d.Calls, Bytes: d.Bytes,
		Status: d.Status, Outcome: d.Outcome, Answer: d.Answer, Error: d.Error, Sample: d.Sample,
	}
}

// shownLetter is a dead letter with its reason explained.
type shownLetter struct {
	stream.DeadLetter
	Meaning string `json:"meaning"`
	Fix     string `json:"fix"`
}

func showLetter(letter stream.DeadLetter) shownLetter {
	info, _ := reason.Lookup(letter.Reason)
	return shownLetter{letter, info.Meaning, info.Fix}
}

func (s *Server) deadLetters(r *request) error {
	limit, err := r.limit()
	if err != nil {
		return err
	}
	code, err := setAsideReason(r.query.Get("reason"))
	if err != nil {
		return err
	}
	letters, next, err := s.streams.DeadLetters(r.Context(), stream.DeadLetterQuery{
		Source: s.sourceID(r.query.Get("source")), Reason: code, Cursor: r.query.Get("cursor"), Limit: limit,
	})
	if err != nil {
		return err
	}
	return r.answer(listFrom(letters, next, showLetter))
}

// setAsideReason checks that a code is one that sets items aside.
func setAsideReason(text string) (reason.Code, error) {
	code := reason.Code(text)
	if info, ok := reason.Lookup(code); text != "" && (!ok || info.Stage != reason.SetAside) {
		var codes []string
		for _, info := range reason.List {
			if info.Stage == reason.SetAside {
				codes = append(codes, string(info.Code))
			}
		}
		return "", badParameter("reason", "No item is set aside for the reason %q. The reasons are %s.", text, strings.Join(codes, ", "))
	}
	return code, nil
}

// replayRequest selects dead letters; empty fields select everything.
type replayRequest struct {
	Source    string   `json:"source"`
	Reason    string   `json:"reason"`
	Sequences []uint64 `json:"sequences"`
	DryRun    bool     `json:"dryRun"`
}

func (s *Server) replay(r *request) error {
	var want replayRequest
	if err := r.decode(&want, 1<<20); err != nil {
		return err
	}
	code, err := setAsideReason(want.Reason)
	if err != nil {
		p := asProblem(err)
		p.Parameter = ""
		p.Code = "body_invalid"
		return p
	}
	if want.Sequences != nil && len(want.Sequences) == 0 {
		return refuse(http.StatusBadRequest, "body_invalid", "sequences is an empty list, which selects nothing. Leave it out to select every letter.")
	}
	result, err := s.streams.Replay(r.Context(), stream.DeadLetterQuery{
		Source: s.sourceID(want.Source), Reason: code, Sequences: want.Sequences,
	}, want.DryRun)
	if err != nil {
		return fmt.Errorf("replay dead letters: %w", err)
	}
	if !want.DryRun {
		s.accounts.Record(r.Context(), actorOf(r), auth.LettersReplayed, s.sourceID(want.Source),
			fmt.Sprintf("%d matched, %d replayed, %d failed", result.Matched, result.Replayed, result.Failed))
	}
	return r.answer(struct {
		DryRun bool `json:"dryRun"`
		stream.ReplayResult
	}{want.DryRun, result})
}

package web

import (
	"cmp"
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

const (
	attemptsShown = 20
	sampleShown   = 1500 // characters of what we sent
	answerShown   = 1000 // characters of what they answered
)

// deliveryPage is how the delivery to Segment stands, by source, and the
// recent attempts of one source.
type deliveryPage struct {
	dataPage
	Sources  []sourceCard
	Chosen   string // whose attempts are shown
	Outcomes []option
	Attempts []attempt
	P95      time.Duration // of the shown attempts
	Older    string
	Filtered bool
}

// sourceCard is one source and how its delivery stands.
type sourceCard struct {
	ID, Name     string
	Configured   bool // false: removed while something waited
	Environments []string
	Endpoint     string
	State        stream.DeliveryState
	Why          *reason.Info
	Pending      int
	Oldest       time.Time
	Dead         int
	Day          []store.DeliveryTotal // of the last 24 hours
	PerMinute    float64               // calls delivered, over the last hour
	Current      bool
}

// attempt is one attempt with what was sent and answered.
type attempt struct {
	store.Delivery
	Sample, Answer string
	Cut            bool // Sample is not all of the first call
	Meaning, Do    string
}

// explain says what an attempt that did not deliver means, and what to do
// (R46).
func explain(d store.Delivery) (meaning, do string) {
	info := func(code reason.Code) (string, string) {
		known, _ := reason.Lookup(code)
		return known.Meaning, known.Fix
	}
	switch {
	case d.Outcome == "delivered":
		return "", ""
	case d.Status == http.StatusUnauthorized, d.Status == http.StatusForbidden:
		return info(reason.CredentialsRefused)
	case d.Outcome == "halved":
		return "Segment refuses something in this batch. It is cut in half, again and again, until the refused item stands alone.", "Nothing here; the item becomes a dead letter with this answer."
	case d.Outcome == "dead":
		return info(reason.RefusedBySegment)
	case d.Status == http.StatusTooManyRequests:
		return "Segment asks to send more slowly.", "Nothing: the batch is sent again after the time that Segment gave. If it stays so, see which other senders use this workspace."
	case d.Status != 0:
		return "Segment could not take the batch at that moment.", "Nothing: it is sent again, for as long as --retry-for says. Segment's status page may say more."
	}
	return "Segment gave no answer: the connection failed or took too long.", "See whether this server reaches the endpoint: name resolution, firewall, proxy. The batch is sent again."
}

// deliveryOutcomes are what can become of an attempt.
var deliveryOutcomes = []string{"delivered", "retry", "paused", "halved", "dead"}

func (s *Server) delivery(r *request) error {
	if r.env == nil {
		return s.noEnvironment(r, "Delivery")
	}
	p := deliveryPage{dataPage: s.dataPage(r, "Delivery")}
	var err error
	if p.Sources, err = s.sourceCards(r); err != nil {
		return err
	}
	if len(p.Sources) == 0 {
		return s.show(r, "delivery", p)
	}
	var ids []string
	for _, card := range p.Sources {
		ids = append(ids, card.ID)
	}
	p.Chosen = cmp.Or(oneOf(r, "source", ids...), ids[0])
	for i := range p.Sources {
		p.Sources[i].Current = p.Sources[i].ID == p.Chosen
	}
	outcome := oneOf(r, "outcome", deliveryOutcomes...)
	p.Outcomes, p.Filtered = options(outcome, deliveryOutcomes...), outcome != ""
	if p.paged {
		p.Newest = p.Link("/delivery", "source", p.Chosen, "outcome", outcome)
	}
	page, err := s.Store.Deliveries(r.Context(), store.DeliveryQuery{Source: p.Chosen, Outcome: outcome,
		Span: store.Span{Limit: attemptsShown, Cursor: r.URL.Query().Get("cursor")}})
	if err != nil {
		return storeFailed(err)
	}
	if page.NextCursor != "" {
		p.Older = p.Link("/delivery", "source", p.Chosen, "outcome", outcome, "cursor", page.NextCursor)
	}
	people := r.may(auth.SeePeople)
	var durations []time.Duration
	for _, d := range page.Items {
		one := attempt{Delivery: d}
		one.Meaning, one.Do = explain(d)
		if durations = append(durations, d.Duration); people {
			one.Sample, one.Answer = cutText(prettyJSON(d.Sample), sampleShown), cutText(d.Answer, answerShown)
			one.Cut = strings.HasSuffix(one.Sample, "…")
		}
		p.Attempts = append(p.Attempts, one)
	}
	p.P95 = p95(durations)
	return s.show(r, "delivery", p)
}

// p95 is the shortest duration that 95 of 100 do not exceed.
func p95(durations []time.Duration) time.Duration {
	if len(durations) == 0 {
		return 0
	}
	slices.Sort(durations)
	return durations[(len(durations)*95+99)/100-1]
}

// visibleSources are the sources of the chosen environment, and, for who has
// the permission on the whole server, those that were removed while something
// of them waited: they belong to no project any more.
func (s *Server) visibleSources(r *request, need auth.Permission, waiting ...string) []sourceCard {
	var list []sourceCard
	for _, source := range r.snapshot.Sources(r.env.ID) {
		card := sourceCard{ID: source.ID, Name: source.Name, Configured: true, Endpoint: source.Endpoint}
		for _, e := range source.Environments {
			card.Environments = append(card.Environments, e.Name)
		}
		list = append(list, card)
	}
	if !r.who.May(need, "") {
		return list
	}
	slices.Sort(waiting)
	for _, id := range slices.Compact(waiting) {
		if _, ok := r.snapshot.Source(id); !ok {
			list = append(list, sourceCard{ID: id, Name: id})
		}
	}
	return list
}

// sourceCards finds out how each visible source stands.
func (s *Server) sourceCards(r *request) ([]sourceCard, error) {
	ctx := r.Context()
	queues, err := s.Streams.OutboundSources(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the outbound streams: %w", err)
	}
	dead, err := s.Streams.CountDeadLetters(ctx)
	if err != nil {
		return nil, fmt.Errorf("count dead letters: %w", err)
	}
	states, err := s.Streams.DeliveryStates(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the delivery states: %w", err)
	}
	totals, err := s.Store.DeliveryTotals(ctx, r.now.Add(-24*time.Hour))
	if err != nil {
		return nil, storeFailed(err)
	}
	lastHour, err := s.Store.DeliveryTotals(ctx, r.now.Add(-time.Hour))
	if err != nil {
		return nil, storeFailed(err)
	}
	waiting := slices.Clone(queues)
	for _, c := range dead {
		waiting = append(waiting, c.Source)
	}
	cards := s.visibleSources(r, auth.See, waiting...)
	for i := range cards {
		card := &cards[i]
		for _, c := range dead {
			if c.Source == card.ID {
				card.Dead += c.Count
			}
		}
		for _, t := range totals {
			if t.Source == card.ID {
				card.Day = append(card.Day, t)
			}
		}
		for _, t := range lastHour {
			if t.Source == card.ID && t.Outcome == "delivered" {
				card.PerMinute += float64(t.Calls) / 60
			}
		}
		card.State = states[card.ID]
		if card.State.State == "" {
			card.State.State = stream.DeliveryIdle
		}
		if info, ok := reason.Lookup(card.State.Reason); ok {
			card.Why = &info
		}
		if !slices.Contains(queues, card.ID) {
			continue // to open a queue is to make it
		}
		queue, err := s.Streams.Outbound(ctx, card.ID)
		if err != nil {
			return nil, fmt.Errorf("open the outbound stream of %s: %w", card.ID, err)
		}
		if card.Pending, card.Oldest, err = queue.Pending(ctx); err != nil {
			return nil, fmt.Errorf("count what waits for %s: %w", card.ID, err)
		}
	}
	return cards, nil
}

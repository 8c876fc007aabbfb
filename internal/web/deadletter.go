package web

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"causeway/internal/auth"
	"causeway/internal/reason"
	"causeway/internal/stream"
)

const (
	lettersShown = 25
	letterShown  = 2000 // characters of a letter's body
)

// deadLettersPage lists what of one source was set aside.
type deadLettersPage struct {
	dataPage
	Sources   []option
	Source    string
	Reasons   []option
	Reason    reason.Code
	Explained *reason.Info
	Gone      bool // the source is no longer configured
	Letters   []letter
	Matching  int // all letters that fit, not only those of this page
	Older     string
	Any       bool // something is set aside, of this source or another
	Error     string
}

// letter is one dead letter as it is shown.
type letter struct {
	stream.DeadLetter
	Info reason.Info
	Text string
}

func (s *Server) deadLetters(r *request) error {
	return s.showDeadLetters(r, http.StatusOK, "")
}

// showDeadLetters shows the list, with what was wrong with what was asked.
func (s *Server) showDeadLetters(r *request, status int, wrong string) error {
	if r.env == nil {
		return s.noEnvironment(r, "Dead letters")
	}
	counts, err := s.Streams.CountDeadLetters(r.Context())
	if err != nil {
		return fmt.Errorf("count dead letters: %w", err)
	}
	p := deadLettersPage{dataPage: s.dataPage(r, "Dead letters"), Error: wrong}
	p.chooseSource(r, s.visibleSources(r, auth.See, sourcesOf(counts)...), counts)
	byReason := map[reason.Code]int{}
	for _, c := range counts {
		if c.Source == p.Source {
			byReason[c.Reason] += c.Count
		}
	}
	if info, ok := setAside(r.URL.Query().Get("reason")); ok {
		p.Reason, p.Explained = info.Code, &info
	}
	for _, info := range reason.List {
		n := byReason[info.Code]
		if n > 0 || info.Code == p.Reason {
			p.Reasons = append(p.Reasons, option{string(info.Code), fmt.Sprintf("%s (%s)", info.Code, count(n)), info.Code == p.Reason})
		}
		if p.Reason == "" || p.Reason == info.Code {
			p.Matching += n
		}
	}
	if p.Source == "" {
		return s.showStatus(r, status, "deadletters", p)
	}
	if p.paged {
		p.Newest = p.Link("/dead-letters", "source", p.Source, "reason", string(p.Reason))
	}
	letters, next, err := s.Streams.DeadLetters(r.Context(), stream.DeadLetterQuery{Source: p.Source, Reason: p.Reason, Cursor: r.URL.Query().Get("cursor"), Limit: lettersShown})
	if err != nil {
		return err
	}
	for _, l := range letters {
		info, _ := reason.Lookup(l.Reason)
		p.Letters = append(p.Letters, letter{l, info, cutText(prettyJSON(l.Body), letterShown)})
	}
	if next != "" {
		p.Older = p.Link("/dead-letters", "source", p.Source, "reason", string(p.Reason), "cursor", next)
	}
	return s.showStatus(r, status, "deadletters", p)
}

// chooseSource picks the source that was asked for, or the one with the most
// letters: letters are listed by source, because a source belongs to a project.
func (p *deadLettersPage) chooseSource(r *request, cards []sourceCard, counts []stream.DeadLetterCount) {
	waiting := map[string]int{}
	for _, c := range counts {
		waiting[c.Source] += c.Count
	}
	asked := r.URL.Query().Get("source")
	for _, card := range cards {
		p.Any = p.Any || waiting[card.ID] > 0
		if card.ID == asked || p.Source == "" || p.Source != asked && waiting[card.ID] > waiting[p.Source] {
			p.Source, p.Gone = card.ID, !card.Configured
		}
	}
	for _, card := range cards {
		name := fmt.Sprintf("%s (%s)", card.Name, count(waiting[card.ID]))
		p.Sources = append(p.Sources, option{card.ID, name, card.ID == p.Source})
	}
}

func sourcesOf(counts []stream.DeadLetterCount) []string {
	var list []string
	for _, c := range counts {
		list = append(list, c.Source)
	}
	return list
}

// setAside looks a reason up that sets items aside.
func setAside(code string) (reason.Info, bool) {
	info, ok := reason.Lookup(reason.Code(code))
	return info, ok && info.Stage == reason.SetAside
}

// replayPage says what a replay would do, and afterwards what it did.
type replayPage struct {
	dataPage
	Source  string
	Reason  reason.Code
	Letters []string // the chosen ones; empty: all that fit
	Asked   int      // how many were chosen
	Result  stream.ReplayResult
	Gone    bool
	State   *stream.DeliveryState // when the source does not deliver now
	Done    bool
	Back    string
	Causes  []reason.Info // what should have been mended first
}

// replay sends dead letters on their way again. Without "confirm" it only
// counts, and asks.
func (s *Server) replay(r *request) error {
	if r.env == nil {
		return s.noEnvironment(r, "Dead letters")
	}
	f, err := readForm(r)
	if err != nil {
		return err
	}
	cards := s.visibleSources(r, auth.Change, f.Value("source"))
	at := slices.IndexFunc(cards, func(c sourceCard) bool { return c.ID == f.Value("source") })
	if at < 0 {
		return refuse(http.StatusForbidden, "Not a source of this environment", "There is no source %q that sends from %s, or it needs the role editor on the whole server. Choose the environment above and open its dead letters again.", cutText(f.Value("source"), 80), r.env.ID)
	}
	q := stream.DeadLetterQuery{Source: cards[at].ID}
	if info, ok := setAside(f.Value("reason")); ok {
		q.Reason = info.Code
	} else if f.Value("reason") != "" {
		return refuse(http.StatusBadRequest, "Not a reason", "No item is set aside for the reason %q.", cutText(f.Value("reason"), 80))
	}
	p := replayPage{dataPage: s.dataPage(r, "Replay dead letters"), Source: q.Source, Reason: q.Reason, Gone: !cards[at].Configured}
	p.Back = p.Link("/dead-letters", "source", q.Source, "reason", string(q.Reason))
	if !f.Has("what", "all") {
		for _, text := range f.Values["letter"] {
			sequence, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				return refuse(http.StatusBadRequest, "Not a dead letter", "%q names none. Open the list again.", cutText(text, 40))
			}
			q.Sequences, p.Letters = append(q.Sequences, sequence), append(p.Letters, text)
		}
		if p.Asked = len(q.Sequences); p.Asked == 0 {
			return s.showDeadLetters(r, http.StatusUnprocessableEntity, "Nothing is selected. Tick the letters to replay, or replay all that fit.")
		}
	}
	if !f.Has("confirm", "yes") {
		return s.askToReplay(r, p, q)
	}
	p.Result, err = s.Streams.Replay(r.Context(), q, false)
	s.auditReplay(r, p)
	if err != nil {
		return err
	}
	if p.Result.Failed == 0 {
		return s.redirect(r, p.Back, fmt.Sprintf("%s replayed. The delivery page shows how it goes on.", plural(p.Result.Replayed, "item")))
	}
	p.Done = true
	return s.show(r, "replay", p)
}

// askToReplay counts what a replay would do and asks for confirmation.
func (s *Server) askToReplay(r *request, p replayPage, q stream.DeadLetterQuery) error {
	var err error
	if p.Result, err = s.Streams.Replay(r.Context(), q, true); err != nil {
		return err
	}
	states, err := s.Streams.DeliveryStates(r.Context())
	if err != nil {
		return fmt.Errorf("read the delivery states: %w", err)
	}
	if state := states[q.Source]; state.State == stream.DeliveryPaused || state.State == stream.DeliveryRetrying {
		p.State = &state
	}
	counts, err := s.Streams.CountDeadLetters(r.Context())
	if err != nil {
		return fmt.Errorf("count dead letters: %w", err)
	}
	for _, c := range counts {
		if info, ok := reason.Lookup(c.Reason); ok && c.Source == q.Source && cmp.Or(q.Reason, c.Reason) == c.Reason {
			p.Causes = append(p.Causes, info)
		}
	}
	return s.show(r, "replay", p)
}

// auditReplay keeps who replayed what.
func (s *Server) auditReplay(r *request, p replayPage) {
	what := "all"
	if p.Asked > 0 {
		what = plural(p.Asked, "selected letter")
	}
	if p.Reason != "" {
		what += " of " + string(p.Reason)
	}
	s.Accounts.Record(r.Context(), r.who.Actor(), auth.LettersReplayed, p.Source,
		fmt.Sprintf("%s: %d matched, %d replayed, %d failed", what, p.Result.Matched, p.Result.Replayed, p.Result.Failed))
}

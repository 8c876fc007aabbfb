package api

import (
	"net/http"
	"time"

	"causeway/internal/catalog"
	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/store"
)

// Counts look back this far unless the caller says otherwise.
const defaultSince = 7 * 24 * time.Hour

// projectOf finds the project the path names.
func (s *Server) projectOf(r *request) (*catalog.Project, error) {
	name := r.path["project"]
	for _, p := range s.catalog.Snapshot().Projects() {
		if p.Name == name {
			return p, nil
		}
	}
	return nil, refuse(http.StatusNotFound, "project_unknown", "There is no project %q. GET /admin/v1/projects lists them.", name)
}

// environmentOf finds the environment the path names.
func (s *Server) environmentOf(r *request) (fme.EnvironmentID, error) {
	project, err := s.projectOf(r)
	if err != nil {
		return "", err
	}
	name := r.path["environment"]
	for _, e := range project.Environments {
		if e.Name == name {
			return e.ID, nil
		}
	}
	return "", refuse(http.StatusNotFound, "environment_unknown", "The project %q has no environment %q. GET /admin/v1/projects/%s lists them.", project.Name, name, project.Name)
}

// shownEvent is an event with the name of its environment.
type shownEvent struct {
	Environment string `json:"environment"`
	fme.Event
}

func showEvent(e fme.Event) shownEvent { return shownEvent{e.Environment.Name(), e} }

func (s *Server) events(r *request) error {
	environment, err := s.environmentOf(r)
	if err != nil {
		return err
	}
	span, err := r.span()
	if err != nil {
		return err
	}
	page, err := s.store.Events(r.Context(), store.EventQuery{
		Environment: environment, TrafficType: r.query.Get("trafficType"), Key: r.query.Get("key"),
		EventType: r.query.Get("eventType"), MessageID: r.query.Get("messageId"), Span: span,
	})
	if err != nil {
		return err
	}
	return r.answer(listFrom(page.Items, page.NextCursor, showEvent))
}

func (s *Server) impressions(r *request) error {
	environment, err := s.environmentOf(r)
	if err != nil {
		return err
	}
	span, err := r.span()
	if err != nil {
		return err
	}
	page, err := s.store.Impressions(r.Context(), store.ImpressionQuery{
		Environment: environment, Flag: r.query.Get("flag"), Key: r.query.Get("key"),
		Treatment: r.query.Get("treatment"), Span: span,
	})
	if err != nil {
		return err
	}
	return r.answer(listFrom(page.Items, page.NextCursor, same[fme.Impression]))
}

func (s *Server) eventTypes(r *request) error {
	environment, err := s.environmentOf(r)
	if err != nil {
		return err
	}
	types, err := s.store.EventTypes(r.Context(), environment, time.Now())
	if err != nil {
		return err
	}
	return r.answer(listFrom(types, "", same[store.EventType]))
}

func (s *Server) flags(r *request) error {
	environment, err := s.environmentOf(r)
	if err != nil {
		return err
	}
	since, err := r.since(time.Now(), defaultSince)
	if err != nil {
		return err
	}
	counts, err := s.store.Flags(r.Context(), environment, since)
	if err != nil {
		return err
	}
	known, _ := s.catalog.Snapshot().Environment(environment)
	return r.answer(listFrom(counts, "", func(c store.FlagCount) shownFlag {
		shown := shownFlag{FlagCount: c}
		if known != nil {
			shown.TrafficType, _ = known.Project.FlagTrafficType(c.Flag)
		}
		return shown
	}))
}

// shownFlag is what was seen of a flag. TrafficType is empty when the catalog
// does not know the flag (R44).
type shownFlag struct {
	store.FlagCount
	TrafficType string `json:"trafficType"`
}

// shownReason is a reason with what it means and what to do.
type shownReason struct {
	Code    reason.Code  `json:"code"`
	Stage   reason.Stage `json:"stage"`
	Meaning string       `json:"meaning"`
	Fix     string       `json:"fix"`
	Rulings string       `json:"rulings"`
}

func showReason(info reason.Info) shownReason {
	return shownReason{Code: info.Code, Stage: info.Stage, Meaning: info.Meaning, Fix: info.Fix, Rulings: info.Rulings}
}

func (s *Server) reasonList(r *request) error {
	return r.answer(listFrom(reason.List, "", showReason))
}

// shownCount is how often an outcome or a reason was, explained.
type shownCount struct {
	store.ReasonCount
	Meaning string `json:"meaning,omitempty"`
	Fix     string `json:"fix,omitempty"`
}

func (s *Server) reasonCounts(r *request) error {
	environment, err := s.environmentOf(r)
	if err != nil {
		return err
	}
	since, err := r.since(time.Now(), defaultSince)
	if err != nil {
		return err
	}
	counts, err := s.store.Reasons(r.Context(), environment, since)
	if err != nil {
		return err
	}
	out := struct {
		Since    time.Time    `json:"since"`
		Outcomes []shownCount `json:"outcomes"`
		Reasons  []shownCount `json:"reasons"`
	}{since, []shownCount{}, []shownCount{}}
	for _, c := range counts {
		if c.Code == "" {
			out.Outcomes = append(out.Outcomes, shownCount{ReasonCount: c})
			continue
		}
		info, _ := reason.Lookup(c.Code)
		out.Reasons = append(out.Reasons, shownCount{c, info.Meaning, info.Fix})
	}
	return r.answer(out)
}

func (s *Server) environmentCalls(r *request) error {
	environment, err := s.environmentOf(r)
	if err != nil {
		return err
	}
	return s.callsOf(r, environment)
}

func (s *Server) calls(r *request) error { return s.callsOf(r, "") }

func (s *Server) callsOf(r *request, environment fme.EnvironmentID) error {
	span, err := r.span()
	if err != nil {
		return err
	}
	outcome, err := r.oneOf("outcome", string(reason.Stored), string(reason.Duplicate), string(reason.Ignored), string(reason.Dropped))
	if err != nil {
		return err
	}
	code := reason.Code(r.query.Get("reason"))
	if _, known := reason.Lookup(code); code != "" && !known {
		return badParameter("reason", "There is no reason %q. GET /admin/v1/reasons lists them.", code)
	}
	page, err := s.store.Calls(r.Context(), store.CallQuery{
		Environment: environment, MessageID: r.query.Get("messageId"), Outcome: reason.Outcome(outcome), Reason: code,
		Type: r.query.Get("type"), Configuration: r.query.Get("configuration"), Span: span,
	})
	if err != nil {
		return err
	}
	return r.answer(listFrom(page.Items, page.NextCursor, showCall))
}

// shownCall is a call with its reasons explained.
type shownCall struct {
	store.CallRow
	Reasons []shownNote `json:"reasons"`
}

// shownNote is a reason as it applied to one call.
type shownNote struct {
	Code    reason.Code `json:"code"`
	Detail  string      `json:"detail,omitempty"`
	Meaning string      `json:"meaning"`
	Fix     string      `json:"fix"`
}

func showCall(row store.CallRow) shownCall {
	return shownCall{CallRow: row, Reasons: showNotes(row.Reasons)}
}

func showNotes(notes []reason.Note) []shownNote {
	shown := make([]shownNote, 0, len(notes))
	for _, n := range notes {
		info, _ := reason.Lookup(n.Code)
		shown = append(shown, shownNote{n.Code, n.Detail, info.Meaning, info.Fix})
	}
	return shown
}

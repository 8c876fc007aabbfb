package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"causeway/internal/auth"
	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/store"
	"causeway/internal/trace"
	"causeway/internal/translate"
)

// shownTrace is one messageId on its way through the system (trace.Trace).
type shownTrace struct {
	MessageID   string            `json:"messageId"`
	Copies      []tracedCall      `json:"copies"`
	Events      []shownEvent      `json:"events"`
	Attributes  []tracedAttribute `json:"attributes"`
	DeadLetters []shownLetter     `json:"deadLetters"`
}

// tracedCall is one copy, step by step.
type tracedCall struct {
	Environment   fme.EnvironmentID `json:"environment"`
	Configuration string            `json:"configuration"`
	Route         string            `json:"route"`  // the door
	Scheme        string            `json:"scheme"` // how it proved itself
	ReceivedAt    time.Time         `json:"receivedAt"`
	Frame         uint64            `json:"frame"` // where it lies in the stream calls
	Index         int               `json:"index"`
	Type          string            `json:"type"`
	Name          string            `json:"name,omitempty"`
	Outcome       reason.Outcome    `json:"outcome"`
	Reasons       []shownNote       `json:"reasons"`
	EventCount    int               `json:"eventCount"`
	AttrCount     int               `json:"attributeCount"`
	Steps         []tracedStep      `json:"steps"`
	Raw           json.RawMessage   `json:"raw,omitempty"`
	RawState      string            `json:"rawState"` // kept, gone
	Now           *translate.Result `json:"now,omitempty"`
}

// tracedStep is one sentence of the way.
type tracedStep struct {
	Step string `json:"step"`
	Text string `json:"text"`
}

// tracedAttribute is an attribute whose newest value is of the traced call.
type tracedAttribute struct {
	Environment string `json:"environment"`
	TrafficType string `json:"trafficType"`
	Key         string `json:"key"`
	ID          string `json:"id"`
	store.AttributeValue
}

func (s *Server) trace(r *request) error {
	id := r.path["messageId"]
	rooms := trace.Rooms{Snapshot: s.catalog.Snapshot(), Streams: s.streams, Store: s.store}
	if !r.who.May(auth.SeePeople, "") {
		rooms.Visible = r.may(auth.SeePeople)
	}
	found, err := rooms.Find(r.Context(), id)
	if err != nil {
		return err
	}
	if found.Empty() {
		return refuse(http.StatusNotFound, "message_unknown", "Nothing is known of the messageId %q. Either it never arrived, or it is older than what is kept; a call that was accepted a moment ago shows within a second.", id)
	}
	return r.answer(shownTrace{
		MessageID: id, Copies: shownList(found.Copies, showCopy), Events: shownList(found.Events, showEvent),
		Attributes: shownList(found.Attributes, showTracedAttribute), DeadLetters: shownList(found.DeadLetters, showLetter),
	})
}

// shownList is what the API shows of each; never null.
func shownList[Row, Shown any](rows []Row, show func(Row) Shown) []Shown {
	return listFrom(rows, "", show).Items
}

func showCopy(c trace.Copy) tracedCall {
	t := tracedCall{
		Environment: c.Environment, Configuration: c.Configuration, Route: c.Route, Scheme: c.Scheme,
		ReceivedAt: c.ReceivedAt, Frame: c.Frame, Index: c.Index, Type: c.Type, Name: c.Name,
		Outcome: c.Outcome, Reasons: showNotes(c.Reasons), EventCount: c.Events, AttrCount: c.Attributes,
		Steps: shownList(c.Steps, func(step trace.Step) tracedStep { return tracedStep{step.Name, step.Text} }),
		Raw:   c.Raw, RawState: "kept", Now: c.Now,
	}
	if c.Raw == nil {
		t.RawState = "gone"
	}
	return t
}

func showTracedAttribute(a trace.Attribute) tracedAttribute {
	return tracedAttribute{a.Environment.Name(), a.TrafficType, a.Key, a.ID, a.AttributeValue}
}

func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

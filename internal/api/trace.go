package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/segment"
	"causeway/internal/store"
	"causeway/internal/stream"
	"causeway/internal/translate"
)

// Bounds of a trace: a messageId that is used again and again shows its newest.
const (
	traceCopies      = 50
	traceEvents      = 500
	traceLetterPages = 20 // of 500, newest first
)

// shownTrace is one messageId on its way through the system.
type shownTrace struct {
	MessageID string `json:"messageId"`
	// Copies are the calls that came with this id, newest first. One of them
	// was stored; the others are repeats, or went to other destinations.
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
	// Raw is the call as it stood in its body; absent when the stream has let
	// go of it. What its batch said of all calls is not in it.
	Raw      json.RawMessage `json:"raw,omitempty"`
	RawState string          `json:"rawState"` // kept, gone
	// Now is what the same call would become with the present configuration.
	Now *translate.Result `json:"now,omitempty"`
}

// tracedStep is one sentence of the way.
type tracedStep struct {
	Step string `json:"step"` // received, verified, kept, deduplicated, translated
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
	ctx, id := r.Context(), r.path["messageId"]
	calls, err := s.store.Calls(ctx, store.CallQuery{MessageID: id, Span: store.Span{Limit: traceCopies}})
	if err != nil {
		return err
	}
	out := shownTrace{MessageID: id, Copies: []tracedCall{}, Events: []shownEvent{}, Attributes: []tracedAttribute{}}
	for _, row := range calls.Items {
		copied, err := s.traceCall(ctx, row)
		if err != nil {
			return err
		}
		out.Copies = append(out.Copies, copied)
	}
	if err := s.traceStored(ctx, id, &out); err != nil {
		return err
	}
	if out.DeadLetters, err = s.traceLetters(ctx, id); err != nil {
		return err
	}
	if len(out.Copies)+len(out.Events)+len(out.DeadLetters) == 0 {
		return refuse(http.StatusNotFound, "message_unknown", "Nothing is known of the messageId %q. Either it never arrived, or it is older than what is kept; a call that was accepted a moment ago shows within a second.", id)
	}
	return r.answer(out)
}

// traceCall tells the way of one copy.
func (s *Server) traceCall(ctx context.Context, row store.CallRow) (tracedCall, error) {
	t := tracedCall{
		Environment: row.Environment, Configuration: row.Configuration, Route: row.Route, Scheme: row.Scheme,
		ReceivedAt: row.ReceivedAt, Frame: row.Frame, Index: row.Index, Type: row.Type, Name: row.Name,
		Outcome: row.Outcome, Reasons: showNotes(row.Reasons), EventCount: row.Events, AttrCount: row.Attributes,
		RawState: "kept",
	}
	record, item, err := s.rawCall(ctx, row.Frame, row.Index)
	switch {
	case errors.Is(err, stream.ErrGone):
		t.RawState = "gone"
	case err != nil:
		return t, fmt.Errorf("read the raw call: %w", err)
	default:
		// A client sent these bytes; what is no JSON must not spoil the answer.
		if t.Raw = item.JSON; !json.Valid(item.JSON) {
			t.Raw, _ = json.Marshal(string(item.JSON))
		}
		if destination, ok := s.catalog.Snapshot().Destination(row.Configuration); ok {
			now := destination.Translate.Call(translate.Call{
				Item: item, Type: record.CallType, Route: routeOf(record.Kind), ReceivedAt: record.ReceivedAt, MadeID: func() string { return row.MessageID },
			})
			t.Now = &now
		}
	}
	t.Steps = t.steps()
	return t, nil
}

// rawCall finds the call in its frame, as the pipeline counted it.
func (s *Server) rawCall(ctx context.Context, sequence uint64, index int) (*stream.Record, segment.Item, error) {
	frame, err := s.streams.Frame(ctx, stream.Calls, sequence)
	if err != nil {
		return nil, segment.Item{}, err
	}
	for i := range frame.Records {
		record := &frame.Records[i]
		body, err := openBody(record)
		if err != nil {
			body.Items = []segment.Item{{JSON: record.Body, Size: len(record.Body)}}
		}
		if index < len(body.Items) {
			return record, body.Items[index], nil
		}
		index -= len(body.Items)
	}
	return nil, segment.Item{}, fmt.Errorf("frame %d has no such call: %w", sequence, stream.ErrGone)
}

// openBody opens a body of the stream calls as its door did.
func openBody(record *stream.Record) (segment.Body, error) {
	if record.Kind == stream.Tracking {
		return segment.ParseTracking(record.CallType == "", record.Body)
	}
	return segment.ParseDelivery(record.Body)
}

func routeOf(kind stream.Kind) translate.Route {
	if kind == stream.Tracking {
		return translate.Tracking
	}
	return translate.Direct
}

var doors = map[string]string{
	"tracking":    "Segment's tracking API",
	"destination": "the destination route",
	"webhook":     "the webhook route",
}

func (t *tracedCall) steps() []tracedStep {
	door := doors[t.Route]
	if door == "" {
		door = t.Route
	}
	steps := []tracedStep{
		{"received", fmt.Sprintf("Received through %s at %s.", door, t.ReceivedAt.UTC().Format(time.RFC3339Nano))},
		{"verified", fmt.Sprintf("The credential (%s) is of the destination %s of %s.", t.Scheme, t.Configuration, t.Environment)},
		{"kept", fmt.Sprintf("Made durable in frame %d, call %d, before it was answered.", t.Frame, t.Index)},
	}
	if t.Outcome == reason.Duplicate {
		return append(steps, tracedStep{"deduplicated", "A call with this messageId was stored before, so this copy changed nothing."})
	}
	text := fmt.Sprintf("Stored: it became %s and %s.", counted(t.EventCount, "event"), counted(t.AttrCount, "attribute value"))
	switch t.Outcome {
	case reason.Ignored:
		text = "Ignored, as the configuration or the sender wished."
	case reason.Dropped:
		text = "Dropped: nothing of it could be kept."
	}
	for _, note := range t.Reasons {
		text += " " + note.Meaning
		if note.Detail != "" {
			text += " (" + note.Detail + ")"
		}
	}
	return append(steps, tracedStep{"translated", text})
}

func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// traceStored finds what the copies became, in the environments they reached.
func (s *Server) traceStored(ctx context.Context, id string, out *shownTrace) error {
	for _, environment := range s.environmentsOf(out.Copies) {
		events, err := s.store.Events(ctx, store.EventQuery{Environment: environment, MessageID: id, Span: store.Span{Limit: traceEvents}})
		if err != nil {
			return err
		}
		for _, event := range events.Items {
			out.Events = append(out.Events, showEvent(event))
		}
	}
	seen := map[fme.EnvironmentID]bool{}
	for _, copied := range out.Copies {
		// The store knows attributes by key; the call, translated again, knows
		// which keys those are. One translation for each environment is enough.
		if copied.Now == nil || seen[copied.Environment] {
			continue
		}
		seen[copied.Environment] = true
		for _, identity := range copied.Now.Identities {
			customer, found, err := s.store.Customer(ctx, copied.Environment, identity.TrafficType, identity.Key)
			if err != nil {
				return err
			}
			if found {
				out.addAttributes(copied.Environment, identity, customer)
			}
		}
	}
	return nil
}

// environmentsOf are those that the copies reached; all when no copy is known
// any more, since events are kept for longer than calls.
func (s *Server) environmentsOf(copies []tracedCall) []fme.EnvironmentID {
	var ids []fme.EnvironmentID
	for _, copied := range copies {
		if !slices.Contains(ids, copied.Environment) {
			ids = append(ids, copied.Environment)
		}
	}
	if len(copies) > 0 {
		return ids
	}
	for _, project := range s.catalog.Snapshot().Projects() {
		for _, e := range project.Environments {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

func (t *shownTrace) addAttributes(environment fme.EnvironmentID, identity fme.Identity, customer store.Customer) {
	for _, attribute := range identity.Attributes {
		value, ok := customer.Attributes[attribute.ID]
		if ok && value.MessageID == identity.MessageID {
			t.Attributes = append(t.Attributes, tracedAttribute{
				Environment: environment.Name(), TrafficType: identity.TrafficType, Key: identity.Key, ID: attribute.ID, AttributeValue: value,
			})
		}
	}
}

// traceLetters looks for the id among the newest dead letters.
func (s *Server) traceLetters(ctx context.Context, id string) ([]shownLetter, error) {
	found := []shownLetter{}
	q := stream.DeadLetterQuery{Limit: 500}
	for range traceLetterPages {
		letters, next, err := s.streams.DeadLetters(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("look through the dead letters: %w", err)
		}
		for _, letter := range letters {
			if letter.MessageID == id {
				found = append(found, showLetter(letter))
			}
		}
		if next == "" {
			break
		}
		q.Cursor = next
	}
	return found, nil
}

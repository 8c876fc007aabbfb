// Package trace follows one messageId through the system: the copies that
// came, what each became, where that is now.
//
// Contract: it reads and changes nothing. What was let go of is left out and
// said to be gone. Only what is in environments that the caller may see is
// looked at.
package trace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"causeway/internal/catalog"
	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/segment"
	"causeway/internal/store"
	"causeway/internal/stream"
	"causeway/internal/translate"
)

// Bounds of a trace: a messageId that is used again and again shows its newest.
const (
	maxCopies   = 50
	maxEvents   = 500
	letterPages = 20 // of 500, newest first
)

// Rooms is where a trace looks.
type Rooms struct {
	Snapshot *catalog.Snapshot
	Streams  *stream.Streams
	Store    store.Store
	// Visible says which projects the caller may see; nil: all.
	Visible func(project string) bool
}

// Trace is one messageId on its way.
type Trace struct {
	MessageID string
	// Copies are the calls that came with this id, newest first. One of them
	// was stored; the others are repeats, or went to other destinations.
	Copies      []Copy
	Events      []fme.Event
	Attributes  []Attribute
	DeadLetters []stream.DeadLetter
}

// Empty reports whether nothing is known of the id.
func (t *Trace) Empty() bool { return len(t.Copies)+len(t.Events)+len(t.DeadLetters) == 0 }

// Copy is one call, step by step.
type Copy struct {
	store.CallRow
	Steps []Step
	// Raw is the call as it stood in its body; nil when the stream has let go
	// of it. What its batch said of all calls is not in it.
	Raw json.RawMessage
	// Now is what the same call would become with the present configuration;
	// nil when that or the call is gone.
	Now *translate.Result
}

// Step is one sentence of the way.
type Step struct {
	Name string // received, verified, kept, deduplicated, translated
	Text string
}

// Attribute is an attribute whose newest value is of the traced call.
type Attribute struct {
	Environment fme.EnvironmentID
	TrafficType string
	Key         string
	ID          string
	store.AttributeValue
}

// Find follows a messageId.
func (r Rooms) Find(ctx context.Context, id string) (*Trace, error) {
	calls, err := r.Store.Calls(ctx, store.CallQuery{MessageID: id, Span: store.Span{Limit: maxCopies}})
	if err != nil {
		return nil, err
	}
	out := &Trace{MessageID: id}
	for _, row := range calls.Items {
		if !r.visible(row.Environment) {
			continue
		}
		copied, err := r.call(ctx, row)
		if err != nil {
			return nil, err
		}
		out.Copies = append(out.Copies, copied)
	}
	if err := r.stored(ctx, id, out); err != nil {
		return nil, err
	}
	out.DeadLetters, err = r.letters(ctx, id)
	return out, err
}

func (r Rooms) visible(environment fme.EnvironmentID) bool {
	if r.Visible == nil {
		return true
	}
	return r.Visible(environment.Project())
}

// call tells the way of one copy.
func (r Rooms) call(ctx context.Context, row store.CallRow) (Copy, error) {
	t := Copy{CallRow: row}
	record, item, err := r.rawCall(ctx, row.Frame, row.Index)
	switch {
	case errors.Is(err, stream.ErrGone):
	case err != nil:
		return t, fmt.Errorf("read the raw call: %w", err)
	default:
		// A client sent these bytes; what is no JSON must not spoil the answer.
		if t.Raw = item.JSON; !json.Valid(item.JSON) {
			t.Raw, _ = json.Marshal(string(item.JSON))
		}
		if destination, ok := r.Snapshot.Destination(row.Configuration); ok {
			now := destination.Translate.Call(callOf(record, item, row.MessageID))
			t.Now = &now
		}
	}
	t.Steps = t.steps()
	return t, nil
}

// rawCall finds the call in its frame, as the pipeline counted it.
func (r Rooms) rawCall(ctx context.Context, sequence uint64, index int) (*stream.Record, segment.Item, error) {
	frame, err := r.Streams.Frame(ctx, stream.Calls, sequence)
	if err != nil {
		return nil, segment.Item{}, err
	}
	for i := range frame.Records {
		record := &frame.Records[i]
		items := itemsOf(record)
		if index < len(items) {
			return record, items[index], nil
		}
		index -= len(items)
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

func (t *Copy) steps() []Step {
	door := doors[t.Route]
	if door == "" {
		door = t.Route
	}
	steps := []Step{
		{"received", fmt.Sprintf("Received through %s at %s.", door, t.ReceivedAt.UTC().Format(time.RFC3339Nano))},
		{"verified", fmt.Sprintf("The credential (%s) is of the destination %s of %s.", t.Scheme, t.Configuration, t.Environment)},
		{"kept", fmt.Sprintf("Made durable in frame %d, call %d, before it was answered.", t.Frame, t.Index)},
	}
	if t.Outcome == reason.Duplicate {
		return append(steps, Step{"deduplicated", "A call with this messageId was stored before, so this copy changed nothing."})
	}
	text := fmt.Sprintf("Stored: it became %s and %s.", counted(t.Events, "event"), counted(t.Attributes, "attribute value"))
	switch t.Outcome {
	case reason.Ignored:
		text = "Ignored, as the configuration or the sender wished."
	case reason.Dropped:
		text = "Dropped: nothing of it could be kept."
	}
	for _, note := range t.Reasons {
		info, _ := reason.Lookup(note.Code)
		text += " " + info.Meaning
		if note.Detail != "" {
			text += " (" + note.Detail + ")"
		}
	}
	return append(steps, Step{"translated", text})
}

func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// stored finds what the copies became, in the environments they reached.
func (r Rooms) stored(ctx context.Context, id string, out *Trace) error {
	for _, environment := range r.environmentsOf(out.Copies) {
		events, err := r.Store.Events(ctx, store.EventQuery{Environment: environment, MessageID: id, Span: store.Span{Limit: maxEvents}})
		if err != nil {
			return err
		}
		out.Events = append(out.Events, events.Items...)
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
			customer, found, err := r.Store.Customer(ctx, copied.Environment, identity.TrafficType, identity.Key)
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
func (r Rooms) environmentsOf(copies []Copy) []fme.EnvironmentID {
	var ids []fme.EnvironmentID
	for _, copied := range copies {
		if !slices.Contains(ids, copied.Environment) {
			ids = append(ids, copied.Environment)
		}
	}
	if len(copies) > 0 {
		return ids
	}
	for _, project := range r.Snapshot.Projects() {
		for _, e := range project.Environments {
			if r.visible(e.ID) {
				ids = append(ids, e.ID)
			}
		}
	}
	return ids
}

func (t *Trace) addAttributes(environment fme.EnvironmentID, identity fme.Identity, customer store.Customer) {
	for _, attribute := range identity.Attributes {
		value, ok := customer.Attributes[attribute.ID]
		if ok && value.MessageID == identity.MessageID {
			t.Attributes = append(t.Attributes, Attribute{
				Environment: environment, TrafficType: identity.TrafficType, Key: identity.Key, ID: attribute.ID, AttributeValue: value,
			})
		}
	}
}

// letters looks for the id among the newest dead letters.
func (r Rooms) letters(ctx context.Context, id string) ([]stream.DeadLetter, error) {
	var found []stream.DeadLetter
	q := stream.DeadLetterQuery{Limit: 500}
	for range letterPages {
		letters, next, err := r.Streams.DeadLetters(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("look through the dead letters: %w", err)
		}
		for _, letter := range letters {
			if letter.MessageID == id && r.visibleSource(letter.Source) {
				found = append(found, letter)
			}
		}
		if next == "" {
			break
		}
		q.Cursor = next
	}
	return found, nil
}

// visibleSource reports whether the caller may see what a source sent. One
// that was removed belongs to no project any more.
func (r Rooms) visibleSource(id string) bool {
	source, ok := r.Snapshot.Source(id)
	if !ok || len(source.Environments) == 0 {
		return r.Visible == nil
	}
	return r.visible(source.Environments[0].ID)
}

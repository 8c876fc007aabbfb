package pipeline

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
)

// Outgoing is where calls to Segment are scheduled.
type Outgoing interface {
	PublishOutbound(ctx context.Context, source string, origin uint64, calls []json.RawMessage) error
	LastOrigin(ctx context.Context, source string) (uint64, error)
	SetAside(ctx context.Context, id string, letters []stream.DeadLetter) error
}

// maxParcel bounds the calls published at once. Frames are kept whole, so that
// the position of what was published is always the end of a frame.
const maxParcel = 512 << 10

// forward sends the new impressions of a batch on their way. It runs inside
// the store's transaction: what it did before an error is done again with the
// same frames, and Outgoing recognises it by source and frame.
func (p *Pipeline) forward(ctx context.Context, w *impressionWork, written store.Written) error {
	out := make(map[string]*outgoing)
	for i := range w.batch.Impressions {
		imp := &w.batch.Impressions[i]
		if !written.Impressions[i] {
			w.count(store.Skip{Environment: imp.Environment, Type: "impression", Code: reason.RepeatedCall, Count: 1, Sample: imp.Flag + " " + imp.Key, Time: imp.ReceivedAt})
			continue
		}
		for _, source := range w.snapshot.Sources(imp.Environment) {
			w.send(out, source, imp, w.frames[i])
		}
	}
	for _, r := range w.replays {
		if source, ok := w.snapshot.Source(r.source); ok {
			w.send(out, source, &r.impression, r.frame)
			continue
		}
		outgoingTo(out, r.source).setAside(&r.impression, reason.ConfigurationGone, r.frame)
	}
	for id, o := range out {
		if err := p.publish(ctx, id, o); err != nil {
			return err
		}
	}
	return nil
}

// outgoing is what one source gets out of one batch.
type outgoing struct {
	source string
	frames []uint64 // in order, each once
	calls  map[uint64][]json.RawMessage
	ids    map[uint64][]string // messageIds beside calls
	aside  map[uint64][]stream.DeadLetter
}

func outgoingTo(out map[string]*outgoing, source string) *outgoing {
	o := out[source]
	if o == nil {
		o = &outgoing{source: source, calls: map[uint64][]json.RawMessage{}, ids: map[uint64][]string{}, aside: map[uint64][]stream.DeadLetter{}}
		out[source] = o
	}
	return o
}

// send translates one impression for one source.
func (w *impressionWork) send(out map[string]*outgoing, source *catalog.Source, imp *fme.Impression, frame uint64) {
	apiID := ""
	if environment, ok := w.snapshot.Environment(imp.Environment); ok {
		apiID = environment.APIID
	}
	sent := source.Translate.Impression(imp.Environment, apiID, *imp)
	if len(sent.Call) > segment.MaxCallBytes {
		// Segment takes no such call, whoever replays it (R45).
		sent.Reasons = append(sent.Reasons, reason.Note{Code: reason.TooLarge})
		sent.Call = nil
	}
	for _, note := range sent.Reasons {
		w.count(store.Skip{
			Environment: imp.Environment, Configuration: source.ID, Type: "outgoing", Code: note.Code,
			Count: 1, Sample: imp.Flag + " " + imp.Key, Time: imp.ReceivedAt,
		})
	}
	o := outgoingTo(out, source.ID)
	if sent.Call != nil {
		o.calls[frame] = append(o.calls[frame], sent.Call)
		o.ids[frame] = append(o.ids[frame], sent.MessageID)
		o.note(frame)
		return
	}
	if slices.ContainsFunc(sent.Reasons, func(n reason.Note) bool { return n.Code == reason.TrafficTypeUnknown }) {
		o.setAside(imp, reason.TrafficTypeUnknown, frame)
	}
}

// setAside keeps an impression for replay (R44).
func (o *outgoing) setAside(imp *fme.Impression, code reason.Code, frame uint64) {
	body, err := json.Marshal(imp)
	if err != nil {
		panic(fmt.Sprintf("an impression does not marshal: %v", err)) // plain fields only
	}
	o.aside[frame] = append(o.aside[frame], stream.DeadLetter{
		Source: o.source, Kind: "impression", Environment: string(imp.Environment),
		MessageID: imp.Flag + "/" + imp.Key, Reason: code, At: imp.ReceivedAt, Body: body,
	})
	o.note(frame)
}

func (o *outgoing) note(frame uint64) {
	if n := len(o.frames); n == 0 || o.frames[n-1] != frame {
		o.frames = append(o.frames, frame)
	}
}

// publish schedules what one source gets, whole frames at a time.
func (p *Pipeline) publish(ctx context.Context, source string, o *outgoing) error {
	slices.Sort(o.frames) // replays come after the impressions of later frames
	o.frames = slices.Compact(o.frames)
	last, err := p.opt.Streams.LastOrigin(ctx, source)
	if err != nil {
		return fmt.Errorf("read what was last scheduled for %s: %w", source, err)
	}
	var parcel []json.RawMessage
	var ids []string
	bytes := 0
	for i, frame := range o.frames {
		if letters := o.aside[frame]; letters != nil {
			if err := p.opt.Streams.SetAside(ctx, fmt.Sprintf("impressions-%d-%s", frame, source), letters); err != nil {
				return fmt.Errorf("set impressions of %s aside: %w", source, err)
			}
		}
		if frame > last { // else a crash came between publishing and committing
			parcel, ids = append(parcel, o.calls[frame]...), append(ids, o.ids[frame]...)
			for _, call := range o.calls[frame] {
				bytes += len(call)
			}
		}
		if len(parcel) == 0 || (bytes < maxParcel && i < len(o.frames)-1) {
			continue
		}
		if err := p.publishParcel(ctx, source, frame, parcel, ids); err != nil {
			return err
		}
		parcel, ids, bytes = nil, nil, 0
	}
	return nil
}

// publishParcel schedules calls up to and including those of a frame. When the
// source's outbound budget is used up they wait among the dead letters
// instead: one dead endpoint must not stop the others (R47). A disk that is
// nearly full is nobody's endpoint: then the batch waits.
func (p *Pipeline) publishParcel(ctx context.Context, source string, frame uint64, calls []json.RawMessage, ids []string) error {
	err := p.opt.Streams.PublishOutbound(ctx, source, frame, calls)
	if err == nil {
		return nil
	}
	if !errors.Is(err, stream.ErrFull) || errors.Is(err, stream.ErrDiskLow) {
		return fmt.Errorf("schedule %d calls for %s: %w", len(calls), source, err)
	}
	p.opt.Log.Warn("the outbound budget is used up, calls are set aside", "source", source, "calls", len(calls))
	now := time.Now().UTC()
	letters := make([]stream.DeadLetter, len(calls))
	for i, call := range calls {
		letters[i] = stream.DeadLetter{Source: source, Kind: "call", MessageID: ids[i], Reason: reason.OutboundFull, At: now, Body: call}
	}
	if err := p.opt.Streams.SetAside(ctx, fmt.Sprintf("full-%d-%s", frame, source), letters); err != nil {
		return fmt.Errorf("set %d calls of %s aside: %w", len(calls), source, err)
	}
	return nil
}

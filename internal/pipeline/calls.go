package pipeline

import (
	"encoding/hex"
	"runtime"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"causeway/internal/catalog"
	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/segment"
	"causeway/internal/store"
	"causeway/internal/stream"
	"causeway/internal/translate"
)

// calls prepares frames of Segment calls. Frames are translated side by side;
// the batch holds them in order.
func (p *Pipeline) calls(frames []stream.Frame) *prepared {
	snapshot := p.opt.Snapshot()
	perFrame := make([][]store.Call, len(frames))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, frame := range frames {
		g.Go(func() error {
			perFrame[i] = p.callsOf(snapshot, frame)
			return nil
		})
	}
	_ = g.Wait() // no frame fails: what cannot be read becomes a dropped call
	all := 0
	for _, calls := range perFrame {
		all += len(calls)
	}
	batch := &store.Batch{Calls: make([]store.Call, 0, all)}
	for _, calls := range perFrame {
		batch.Calls = append(batch.Calls, calls...)
	}
	return &prepared{batch: batch, committed: func(w store.Written) { p.showCalls(batch.Calls, w) }}
}

// callsOf translates the calls of one frame.
func (p *Pipeline) callsOf(snapshot *catalog.Snapshot, frame stream.Frame) []store.Call {
	var calls []store.Call
	for i := range frame.Records {
		record := &frame.Records[i]
		destination, found := snapshot.Destination(record.Configuration)
		body, err := openBody(record)
		if err != nil {
			// The door checked the body, so this is a body of another version.
			p.opt.Log.Error("cannot read an accepted body", "stream", stream.Calls, "frame", frame.Sequence, "record", i, "err", err)
			body = segment.Body{Items: []segment.Item{{JSON: record.Body, Size: len(record.Body)}}}
		}
		calls = slices.Grow(calls, len(body.Items))
		for j, item := range body.Items {
			calls = append(calls, store.Call{
				Environment:   fme.EnvironmentID(record.Environment),
				Configuration: record.Configuration,
				Route:         routeName(record.Kind),
				Scheme:        record.Scheme,
				ReceivedAt:    record.ReceivedAt,
				Frame:         frame.Sequence,
				Index:         len(calls),
			})
			call := &calls[len(calls)-1]
			if !found {
				gone(call, madeID(record, j))
				continue
			}
			incoming := translate.Call{Item: item, Type: record.CallType, Route: route(record.Kind), ReceivedAt: record.ReceivedAt}
			if record.Kind == stream.Tracking {
				incoming.MadeID = func() string { return madeID(record, j) }
			}
			fill(call, destination.Translate.Call(incoming))
		}
	}
	return calls
}

// openBody opens the body of a record of the stream calls, as its door did.
func openBody(record *stream.Record) (segment.Body, error) {
	if record.Kind == stream.Tracking {
		return segment.ParseTracking(record.CallType == "", record.Body)
	}
	return segment.ParseDelivery(record.Body)
}

func fill(call *store.Call, result translate.Result) {
	call.ID = result.CallID
	call.MessageID = result.MessageID
	call.Type = result.Type
	call.Name = result.Name
	call.Outcome = result.Outcome
	call.Reasons = result.Reasons
	call.Events = result.Events
	call.Identities = result.Identities
}

// gone records a call whose destination was removed while it waited.
func gone(call *store.Call, made string) {
	if made == "" {
		made = "cw-" + strconv.FormatUint(call.Frame, 36) + "-" + strconv.Itoa(call.Index)
	}
	call.ID = fme.NewID("call", call.Configuration, made)
	call.MessageID = made
	call.Outcome = reason.Dropped
	call.Reasons = []reason.Note{{Code: reason.ConfigurationGone, Detail: call.Configuration}}
}

// madeID is the messageId of the i-th call of a record when it brought none: on
// the tracking API random, yet the same each time the record is read (R18). On
// the other routes translate makes it from the call itself.
func madeID(record *stream.Record, i int) string {
	if record.Kind != stream.Tracking {
		return ""
	}
	id := fme.NewID("message", string(record.Seed[:]), strconv.Itoa(i))
	return "cw-" + hex.EncodeToString(id[:])
}

func route(kind stream.Kind) translate.Route {
	if kind == stream.Tracking {
		return translate.Tracking
	}
	return translate.Direct
}

func routeName(kind stream.Kind) string {
	switch kind {
	case stream.Tracking:
		return "tracking"
	case stream.Destination:
		return "destination"
	case stream.Webhook:
		return "webhook"
	}
	return "unknown"
}

package customer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"causeway/internal/fme"
	"causeway/internal/store"
	"causeway/internal/stream"
)

// ErrBacklog means that requests which were accepted are not stored yet. They
// may be about the key, so nothing was erased.
var ErrBacklog = errors.New("accepted requests wait to be stored; nothing was erased")

// ErasedAction is the action of an erasure in the audit log; its subject is a
// fingerprint.
const ErasedAction = "customer.erased"

// Erasure is what Erase removed.
type Erasure struct {
	store.Erased
	DeadLetters int `json:"deadLetters"`
}

// String is the counts as a person reads them.
func (e Erasure) String() string {
	return fmt.Sprintf("%d events, %d impressions, %d attribute values, %d unique keys, %d dead letters; %d calls and %d samples lead to it no more",
		e.Events, e.Impressions, e.Attributes, e.UniqueKeys, e.DeadLetters, e.Calls, e.Samples)
}

// How long Erase waits for what was accepted to be stored, and how often it
// looks.
const (
	backlogWait = 20 * time.Second
	backlogLook = 20 * time.Millisecond
)

// Erase removes what is kept of a customer in the store and among the dead
// letters. What stays: counts; the raw requests in the streams, which nothing
// leads to any more, until they are trimmed; calls that wait for Segment.
func (r Rooms) Erase(ctx context.Context, w Who) (Erasure, error) {
	if err := r.caughtUp(ctx); err != nil {
		return Erasure{}, err
	}
	erased, err := r.Store.Erase(ctx, w.Environment, w.TrafficType, w.Key)
	if err != nil {
		return Erasure{}, err
	}
	letters, err := r.Streams.DiscardDeadLetters(ctx, stream.DeadLetterQuery{Match: w.wrote})
	return Erasure{erased, letters}, err
}

// caughtUp waits until everything that is in the streams now is stored.
func (r Rooms) caughtUp(ctx context.Context) error {
	for _, name := range []stream.Name{stream.Calls, stream.Impressions} {
		_, last, _, err := r.Streams.Bounds(ctx, name)
		if err != nil {
			return err
		}
		for end := time.Now().Add(cmp.Or(r.Wait, backlogWait)); ; {
			position, err := r.Store.Position(ctx, string(name))
			if err != nil {
				return err
			}
			if position >= last {
				break
			}
			if time.Now().After(end) {
				return ErrBacklog
			}
			select {
			case <-time.After(backlogLook):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// wrote reports whether a dead letter is about the customer.
func (w Who) wrote(letter stream.DeadLetter) bool {
	if letter.Environment != "" && letter.Environment != string(w.Environment) {
		return false
	}
	if letter.Kind == stream.DeadImpression {
		var seen fme.Impression
		return json.Unmarshal(letter.Body, &seen) == nil && seen.Key == w.Key && w.saw(seen)
	}
	var call struct {
		Properties struct {
			Key             string `json:"key"`
			TrafficTypeName string `json:"trafficTypeName"`
		} `json:"properties"`
	}
	return json.Unmarshal(letter.Body, &call) == nil && call.Properties.Key == w.Key && (call.Properties.TrafficTypeName == "" || call.Properties.TrafficTypeName == w.TrafficType)
}

// Package store says what Causeway remembers of what happened, and how it is
// asked: events, impressions, attributes, call outcomes and delivery attempts.
// store/duckdb keeps it on one machine. store/storetest is the suite that any
// implementation must pass.
//
// Contract of a Store:
//   - Write is one transaction: all rows of the batch and the position, or
//     nothing. When it returns nil, a crash loses none of it.
//   - What was written before (same ID within the dedup window) is not written
//     again, and is reported as a duplicate (R18, R48).
//   - Queries see whole batches.
package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"causeway/internal/fme"
	"causeway/internal/reason"
)

// ErrPosition means that a batch does not follow the position that is stored:
// somebody else wrote in between. The writer must start again from Position.
var ErrPosition = errors.New("the batch does not follow the stored position")

// Batch is what one consumer made of the frames (From, To] of its stream.
type Batch struct {
	Consumer string // "calls" or "impressions"
	From, To uint64 // stream sequences; From must equal the stored position

	Calls       []Call
	Impressions []fme.Impression // ID set
	Counts      []fme.ImpressionCount
	UniqueKeys  []fme.UniqueKey
	Events      []fme.Event // of Split SDKs; ID set, or zero: always new
	Telemetry   []fme.Telemetry
	// Skips count, for impressions and SDK events, what R22 counts for calls.
	Skips []Skip
}

// Skip is one reason that applied to Count impressions or SDK events.
type Skip struct {
	Environment   fme.EnvironmentID
	Configuration string // the source, where one decided
	Type          string // "impression" or "sdk_event"
	Code          reason.Code
	Count         int64
	Sample        string // one line a person recognises the first of them by
	Time          time.Time
}

// Call is one Segment call and what became of it.
type Call struct {
	// ID tells repeats of a call that made nothing apart from new ones.
	ID            fme.ID
	Environment   fme.EnvironmentID
	Configuration string // destination id
	Route         string // "tracking", "destination", "webhook"
	Scheme        string // how the request proved itself
	MessageID     string // whole
	Type          string
	Name          string // event type, or the page's name as sent; for lists
	ReceivedAt    time.Time
	Frame         uint64 // sequence of the frame it came in, in the stream calls
	Index         int    // its place among the calls of the frame
	Outcome       reason.Outcome
	Reasons       []reason.Note

	Events     []fme.Event    // ID set
	Identities []fme.Identity // ID set
}

// Written says what of a batch was new.
type Written struct {
	// Calls holds the final outcome of each call of the batch, in order: as
	// given, or reason.Duplicate.
	Calls []reason.Outcome
	// Impressions says of each impression of the batch whether it was new.
	Impressions []bool
}

// Store keeps what happened.
type Store interface {
	// Position returns the last stream sequence of a consumer that is stored;
	// 0 before the first batch.
	Position(ctx context.Context, consumer string) (uint64, error)
	// Write stores a batch. beforeCommit (may be nil) runs inside the
	// transaction, once it is known what is new, and may add to batch.Skips: an
	// error rolls everything back. Write returns ErrPosition when batch.From is
	// not the position.
	Write(ctx context.Context, batch *Batch, beforeCommit func(Written) error) (Written, error)
	// WriteDeliveries records delivery attempts.
	WriteDeliveries(ctx context.Context, attempts []Delivery) error
	// Retain deletes what is older than the policy says, as of now.
	Retain(ctx context.Context, policy Retention, now time.Time) error

	Events(ctx context.Context, q EventQuery) (Page[fme.Event], error)
	Impressions(ctx context.Context, q ImpressionQuery) (Page[fme.Impression], error)
	Calls(ctx context.Context, q CallQuery) (Page[CallRow], error)
	Customer(ctx context.Context, environment fme.EnvironmentID, trafficType, key string) (Customer, bool, error)
	// Keys finds keys that begin with a text, in order; an empty trafficType is
	// any. Only what events and attributes know is looked at.
	Keys(ctx context.Context, environment fme.EnvironmentID, trafficType, prefix string) ([]KeyFound, error)
	// Links finds the keys that came in the same calls as a key, newest first.
	Links(ctx context.Context, environment fme.EnvironmentID, trafficType, key string) ([]Link, error)
	// Erase removes what is kept of a key, in one transaction: its events,
	// attributes and identifications; impressions of its traffic type or of
	// none, and unique keys, which have none; and what leads from calls, samples
	// and delivery attempts to it. Counts stay. Remembered ids stay too, so that
	// a repeat of what was erased is a duplicate and not stored again.
	Erase(ctx context.Context, environment fme.EnvironmentID, trafficType, key string) (Erased, error)
	// AttributeUses lists the attributes that keys of a traffic type have, those
	// of most keys first.
	AttributeUses(ctx context.Context, environment fme.EnvironmentID, trafficType string) ([]AttributeUse, error)
	EventTypes(ctx context.Context, environment fme.EnvironmentID, now time.Time) ([]EventType, error)
	// EventTypeDays counts the events of a type by day of receipt, oldest first,
	// from from's day to to's day, both included. Days without are left out.
	EventTypeDays(ctx context.Context, environment fme.EnvironmentID, eventType string, from, to time.Time) ([]EventTypeDay, error)
	// Reasons counts outcomes and reasons since a time.
	Reasons(ctx context.Context, environment fme.EnvironmentID, since time.Time) ([]ReasonCount, error)
	// Flags sums, for each flag of an environment, impressions, counts and
	// unique keys since a time.
	Flags(ctx context.Context, environment fme.EnvironmentID, since time.Time) ([]FlagCount, error)
	Deliveries(ctx context.Context, q DeliveryQuery) (Page[Delivery], error)
	// Traffic counts what an environment received, in steps of at least a
	// second from from (included) to to (not included), oldest first. Steps in
	// which nothing came are there too; at most 2,000 are given. Fractions of a
	// second of from and step are cut off: the first step begins that much earlier.
	Traffic(ctx context.Context, environment fme.EnvironmentID, from, to time.Time, step time.Duration) ([]TrafficStep, error)
	// DeliveryTotals sums the attempts that began since a time, by source and
	// outcome.
	DeliveryTotals(ctx context.Context, since time.Time) ([]DeliveryTotal, error)

	// Analyze measures metrics over one exposure; the results are in the order
	// of the queries. What the queries see is one moment's.
	Analyze(ctx context.Context, e Exposure, queries []MetricQuery) ([]MetricResult, error)
	// Exposures counts who saw what, and what is doubtful about it.
	Exposures(ctx context.Context, e Exposure) (ExposureReport, error)
	// SaveReading keeps one result of an experiment; one of the same moment is
	// replaced.
	SaveReading(ctx context.Context, r Reading) error
	// Readings lists the results of an experiment that were computed since a
	// time, oldest first.
	Readings(ctx context.Context, project, experiment string, since time.Time) ([]Reading, error)
	// LastReading is the newest result of an experiment; false: there is none.
	LastReading(ctx context.Context, project, experiment string) (Reading, bool, error)

	// Check reports whether the store can be written.
	Check(ctx context.Context) error
	// Size is the bytes it takes on disk.
	Size() (int64, error)
	Close() error
}

// Retention is how long each kind is kept. Zero keeps it forever.
type Retention struct {
	Events      time.Duration // by time of receipt; default 90 days
	Impressions time.Duration // with counts and unique keys; default 90 days
	EventTypes  time.Duration // the listing; default 150 days
	Calls       time.Duration // call outcomes; default 30 days
	Deliveries  time.Duration // default 30 days
	Telemetry   time.Duration // default 30 days
	Readings    time.Duration // results of experiments; default 400 days
	// Dedup is how long an id is remembered (R18: at least 7 days).
	Dedup time.Duration
}

// Page is one page of a list, newest first. NextCursor is empty on the last.
type Page[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"nextCursor,omitempty"`
}

// ErrCursor means that a cursor was not made by this list.
var ErrCursor = errors.New("not a cursor of this list")

// Span is what every list query has in common. Zero times do not bound; a zero
// Limit is 50, and at most 500 are given.
type Span struct {
	From, To time.Time // half-open, on the row's own time
	Limit    int
	Cursor   string
}

// EventQuery selects events; empty fields do not restrict.
type EventQuery struct {
	Environment                            fme.EnvironmentID
	TrafficType, Key, EventType, MessageID string // MessageID as given to the call; compared with foreignId, cut alike
	Span
}

// ImpressionQuery selects impressions; empty fields do not restrict.
type ImpressionQuery struct {
	Environment          fme.EnvironmentID
	Flag, Key, Treatment string
	Span
}

// CallQuery selects calls; empty fields do not restrict.
type CallQuery struct {
	Environment   fme.EnvironmentID // empty: every environment
	MessageID     string
	Outcome       reason.Outcome
	Reason        reason.Code
	Type          string
	Configuration string
	Span          // on ReceivedAt
}

// CallRow is one call as the list shows it.
type CallRow struct {
	Environment   fme.EnvironmentID `json:"environment"`
	Configuration string            `json:"configuration"`
	Route         string            `json:"route"`
	Scheme        string            `json:"scheme"`
	MessageID     string            `json:"messageId"`
	Type          string            `json:"type"`
	Name          string            `json:"name,omitempty"`
	ReceivedAt    time.Time         `json:"receivedAt"`
	Outcome       reason.Outcome    `json:"outcome"`
	Reasons       []reason.Note     `json:"reasons"`
	Events        int               `json:"events"`     // how many it became
	Attributes    int               `json:"attributes"` // how many values it set or removed
	Frame         uint64            `json:"frame"`
	Index         int               `json:"index"`
}

// EventType is one type of event that was received within the retention of
// the listing.
type EventType struct {
	Name           string    `json:"name"`
	TrafficTypes   []string  `json:"trafficTypes"`
	SevenDayCount  int64     `json:"sevenDayCount"`
	FirstSeen      time.Time `json:"firstSeen"` // receipt
	LastSeen       time.Time `json:"lastSeen"`
	ShareWithValue float64   `json:"shareWithValue"` // 0 to 1, of all listed
}

// ReasonCount is how often something became of calls, impressions or events.
type ReasonCount struct {
	Configuration string         `json:"configuration"`
	Type          string         `json:"type"`
	Outcome       reason.Outcome `json:"outcome,omitempty"` // set, and Code empty: calls with this outcome
	Code          reason.Code    `json:"code,omitempty"`    // set: how many this reason applied to
	Count         int64          `json:"count"`
	Sample        string         `json:"sample,omitempty"` // messageId or summary of one of the newest
}

// FlagCount sums what is known of one flag.
type FlagCount struct {
	Flag        string    `json:"flag"`
	Impressions int64     `json:"impressions"`
	Evaluations int64     `json:"evaluations"` // impressions and counts together
	UniqueKeys  int64     `json:"uniqueKeys"`  // of impressions and unique-key reports
	LastSeen    time.Time `json:"lastSeen"`
}

// Delivery is one attempt to send a batch to Segment (R46).
type Delivery struct {
	ID        string          `json:"id"` // of the batch; all attempts of it share it
	Source    string          `json:"source"`
	Attempt   int             `json:"attempt"` // from 1
	StartedAt time.Time       `json:"startedAt"`
	Duration  time.Duration   `json:"durationNs"`
	Calls     int             `json:"calls"`
	Bytes     int             `json:"bytes"`            // of the body before compression
	Status    int             `json:"status,omitempty"` // 0: no answer
	Outcome   string          `json:"outcome"`          // delivered, retry, paused, halved, dead
	Answer    string          `json:"answer,omitempty"` // first kilobyte of the body
	Error     string          `json:"error,omitempty"`
	Sample    json.RawMessage `json:"sample,omitempty"` // first call of the batch
}

// DeliveryQuery selects attempts; empty fields do not restrict.
type DeliveryQuery struct {
	Source, Outcome string
	Span            // on StartedAt
}

// TrafficStep is what came in one step of time.
type TrafficStep struct {
	From  time.Time
	Calls map[reason.Outcome]int64 // Segment calls by what became of them
	// Attributes is how many values calls set or removed.
	Events, Attributes, Impressions int64
}

// DeliveryTotal sums the attempts of one source that ended alike.
type DeliveryTotal struct {
	Source, Outcome string
	Attempts, Calls int64
	P95             time.Duration // of one attempt
}

package stream

import (
	"context"
	"encoding/json"
	"time"

	"causeway/internal/reason"
)

// The kinds of dead letters.
const (
	DeadCall       = "call"       // Body is a Segment track call
	DeadImpression = "impression" // Body is one fme.Impression as JSON
)

// A DeadLetter is one item that was set aside: kept with why, until somebody
// replays or discards it.
type DeadLetter struct {
	Sequence    uint64          `json:"sequence"`              // set by the stream; names the letter
	Source      string          `json:"source"`                // id of the source it was on its way to
	Environment string          `json:"environment,omitempty"` // "project/environment"
	Kind        string          `json:"kind"`                  // DeadCall or DeadImpression
	MessageID   string          `json:"messageId,omitempty"`
	Reason      reason.Code     `json:"reason"`
	Status      int             `json:"status,omitempty"` // HTTP status of the refusal, 0: none
	Answer      string          `json:"answer,omitempty"` // beginning of the refusal's body
	At          time.Time       `json:"at"`               // when it was set aside
	Body        json.RawMessage `json:"body"`
}

// DeadLetterQuery selects dead letters. Empty fields select everything.
type DeadLetterQuery struct {
	Source    string
	Reason    reason.Code
	Sequences []uint64 // these letters only
	// Cursor goes on where an earlier list ended; Limit is the page's size,
	// default 50, at most 1,000. Replay and discard ignore both.
	Cursor string
	Limit  int
	// Progress, when set, is called by Replay now and then with the counts so far.
	Progress func(ReplayResult) `json:"-"`
}

// DeadLetterCount says how many letters wait for one source and reason.
type DeadLetterCount struct {
	Source string      `json:"source"`
	Reason reason.Code `json:"reason"`
	Count  int         `json:"count"`
}

// ReplayResult says what a replay did, or would do.
type ReplayResult struct {
	Matched     int    `json:"matched"`
	Calls       int    `json:"calls"`             // of the matched, calls
	Impressions int    `json:"impressions"`       // of the matched, impressions
	Replayed    int    `json:"replayed"`          // on their way again and no longer dead
	Failed      int    `json:"failed"`            // still dead
	Problem     string `json:"problem,omitempty"` // why the first of Failed failed
}

// SetAside makes the letters durable. Setting them aside again under the same
// id within ten minutes does nothing; later it makes copies, which whoever
// receives them after a replay drops by their messageId.
func (s *Streams) SetAside(ctx context.Context, id string, letters []DeadLetter) error {
	return errNotYet
}

// DeadLetters lists letters, newest first, and the cursor of the next page;
// an empty cursor means that there is none.
func (s *Streams) DeadLetters(ctx context.Context, q DeadLetterQuery) (letters []DeadLetter, next string, err error) {
	return nil, "", errNotYet
}

// CountDeadLetters counts what waits, by source and reason.
func (s *Streams) CountDeadLetters(ctx context.Context) ([]DeadLetterCount, error) {
	return nil, errNotYet
}

// Replay sends the selected letters on their way again, oldest first: calls to
// their source's outbound stream, impressions to Impressions as records of
// kind ReplayedImpression. A letter is removed once it is durable there; a
// crash between the two repeats it with the same messageId. With dryRun it
// only counts.
func (s *Streams) Replay(ctx context.Context, q DeadLetterQuery, dryRun bool) (ReplayResult, error) {
	return ReplayResult{}, errNotYet
}

// DiscardDeadLetters removes the selected letters for good and returns how
// many there were.
func (s *Streams) DiscardDeadLetters(ctx context.Context, q DeadLetterQuery) (int, error) {
	return 0, errNotYet
}

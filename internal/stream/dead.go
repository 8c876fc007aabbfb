package stream

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"causeway/internal/reason"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrCursor means that a cursor was not made by the list it is given to.
var ErrCursor = errors.New("not a cursor of this list")

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
	// Match, when set, selects of these only the letters it is true for.
	Match func(DeadLetter) bool `json:"-"`
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

// Letters of one source and reason that are set aside together share a
// message, because each message costs a sync. Its subject says what is in it,
// so that filtering and counting need not read it: dead.<source>.<reason>.<n>.
const (
	deadStream        = "dead"
	lettersPerMessage = 100 // a letter's sequence is its message's times this, plus its place
	letterBytes       = 256 << 10
	deadWindow        = 10 * time.Minute
	defaultPage       = 50
	largestPage       = 1000
)

func (s *Streams) openDead(ctx context.Context) error {
	return s.ensureStream(ctx, jetstream.StreamConfig{
		Name:     deadStream,
		Subjects: []string{"dead.*.*.*"},
		Discard:  jetstream.DiscardNew,
		MaxBytes: s.options.Budget.Dead,

		Duplicates: deadWindow,
	})
}

// SetAside makes the letters durable. Setting the same letters aside again
// under the same id within ten minutes does nothing; later it makes copies,
// which whoever receives them after a replay drops by their messageId.
//
// Errors: ErrFull, ErrUnavailable, ErrTooLarge, ctx's own. After an error some
// of the letters may be set aside; do it again.
func (s *Streams) SetAside(ctx context.Context, id string, letters []DeadLetter) error {
	for i, group := range groupLetters(letters) {
		if err := s.setGroupAside(ctx, fmt.Sprintf("%s/%d", id, i), group); err != nil {
			s.metrics.refuse(deadStream, err)
			return fmt.Errorf("set aside %d dead letters: %w", len(letters), err)
		}
	}
	return nil
}

// groupLetters splits letters into what goes into one message each, in order.
func groupLetters(letters []DeadLetter) [][]DeadLetter {
	type kind struct {
		source string
		reason reason.Code
	}
	var groups [][]DeadLetter
	open := make(map[kind]int) // group that still takes letters
	size := make(map[kind]int)
	for _, letter := range letters {
		k := kind{letter.Source, letter.Reason}
		at, ok := open[k]
		if !ok || len(groups[at]) == lettersPerMessage || size[k]+len(letter.Body) > letterBytes {
			at = len(groups)
			groups = append(groups, nil)
			open[k], size[k] = at, 0
		}
		groups[at] = append(groups[at], letter)
		size[k] += len(letter.Body)
	}
	return groups
}

// setGroupAside publishes letters of one source and reason as one message.
func (s *Streams) setGroupAside(ctx context.Context, id string, group []DeadLetter) error {
	source, code := group[0].Source, group[0].Reason
	if err := errors.Join(checkSlug("source", source), checkSlug("reason", string(code))); err != nil {
		return err
	}
	body, err := encodeLetters(group)
	if err != nil {
		return err
	}
	if len(body) > s.maxMessage() {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, len(body))
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.AppendWait)
	defer cancel()
	msg := &nats.Msg{Subject: fmt.Sprintf("dead.%s.%s.%d", source, code, len(group)), Data: body}
	ack, err := s.publish(ctx, msg, jetstream.WithMsgID(id), jetstream.WithExpectStream(deadStream))
	if err == nil && !ack.Duplicate {
		s.metrics.frame(deadStream, len(group), len(body))
	}
	return err
}

// encodeLetters writes letters as JSON lines. A body that is no JSON becomes
// JSON text, because it must be kept all the same.
func encodeLetters(group []DeadLetter) ([]byte, error) {
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	lines.SetEscapeHTML(false)
	for _, letter := range group {
		letter.Sequence = 0
		if !json.Valid(letter.Body) {
			text, err := json.Marshal(string(letter.Body))
			if err != nil {
				return nil, fmt.Errorf("encode a dead letter: %w", err)
			}
			letter.Body = text
		}
		if err := lines.Encode(letter); err != nil {
			return nil, fmt.Errorf("encode a dead letter: %w", err)
		}
	}
	return b.Bytes(), nil
}

// letters reads the letters of a message.
func (m stored) letters() ([]DeadLetter, error) {
	var letters []DeadLetter
	for lines := json.NewDecoder(bytes.NewReader(m.data)); ; {
		letter := DeadLetter{Sequence: m.sequence*lettersPerMessage + uint64(len(letters))}
		sequence := letter.Sequence
		err := lines.Decode(&letter)
		if err == io.EOF {
			return letters, nil
		}
		if err != nil || len(letters) == lettersPerMessage {
			return nil, fmt.Errorf("%w: dead letters %d: %w", ErrCorrupt, m.sequence, err)
		}
		letter.Sequence = sequence
		letters = append(letters, letter)
	}
}

// filter is the subject that the query selects.
func (q DeadLetterQuery) filter() (string, error) {
	source, code := "*", "*"
	if q.Source != "" {
		source = q.Source
		if err := checkSlug("source", source); err != nil {
			return "", err
		}
	}
	if q.Reason != "" {
		code = string(q.Reason)
		if err := checkSlug("reason", code); err != nil {
			return "", err
		}
	}
	return "dead." + source + "." + code + ".*", nil
}

// selects reports whether the query selects the letter; source and reason are
// the filter's business.
func (q DeadLetterQuery) selects(letter DeadLetter) bool {
	return (len(q.Sequences) == 0 || slices.Contains(q.Sequences, letter.Sequence)) && (q.Match == nil || q.Match(letter))
}

// DeadLetters lists letters, newest first, and the cursor of the next page;
// an empty cursor means that there is none.
func (s *Streams) DeadLetters(ctx context.Context, q DeadLetterQuery) (letters []DeadLetter, next string, err error) {
	filter, err := q.filter()
	if err != nil {
		return nil, "", err
	}
	var before uint64
	if q.Cursor != "" {
		if before, err = strconv.ParseUint(q.Cursor, 10, 64); err != nil || before == 0 {
			return nil, "", fmt.Errorf("cursor %q: %w", q.Cursor, ErrCursor)
		}
	}
	limit := q.Limit
	if limit <= 0 {
		limit = defaultPage
	}
	limit = min(limit, largestPage)
	var newest uint64 // the message that before lies in is read too
	if before > 0 {
		newest = before/lettersPerMessage + 1
	}
	err = s.backwards(ctx, deadStream, filter, newest, func(m stored) (bool, error) {
		some, err := m.letters()
		if err != nil {
			return false, err
		}
		for i := len(some) - 1; i >= 0; i-- {
			if before > 0 && some[i].Sequence >= before || !q.selects(some[i]) {
				continue
			}
			if len(letters) == limit {
				next = strconv.FormatUint(letters[limit-1].Sequence, 10)
				return false, nil
			}
			letters = append(letters, some[i])
		}
		return true, nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("list dead letters: %w", err)
	}
	return letters, next, nil
}

// CountDeadLetters counts what waits, by source and reason, in that order.
func (s *Streams) CountDeadLetters(ctx context.Context) ([]DeadLetterCount, error) {
	info, err := s.info(ctx, deadStream, jetstream.WithSubjectFilter("dead.>"))
	if err != nil {
		return nil, fmt.Errorf("count dead letters: %w", err)
	}
	var counts []DeadLetterCount
	for subject, messages := range info.State.Subjects {
		parts := strings.Split(subject, ".")
		each, err := strconv.Atoi(parts[len(parts)-1])
		if err != nil || len(parts) != 4 {
			return nil, fmt.Errorf("count dead letters: unexpected subject %q", subject)
		}
		counts = append(counts, DeadLetterCount{Source: parts[1], Reason: reason.Code(parts[2]), Count: each * int(messages)})
	}
	slices.SortFunc(counts, func(a, b DeadLetterCount) int {
		return cmp.Or(strings.Compare(a.Source, b.Source), strings.Compare(string(a.Reason), string(b.Reason)))
	})
	joined := counts[:0] // messages of different sizes have different subjects
	for _, c := range counts {
		if n := len(joined); n > 0 && joined[n-1].Source == c.Source && joined[n-1].Reason == c.Reason {
			joined[n-1].Count += c.Count
		} else {
			joined = append(joined, c)
		}
	}
	return joined, nil
}

// Package audit reads the audit log: who changed what, when, from what to what.
//
// The log has two kinds of entries, those of the configuration and those of
// everything else (auth.Accounts.Record). Both are of one form here. Nothing
// can be changed or removed through this package.
package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/stream"
)

// ConfigurationChanged is the action of a change of the configuration.
const ConfigurationChanged = "configuration.changed"

// Entry is one change.
type Entry struct {
	Sequence uint64
	Time     time.Time // of the change; after a restore, earlier than the log's own
	Actor    string
	Action   string // ConfigurationChanged, user.added ...
	Subject  string // whom or what it was done to
	Detail   string
	// Revision and Differences are those of a change of the configuration.
	Revision    uint64
	Differences []catalog.Difference
	// Raw is what stands in the log; text when it is no JSON.
	Raw json.RawMessage
}

// Query selects entries; empty fields do not restrict.
type Query struct {
	Actor  string // a part of who did it, whatever the case of letters
	Object string // a part of what it was done to, or of the action
	From   time.Time
	To     time.Time // not included
	Before uint64    // sequence that the page before ended with; 0: the newest
	Limit  int
}

// readAtOnce is how many entries are read to fill a page, and readAtMost how
// many one query looks at: what is left is on the next page.
const (
	readAtOnce = 500
	readAtMost = 20_000
)

// Find lists entries, newest first. next is where the next page goes on; 0:
// there is none.
func Find(ctx context.Context, streams *stream.Streams, q Query) (entries []Entry, next uint64, err error) {
	before := q.Before
	for read := 0; read < readAtMost; read += readAtOnce {
		page, err := streams.Audit(ctx, before, readAtOnce)
		if err != nil {
			return nil, 0, err
		}
		for _, one := range page {
			e := entryOf(one)
			if !q.From.IsZero() && e.Time.Before(q.From) {
				return entries, 0, nil // the older ones are older still
			}
			before = one.Sequence
			if !q.selects(e) {
				continue
			}
			if entries = append(entries, e); len(entries) == q.Limit {
				if e.Sequence == 1 {
					before = 0
				}
				return entries, before, nil
			}
		}
		if len(page) < readAtOnce {
			return entries, 0, nil
		}
	}
	return entries, before, nil
}

func (q Query) selects(e Entry) bool {
	if !q.To.IsZero() && !e.Time.Before(q.To) || !holds(e.Actor, q.Actor) {
		return false
	}
	if q.Object == "" || holds(e.Subject, q.Object) || holds(e.Action, q.Object) {
		return true
	}
	for _, d := range e.Differences {
		if holds(d.Path, q.Object) {
			return true
		}
	}
	return false
}

func holds(text, part string) bool {
	return part == "" || strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// entryOf reads an entry; one that cannot be read is shown as it stands.
func entryOf(one stream.AuditEntry) Entry {
	var read struct {
		auth.AuditEntry
		Revision    uint64
		Differences []catalog.Difference
	}
	e := Entry{Sequence: one.Sequence, Time: one.Time, Raw: json.RawMessage(one.Data)}
	if err := json.Unmarshal(one.Data, &read); err != nil {
		e.Raw, _ = json.Marshal(string(one.Data)) // a text always marshals
		e.Action, e.Detail = "unreadable", fmt.Sprintf("%.200q", one.Data)
		return e
	}
	if !read.Time.IsZero() {
		e.Time = read.Time
	}
	e.Actor, e.Action, e.Subject, e.Detail = read.Actor, read.Action, read.Subject, read.Detail
	e.Revision, e.Differences = read.Revision, read.Differences
	if e.Action == "" {
		e.Action = ConfigurationChanged
	}
	return e
}

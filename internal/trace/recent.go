package trace

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"causeway/internal/reason"
	"causeway/internal/segment"
	"causeway/internal/store"
	"causeway/internal/stream"
	"causeway/internal/translate"
)

// Kept is a call that the stream still holds, with what became of it.
type Kept struct {
	store.CallRow
	Call translate.Call
}

// recentPage is how many rows are asked for at a time.
const recentPage = 200

// Recent gives the newest calls of a destination that the stream still holds,
// newest first, repeats left out: at most n.
func (r Rooms) Recent(ctx context.Context, destination string, n int) ([]Kept, error) {
	var kept []Kept
	q := store.CallQuery{Configuration: destination, Span: store.Span{Limit: min(n, recentPage)}}
	for len(kept) < n {
		page, err := r.Store.Calls(ctx, q)
		if err != nil {
			return nil, err
		}
		rows := slices.DeleteFunc(page.Items, func(row store.CallRow) bool {
			// An erased call has no frame: it is not to be found again.
			return row.Outcome == reason.Duplicate || row.Frame == 0 || !r.visible(row.Environment)
		})
		for len(rows) > 0 && len(kept) < n {
			same := 1
			for same < len(rows) && rows[same].Frame == rows[0].Frame {
				same++
			}
			calls, err := r.ofFrame(ctx, rows[:same])
			if errors.Is(err, stream.ErrGone) {
				return kept, nil // older ones are gone too
			}
			if err != nil {
				return nil, err
			}
			kept, rows = append(kept, calls...), rows[same:]
		}
		if page.NextCursor == "" {
			break
		}
		q.Cursor = page.NextCursor
	}
	return kept[:min(len(kept), n)], nil
}

// ofFrame finds the calls of rows that came in one frame, reading it once.
func (r Rooms) ofFrame(ctx context.Context, rows []store.CallRow) ([]Kept, error) {
	frame, err := r.Streams.Frame(ctx, stream.Calls, rows[0].Frame)
	if err != nil {
		return nil, fmt.Errorf("read the raw calls: %w", err)
	}
	wanted := make(map[int]store.CallRow, len(rows))
	for _, row := range rows {
		wanted[row.Index] = row
	}
	found := make(map[int]Kept, len(rows))
	first := 0
	for i := range frame.Records {
		record := &frame.Records[i]
		items := itemsOf(record)
		for j, item := range items {
			if row, ok := wanted[first+j]; ok {
				found[row.Index] = Kept{row, callOf(record, item, row.MessageID)}
			}
		}
		first += len(items)
	}
	var kept []Kept
	for _, row := range rows { // newest first, as they were asked for
		if one, ok := found[row.Index]; ok {
			kept = append(kept, one)
		}
	}
	return kept, nil
}

// itemsOf are the calls of a record, as the pipeline counts them: one that
// cannot be opened counts as one.
func itemsOf(record *stream.Record) []segment.Item {
	body, err := openBody(record)
	if err != nil {
		return []segment.Item{{JSON: record.Body, Size: len(record.Body)}}
	}
	return body.Items
}

// callOf is a call as the pipeline gave it to be translated.
func callOf(record *stream.Record, item segment.Item, messageID string) translate.Call {
	return translate.Call{
		Item: item, Type: record.CallType, Route: routeOf(record.Kind), ReceivedAt: record.ReceivedAt,
		MadeID: func() string { return messageID },
	}
}

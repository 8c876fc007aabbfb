package translate

import (
	"strings"
	"time"

	"causeway/internal/reason"
	"causeway/internal/segment"
)

// ahead is how far ahead of our clock a call's time may be (R10).
const ahead = 24 * time.Hour

// time is the time of the call (R10, X9), in UTC and microseconds.
func (t *translation) time() time.Time {
	place, v := "timestamp", t.fields.timestamp
	if !said(v) {
		place, v = "originalTimestamp", t.fields.originalTimestamp
	}
	if !said(v) {
		return t.receipt()
	}
	at, ok := v.Time()
	if ok && t.c.Route == Tracking {
		at, ok = t.corrected(at)
	}
	return t.notes.judge(at, ok, place, v, t.c.ReceivedAt, t.receipt)
}

// judge gives the time that was read from v unless it is unusable, and then the
// receipt.
func (n *notes) judge(at time.Time, ok bool, place string, v segment.Value, now time.Time, receipt func() time.Time) time.Time {
	switch {
	case !ok:
		n.add(reason.TimeUnreadable, place+": "+short(shown(v)))
	case at.After(now.Add(ahead)):
		n.add(reason.TimeInFuture, place+": "+short(shown(v)))
	default:
		return at
	}
	return receipt()
}

// shown is a value as a detail shows it.
func shown(v segment.Value) string {
	if text := v.Text(); text != "" {
		return text
	}
	return kindName(v)
}

// said reports whether a field holds anything: null and blank text do not.
func said(v segment.Value) bool {
	return v.Exists() && (v.Kind() != segment.String || strings.TrimSpace(v.Text()) != "")
}

// corrected takes out what the sender's clock was wrong by when it sent the
// call: receivedAt - (sentAt - time). Without a readable sentAt the time stands.
// ok is false when the result is before the year 0.
func (t *translation) corrected(at time.Time) (_ time.Time, ok bool) {
	sentAt := t.fields.sentAt
	if t.c.SentAt != "" {
		sentAt, _ = segment.ParseJSON(t.c.SentAt)
	}
	sent, ok := sentAt.Time()
	if !ok {
		return at, true
	}
	// In microseconds: a time.Duration holds 292 years only.
	at = time.UnixMicro(t.c.ReceivedAt.UnixMicro() - sent.UnixMicro() + at.UnixMicro()).UTC()
	return at, at.Year() >= 0
}

package duckdb

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/store"
)

// typeDays counts the events of a batch by type and day of receipt.
type typeDays struct {
	sums map[typeDay]*typeSum
	last typeDay // the event before; most are of its kind
	sum  *typeSum
}

type typeDay struct {
	environment            fme.EnvironmentID
	trafficType, eventType string
	day                    int64 // days since 1970
}

type typeSum struct {
	first, last       time.Time
	withValue, events int64
}

func (d *typeDays) add(e *fme.Event) {
	received := stamp(e.ReceivedAt)
	key := typeDay{e.Environment, e.TrafficType, e.EventType, floor(received.Unix(), 24*60*60)}
	sum := d.sum
	if sum == nil || key != d.last {
		if sum = d.sums[key]; sum == nil {
			sum = &typeSum{first: received, last: received}
			d.sums[key] = sum
		}
		d.last, d.sum = key, sum
	}
	if received.Before(sum.first) {
		sum.first = received
	}
	if received.After(sum.last) {
		sum.last = received
	}
	if e.Value != nil {
		sum.withValue++
	}
	sum.events++
}

func (d *typeDays) write(tx *transaction) error {
	for key, sum := range d.sums {
		err := tx.append("event_type_days", text(string(key.environment)), text(key.trafficType), text(key.eventType),
			time.Unix(key.day*24*60*60, 0).UTC(), sum.first, sum.last, sum.withValue, sum.events)
		if err != nil {
			return err
		}
	}
	return nil
}

// reasonHours counts outcomes and reasons of a batch by hour of receipt.
type reasonHours struct {
	sums map[reasonHour]*reasonSum
	last reasonHour // the one before; most are alike
	sum  *reasonSum
}

type reasonHour struct {
	environment   fme.EnvironmentID
	configuration string
	callType      string
	outcome       reason.Outcome
	code          reason.Code
	hour          int64 // hours since 1970
}

type reasonSum struct {
	sample string
	times  int64
}

// sampleLength is how many code points of a sample are kept.
const sampleLength = 200

func (h *reasonHours) add(key reasonHour, at time.Time, times int64, sample string) {
	key.hour = floor(stamp(at).Unix(), 60*60)
	sum := h.sum
	if sum == nil || key != h.last {
		if sum = h.sums[key]; sum == nil {
			sum = &reasonSum{}
			h.sums[key] = sum
		}
		h.last, h.sum = key, sum
	}
	sum.times += times
	if sample != "" {
		sum.sample = sample
	}
}

func (h *reasonHours) write(tx *transaction) error {
	for key, sum := range h.sums {
		err := tx.append("reason_counts", text(string(key.environment)), text(key.configuration), text(key.callType),
			string(key.outcome), text(string(key.code)), time.Unix(key.hour*60*60, 0).UTC(), tx.next(), text(cut(sum.sample, sampleLength)), sum.times)
		if err != nil {
			return err
		}
	}
	return nil
}

// floor divides towards the past, before 1970 too.
func floor(seconds, unit int64) int64 {
	n := seconds / unit
	if seconds%unit < 0 {
		n--
	}
	return n
}

// EventTypes lists the types of events received within the retention of the
// listing, those with most events in the seven days up to now's first. Days
// are UTC and now's day is one of the seven.
func (s *Store) EventTypes(ctx context.Context, environment fme.EnvironmentID, now time.Time) ([]store.EventType, error) {
	week := now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -6)
	types := []store.EventType{}
	withValue, all := int64(0), int64(0)
	err := s.query(ctx, `
		SELECT event_type, traffic_type, min(first_seen) AS first_time, max(last_seen) AS last_time,
			CAST(sum(with_value) AS BIGINT) AS valued, CAST(sum(events) AS BIGINT) AS total,
			CAST(sum(CASE WHEN day >= ? THEN events ELSE 0 END) AS BIGINT) AS week_total
		FROM event_type_days WHERE environment = ?
		GROUP BY event_type, traffic_type ORDER BY event_type, traffic_type`,
		[]any{stamp(week), string(environment)}, func(rows *sql.Rows) error {
			var name, trafficType string
			var first, last time.Time
			var valued, total, weekTotal int64
			if err := rows.Scan(&name, &trafficType, &first, &last, &valued, &total, &weekTotal); err != nil {
				return err
			}
			if len(types) == 0 || types[len(types)-1].Name != name {
				types = append(types, store.EventType{Name: name, FirstSeen: first, LastSeen: last})
				withValue, all = 0, 0
			}
			t := &types[len(types)-1]
			t.TrafficTypes = append(t.TrafficTypes, trafficType)
			t.SevenDayCount += weekTotal
			if first.Before(t.FirstSeen) {
				t.FirstSeen = first
			}
			if last.After(t.LastSeen) {
				t.LastSeen = last
			}
			withValue, all = withValue+valued, all+total
			t.ShareWithValue = float64(withValue) / float64(all)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("event types of %s: %w", environment, err)
	}
	slices.SortStableFunc(types, func(a, b store.EventType) int { return cmp.Compare(b.SevenDayCount, a.SevenDayCount) })
	return types, nil
}

// Reasons counts outcomes and reasons since the beginning of since's hour,
// most frequent first.
func (s *Store) Reasons(ctx context.Context, environment fme.EnvironmentID, since time.Time) ([]store.ReasonCount, error) {
	counts := []store.ReasonCount{}
	f := filter{}
	f.equal("environment", string(environment))
	if !since.IsZero() {
		f.add("hour >= ?", stamp(since.UTC().Truncate(time.Hour)))
	}
	err := s.query(ctx, `
		SELECT configuration, type, outcome, code, CAST(sum(times) AS BIGINT) AS total, argMax(sample, seq) AS newest
		FROM reason_counts `+f.where()+`
		GROUP BY configuration, type, outcome, code
		ORDER BY total DESC, configuration, type, outcome, code`, f.args, func(rows *sql.Rows) error {
		var c store.ReasonCount
		if err := rows.Scan(&c.Configuration, &c.Type, &c.Outcome, &c.Code, &c.Count, &c.Sample); err != nil {
			return err
		}
		counts = append(counts, c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reasons of %s: %w", environment, err)
	}
	return counts, nil
}

// EventTypeDays counts the events of one type by day.
func (s *Store) EventTypeDays(ctx context.Context, environment fme.EnvironmentID, eventType string, from, to time.Time) ([]store.EventTypeDay, error) {
	days := []store.EventTypeDay{}
	err := s.query(ctx, `
		SELECT day, CAST(sum(events) AS BIGINT) AS total, CAST(sum(with_value) AS BIGINT) AS valued
		FROM event_type_days WHERE environment = ? AND event_type = ? AND day >= ? AND day <= ? GROUP BY day ORDER BY day`,
		[]any{string(environment), text(eventType), stamp(from.UTC().Truncate(24 * time.Hour)), stamp(to)}, func(rows *sql.Rows) error {
			var d store.EventTypeDay
			err := rows.Scan(&d.Day, &d.Events, &d.WithValue)
			days = append(days, d)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("days of %s: %w", eventType, err)
	}
	return days, nil
}

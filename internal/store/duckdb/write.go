package duckdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/store"
)

// foreignIDLength is how much of a messageId an event keeps (R20, X15).
const foreignIDLength = 100

// Write stores a batch and its position in one transaction.
func (s *Store) Write(ctx context.Context, batch *store.Batch, beforeCommit func(store.Written) error) (store.Written, error) {
	start := time.Now()
	var w *writing
	calm := context.WithoutCancel(ctx) // why: see Store.query
	err := s.update(ctx, func(tx *transaction) error {
		if err := advance(calm, tx, batch); err != nil {
			return err
		}
		wantNames(&tx.names, batch)
		if err := s.names.resolve(calm, tx); err != nil {
			return err
		}
		w = &writing{tx: tx, batch: batch, claims: claimsOf(batch, &s.known), types: typeDays{sums: map[typeDay]*typeSum{}}, reasons: reasonHours{sums: map[reasonHour]*reasonSum{}}}
		if err := w.claims.settle(calm, tx, s.options.Now()); err != nil {
			return err
		}
		if err := w.all(); err != nil {
			return err
		}
		// All rows are in before beforeCommit acts, so that little can fail after it.
		if err := tx.flush(); err != nil {
			return err
		}
		if beforeCommit != nil {
			if err := beforeCommit(w.written); err != nil {
				return err
			}
		}
		// The counts come last: what of the new impressions goes out, and why
		// the rest does not, is what beforeCommit finds out.
		if err := w.counts(); err != nil {
			return err
		}
		return tx.flush()
	})
	if err != nil {
		if !errors.Is(err, store.ErrPosition) {
			s.metrics.failures.Inc()
		}
		return store.Written{}, fmt.Errorf("write %s (%d, %d]: %w", batch.Consumer, batch.From, batch.To, err)
	}
	s.metrics.writes.Observe(time.Since(start).Seconds())
	for name, rows := range w.tx.rows {
		if name != "stage" && name != "stage_names" {
			s.metrics.rows.WithLabelValues(name).Add(float64(rows))
		}
	}
	s.metrics.duplicates.WithLabelValues("call").Add(float64(w.repeatedCalls))
	s.metrics.duplicates.WithLabelValues("impression").Add(float64(w.repeatedImpressions))
	s.metrics.duplicates.WithLabelValues("sdk_event").Add(float64(w.repeatedEvents))
	return w.written, nil
}

// advance moves the consumer's position, or says that the batch does not
// follow it.
func advance(ctx context.Context, tx *transaction, batch *store.Batch) error {
	if batch.To < batch.From {
		return errors.New("the batch ends before it begins")
	}
	var position int64
	err := tx.conn.QueryRowContext(ctx, "SELECT sequence FROM positions WHERE consumer = ?", batch.Consumer).Scan(&position)
	first := errors.Is(err, sql.ErrNoRows)
	if err != nil && !first {
		return fmt.Errorf("read the position: %w", err)
	}
	if uint64(position) != batch.From {
		return fmt.Errorf("%w: stored is %d", store.ErrPosition, position)
	}
	move := "UPDATE positions SET sequence = ? WHERE consumer = ?"
	if first {
		move = "INSERT INTO positions (sequence, consumer) VALUES (?, ?)"
	}
	if err := tx.exec(ctx, move, int64(batch.To), batch.Consumer); err != nil {
		return fmt.Errorf("move the position: %w", err)
	}
	return nil
}

// columns are those that hold names, each with the name it had last.
type columns struct {
	environment, configuration, route, scheme, callType, callName, outcome, trafficType, eventType, source, attribute column
	flag, treatment, label, sdk, sdkVersion, machineName, machineIP                                                   column
}

// wantNames wants every name that the rows of a batch may hold.
func wantNames(n *numbering, batch *store.Batch) {
	var c columns
	event := func(e *fme.Event) {
		n.want(&c.environment, string(e.Environment))
		n.want(&c.trafficType, e.TrafficType)
		n.want(&c.eventType, e.EventType)
		n.want(&c.source, e.Source)
		n.want(&c.configuration, e.Configuration)
	}
	if len(batch.Calls) > 0 {
		n.want(&c.outcome, string(reason.Duplicate))
	}
	for i := range batch.Calls {
		call := &batch.Calls[i]
		n.want(&c.environment, string(call.Environment))
		n.want(&c.configuration, call.Configuration)
		n.want(&c.route, call.Route)
		n.want(&c.scheme, call.Scheme)
		n.want(&c.callType, call.Type)
		n.want(&c.callName, call.Name)
		n.want(&c.outcome, string(call.Outcome))
		for j := range call.Events {
			event(&call.Events[j])
		}
		for j := range call.Identities {
			id := &call.Identities[j]
			n.want(&c.environment, string(id.Environment))
			n.want(&c.trafficType, id.TrafficType)
			for k := range id.Attributes {
				n.want(&c.attribute, id.Attributes[k].ID)
			}
		}
	}
	for i := range batch.Impressions {
		imp := &batch.Impressions[i]
		n.want(&c.environment, string(imp.Environment))
		n.want(&c.flag, imp.Flag)
		n.want(&c.treatment, imp.Treatment)
		n.want(&c.label, imp.Label)
		n.want(&c.trafficType, imp.TrafficType)
		n.want(&c.sdk, imp.SDK)
		n.want(&c.sdkVersion, imp.SDKVersion)
		n.want(&c.machineName, imp.MachineName)
		n.want(&c.machineIP, imp.MachineIP)
	}
	for i := range batch.Counts {
		n.want(&c.environment, string(batch.Counts[i].Environment))
		n.want(&c.flag, batch.Counts[i].Flag)
	}
	for i := range batch.UniqueKeys {
		n.want(&c.environment, string(batch.UniqueKeys[i].Environment))
		n.want(&c.flag, batch.UniqueKeys[i].Flag)
	}
	for i := range batch.Events {
		event(&batch.Events[i])
	}
}

// writing is one Write at work.
type writing struct {
	tx      *transaction
	batch   *store.Batch
	claims  *claims
	types   typeDays
	reasons reasonHours
	written store.Written

	// What most rows of a batch have in common.
	columns columns

	repeatedCalls, repeatedImpressions, repeatedEvents int
}

// id is the number of a name, for a column.
func (w *writing) id(c *column, name string) int32 { return w.tx.names.id(c, name) }

func (w *writing) all() error {
	if err := w.calls(); err != nil {
		return err
	}
	if err := w.impressions(); err != nil {
		return err
	}
	for i := range w.batch.Counts {
		c := &w.batch.Counts[i]
		if err := w.tx.append("impression_counts", w.id(&w.columns.environment, string(c.Environment)), w.id(&w.columns.flag, c.Flag), stamp(c.Hour), c.Count, stamp(c.ReceivedAt)); err != nil {
			return err
		}
	}
	for i := range w.batch.UniqueKeys {
		k := &w.batch.UniqueKeys[i]
		if err := w.tx.append("unique_keys", w.id(&w.columns.environment, string(k.Environment)), w.id(&w.columns.flag, k.Flag), text(k.Key), stamp(k.ReceivedAt)); err != nil {
			return err
		}
	}
	if err := w.events(); err != nil {
		return err
	}
	for i := range w.batch.Telemetry {
		t := &w.batch.Telemetry[i]
		if err := w.tx.append("telemetry", text(string(t.Environment)), text(t.Kind), text(t.SDK), text(t.SDKVersion), text(string(t.Body)), stamp(t.ReceivedAt)); err != nil {
			return err
		}
	}
	return w.types.write(w.tx)
}

// counts writes what R22 counts.
func (w *writing) counts() error {
	for _, skip := range w.batch.Skips {
		w.reasons.add(reasonHour{environment: skip.Environment, configuration: skip.Configuration, callType: skip.Type, code: skip.Code}, skip.Time, skip.Count, skip.Sample)
	}
	return w.reasons.write(w.tx)
}

func (w *writing) calls() error {
	w.written.Calls = make([]reason.Outcome, len(w.batch.Calls))
	for i := range w.batch.Calls {
		if err := w.call(i, &w.batch.Calls[i]); err != nil {
			return err
		}
	}
	return nil
}

// call writes what is new of a call, and its row.
func (w *writing) call(i int, call *store.Call) error {
	events, attributes, fresh := 0, 0, 0
	for j := range call.Events {
		if !w.claims.take(call.Events[j].ID) {
			continue
		}
		events++
		fresh++
		if err := w.event(&call.Events[j]); err != nil {
			return err
		}
	}
	for j := range call.Identities {
		if !w.claims.take(call.Identities[j].ID) {
			continue
		}
		attributes += len(call.Identities[j].Attributes)
		fresh++
		if err := w.identity(&call.Identities[j]); err != nil {
			return err
		}
	}
	if !hasLegs(call) && w.claims.take(call.ID) {
		fresh++
	}
	outcome, notes := call.Outcome, call.Reasons
	if fresh == 0 {
		outcome, notes = reason.Duplicate, []reason.Note{{Code: reason.RepeatedCall}}
		w.repeatedCalls++
	}
	w.written.Calls[i] = outcome
	return w.callRow(call, outcome, notes, events, attributes)
}

func (w *writing) callRow(call *store.Call, outcome reason.Outcome, notes []reason.Note, events, attributes int) error {
	count := reasonHour{environment: call.Environment, configuration: call.Configuration, callType: call.Type, outcome: outcome}
	w.reasons.add(count, call.ReceivedAt, 1, call.MessageID)
	reasons := ""
	if len(notes) > 0 {
		count.outcome = ""
		for _, note := range notes {
			count.code = note.Code
			w.reasons.add(count, call.ReceivedAt, 1, call.MessageID)
		}
		encoded, err := json.Marshal(notes)
		if err != nil {
			return fmt.Errorf("encode reasons: %w", err)
		}
		reasons = string(encoded)
	}
	t, err := w.tx.table("calls")
	if err != nil {
		return err
	}
	c := &w.columns
	t.int64(w.tx.next())
	t.int32(w.id(&c.environment, string(call.Environment)))
	t.int32(w.id(&c.configuration, call.Configuration))
	t.int32(w.id(&c.route, call.Route))
	t.int32(w.id(&c.scheme, call.Scheme))
	t.text(text(call.MessageID))
	t.int32(w.id(&c.callType, call.Type))
	t.int32(w.id(&c.callName, call.Name))
	t.time(stamp(call.ReceivedAt))
	t.int32(w.id(&c.outcome, string(outcome)))
	t.text(text(reasons))
	t.int32(int32(events))
	t.int32(int32(attributes))
	t.int64(int64(call.Frame))
	t.int32(int32(call.Index))
	return w.tx.end(t)
}

// events writes what is new of the events of SDKs.
func (w *writing) events() error {
	for i := range w.batch.Events {
		e := &w.batch.Events[i]
		if !w.claims.take(e.ID) {
			w.repeatedEvents++
			w.reasons.add(reasonHour{environment: e.Environment, callType: "sdk_event", code: reason.RepeatedCall}, e.ReceivedAt, 1, e.EventType+" "+e.Key)
			continue
		}
		if err := w.event(e); err != nil {
			return err
		}
	}
	return nil
}

func (w *writing) event(e *fme.Event) error {
	w.types.add(e)
	t, err := w.tx.table("events")
	if err != nil {
		return err
	}
	c := &w.columns
	t.int64(w.tx.next())
	t.int32(w.id(&c.environment, string(e.Environment)))
	t.int32(w.id(&c.trafficType, e.TrafficType))
	t.text(text(e.Key))
	t.int32(w.id(&c.eventType, e.EventType))
	if e.Value != nil {
		t.float64(*e.Value)
	} else {
		t.null()
	}
	t.time(stamp(e.Time))
	t.text(text(string(e.Properties)))
	t.int32(w.id(&c.source, e.Source))
	t.text(text(cut(e.ForeignID, foreignIDLength)))
	t.time(stamp(e.ReceivedAt))
	t.int32(w.id(&c.configuration, e.Configuration))
	return w.tx.end(t)
}

// identity writes one row per attribute, or one that says only that the key
// exists.
func (w *writing) identity(id *fme.Identity) error {
	environment, trafficType, key := w.id(&w.columns.environment, string(id.Environment)), w.id(&w.columns.trafficType, id.TrafficType), text(id.Key)
	if len(id.Attributes) == 0 {
		return w.tx.append("identities", w.tx.next(), environment, trafficType, key, stamp(id.Time), stamp(id.ReceivedAt))
	}
	t, err := w.tx.table("attributes")
	if err != nil {
		return err
	}
	for _, a := range id.Attributes {
		t.int64(w.tx.next())
		t.int32(environment)
		t.int32(trafficType)
		t.text(key)
		t.int32(w.id(&w.columns.attribute, a.ID))
		if a.Value != nil {
			t.text(text(*a.Value))
		} else {
			t.null()
		}
		t.bool(a.Cut)
		t.time(stamp(id.Time))
		t.time(stamp(id.ReceivedAt))
		t.text(text(cut(id.MessageID, foreignIDLength)))
		if err := w.tx.end(t); err != nil {
			return err
		}
	}
	return nil
}

func (w *writing) impressions() error {
	w.written.Impressions = make([]bool, len(w.batch.Impressions))
	for i := range w.batch.Impressions {
		imp := &w.batch.Impressions[i]
		if !w.claims.take(imp.ID) {
			w.repeatedImpressions++
			w.reasons.add(reasonHour{environment: imp.Environment, callType: "impression", code: reason.RepeatedCall}, imp.ReceivedAt, 1, imp.Flag+" "+imp.Key)
			continue
		}
		w.written.Impressions[i] = true
		t, err := w.tx.table("impressions")
		if err != nil {
			return err
		}
		c := &w.columns
		t.int64(w.tx.next())
		t.int32(w.id(&c.environment, string(imp.Environment)))
		t.int32(w.id(&c.flag, imp.Flag))
		t.text(text(imp.Key))
		t.text(text(imp.BucketingKey))
		t.int32(w.id(&c.treatment, imp.Treatment))
		t.int32(w.id(&c.label, imp.Label))
		t.int64(imp.ChangeNumber)
		t.time(stamp(imp.Time))
		if imp.PreviousTime.IsZero() {
			t.null()
		} else {
			t.time(stamp(imp.PreviousTime))
		}
		t.int32(w.id(&c.trafficType, imp.TrafficType))
		t.int32(w.id(&c.sdk, imp.SDK))
		t.int32(w.id(&c.sdkVersion, imp.SDKVersion))
		t.int32(w.id(&c.machineName, imp.MachineName))
		t.int32(w.id(&c.machineIP, imp.MachineIP))
		t.text(text(imp.Properties))
		t.time(stamp(imp.ReceivedAt))
		if err := w.tx.end(t); err != nil {
			return err
		}
	}
	return nil
}

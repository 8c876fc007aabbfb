package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"causeway/internal/catalog"
	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/store"
	"causeway/internal/stream"
	"causeway/internal/translate"
)

// impressions prepares frames of the stream impressions: what Split SDKs and
// FME's own hooks report. What is new of it goes out to Segment.
func (p *Pipeline) impressions(frames []stream.Frame) *prepared {
	w := &impressionWork{
		snapshot: p.opt.Snapshot(),
		batch:    new(store.Batch),
	}
	for _, frame := range frames {
		for i := range frame.Records {
			record := &frame.Records[i]
			if err := w.add(frame.Sequence, record); err != nil {
				// The door checked the form, so this is a body of another version.
				p.opt.Log.Error("cannot read an accepted body", "stream", stream.Impressions, "frame", frame.Sequence, "record", i, "err", err)
				w.skip(record, "impression", reason.ImpressionIncomplete, err.Error())
			}
		}
	}
	return &prepared{
		batch:        w.batch,
		beforeCommit: func(ctx context.Context, written store.Written) error { return p.forward(ctx, w, written) },
		committed:    func(written store.Written) { p.showImpressions(w, written) },
	}
}

// impressionWork gathers what the frames of one batch hold.
type impressionWork struct {
	snapshot *catalog.Snapshot
	batch    *store.Batch
	frames   []uint64   // for each impression of the batch: the frame it came in
	replays  []replayed // from the dead letters: stored long ago, to go out again
}

// replayed is an impression that a person sent on its way again.
type replayed struct {
	impression fme.Impression
	source     string
	frame      uint64
}

// add reads one record.
func (w *impressionWork) add(frame uint64, record *stream.Record) error {
	switch record.Kind {
	case stream.ImpressionsBulk:
		return w.addImpressions(frame, record, fme.DecodeImpressions)
	case stream.ImpressionsWebhook:
		return w.addImpressions(frame, record, fme.DecodeImpressionsWebhook)
	case stream.ImpressionListener:
		return w.addImpressions(frame, record, fme.DecodeImpressionListener)
	case stream.ReplayedImpression:
		return w.addReplayed(frame, record)
	case stream.ImpressionCounts:
		return w.addCounts(record)
	case stream.UniqueKeysByFlag:
		return w.addUniqueKeys(record, fme.DecodeUniqueKeysByFlag)
	case stream.UniqueKeysByKey:
		return w.addUniqueKeys(record, fme.DecodeUniqueKeysByKey)
	case stream.Events:
		return w.addEvents(record)
	case stream.TelemetryConfig, stream.TelemetryUsage:
		w.addTelemetry(record)
		return nil
	}
	return fmt.Errorf("records of kind %d are not known to this version", record.Kind)
}

func (w *impressionWork) addImpressions(frame uint64, record *stream.Record, decode func([]byte) ([]fme.Impression, []fme.Bad, error)) error {
	impressions, bad, err := decode(record.Body)
	if err != nil {
		return err
	}
	w.addBad(record, "impression", bad)
	name, version := fme.SDKName(record.SDK)
	environment, _ := w.snapshot.Environment(fme.EnvironmentID(record.Environment))
	for _, imp := range impressions {
		imp.Environment = fme.EnvironmentID(record.Environment)
		imp.ReceivedAt = record.ReceivedAt
		if imp.Time.IsZero() {
			imp.Time = record.ReceivedAt.Truncate(time.Millisecond)
		}
		if environment != nil {
			imp.TrafficType, _ = environment.Project.FlagTrafficType(imp.Flag)
		}
		// Hooks name the SDK in each item, SDKs name themselves in a header.
		if imp.SDK == "" {
			imp.SDK, imp.SDKVersion = name, version
		}
		if imp.MachineName == "" {
			imp.MachineName = record.MachineName
		}
		if imp.MachineIP == "" {
			imp.MachineIP = record.MachineIP
		}
		imp.MakeID()
		w.batch.Impressions = append(w.batch.Impressions, imp)
		w.frames = append(w.frames, frame)
	}
	return nil
}

func (w *impressionWork) addReplayed(frame uint64, record *stream.Record) error {
	var imp fme.Impression
	if err := json.Unmarshal(record.Body, &imp); err != nil {
		return fmt.Errorf("a replayed impression: %w", err)
	}
	imp.Environment = fme.EnvironmentID(record.Environment)
	// The catalog may have learnt the flag's traffic type since.
	if environment, ok := w.snapshot.Environment(imp.Environment); ok {
		imp.TrafficType, _ = environment.Project.FlagTrafficType(imp.Flag)
	}
	w.replays = append(w.replays, replayed{imp, record.Configuration, frame})
	return nil
}

func (w *impressionWork) addCounts(record *stream.Record) error {
	counts, bad, err := fme.DecodeImpressionCounts(record.Body)
	if err != nil {
		return err
	}
	w.addBad(record, "impression_count", bad)
	for _, c := range counts {
		c.Environment, c.ReceivedAt = fme.EnvironmentID(record.Environment), record.ReceivedAt
		w.batch.Counts = append(w.batch.Counts, c)
	}
	return nil
}

func (w *impressionWork) addUniqueKeys(record *stream.Record, decode func([]byte) ([]fme.UniqueKey, []fme.Bad, error)) error {
	keys, bad, err := decode(record.Body)
	if err != nil {
		return err
	}
	w.addBad(record, "unique_key", bad)
	for _, k := range keys {
		k.Environment, k.ReceivedAt = fme.EnvironmentID(record.Environment), record.ReceivedAt
		w.batch.UniqueKeys = append(w.batch.UniqueKeys, k)
	}
	return nil
}

func (w *impressionWork) addEvents(record *stream.Record) error {
	events, bad, err := fme.DecodeEvents(record.Body)
	if err != nil {
		return err
	}
	w.addBad(record, "sdk_event", bad)
	var trafficTypes []string
	if environment, ok := w.snapshot.Environment(fme.EnvironmentID(record.Environment)); ok {
		trafficTypes = environment.Project.TrafficTypes
	}
	// SDKs give events no id. A body of theirs that comes again byte for byte,
	// with its times, is one that was sent again, by the SDK or by the browser
	// under it (R48). Others than SDKs may mean the same words twice.
	sum := sha256.Sum256(record.Body)
	for i, wire := range events {
		event, notes, kept := translate.SDKEvent(wire, fme.EnvironmentID(record.Environment), trafficTypes, record.ReceivedAt)
		for _, note := range notes {
			w.skip(record, "sdk_event", note.Code, wire.EventType+" "+note.Detail)
		}
		if kept {
			if record.SDK != "" && len(wire.Timestamp) > 0 {
				event.ID = fme.NewID("sdk_event", record.Environment, string(sum[:]), strconv.Itoa(i))
			}
			w.batch.Events = append(w.batch.Events, event)
		}
	}
	return nil
}

func (w *impressionWork) addTelemetry(record *stream.Record) {
	kind := "usage"
	if record.Kind == stream.TelemetryConfig {
		kind = "config"
	}
	name, version := fme.SDKName(record.SDK)
	w.batch.Telemetry = append(w.batch.Telemetry, fme.Telemetry{
		Environment: fme.EnvironmentID(record.Environment), Kind: kind,
		SDK: name, SDKVersion: version, Body: record.Body, ReceivedAt: record.ReceivedAt,
	})
}

func (w *impressionWork) addBad(record *stream.Record, kind string, bad []fme.Bad) {
	for _, b := range bad {
		w.skip(record, kind, b.Note.Code, b.Note.Detail)
	}
}

// skip counts one reason (R22).
func (w *impressionWork) skip(record *stream.Record, kind string, code reason.Code, sample string) {
	w.count(store.Skip{
		Environment: fme.EnvironmentID(record.Environment), Configuration: record.Configuration,
		Type: kind, Code: code, Count: 1, Sample: sample, Time: record.ReceivedAt,
	})
}

// count adds to the batch's skips, one entry per place and reason.
func (w *impressionWork) count(skip store.Skip) {
	for i := range w.batch.Skips {
		s := &w.batch.Skips[i]
		if s.Environment == skip.Environment && s.Configuration == skip.Configuration && s.Type == skip.Type && s.Code == skip.Code {
			s.Count += skip.Count
			return
		}
	}
	w.batch.Skips = append(w.batch.Skips, skip)
}

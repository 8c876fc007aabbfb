package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"causeway/internal/reason"
	"causeway/internal/stream"
)

// traced is what the tests look at of a trace.
type traced struct {
	Copies []struct {
		Outcome, Route, Scheme, RawState string
		Steps                            []struct{ Step, Text string }
		Raw                              map[string]any
		Now                              *struct{ Outcome string }
		Reasons                          []struct{ Code, Meaning, Fix string }
	}
	Events      []map[string]any
	Attributes  []map[string]any
	DeadLetters []map[string]any
}

func (r *rig) trace(id string) traced {
	r.t.Helper()
	var t traced
	r.get("/admin/v1/trace/"+id).into(r.t, &t)
	return t
}

func TestATraceTellsTheWholeWayOfACall(t *testing.T) {
	r := configured(t)
	r.start()
	r.track(`{"type":"page","messageId":"before","userId":"u1","name":"x"}`,
		`{"type":"track","messageId":"m/1","userId":"u1","event":"Order Completed","properties":{"revenue":"1e400"}}`)
	r.track(`{"type":"track","messageId":"m/1","userId":"u1","event":"Order Completed"}`)
	got := r.trace("m%2F1")
	if len(got.Copies) != 2 || got.Copies[0].Outcome != "duplicate" || got.Copies[1].Outcome != "stored" {
		t.Fatalf("copies %+v", got.Copies)
	}
	first := got.Copies[1]
	if first.Route != "tracking" || first.Scheme != "basic" || first.RawState != "kept" || first.Raw["messageId"] != "m/1" ||
		len(first.Steps) != 4 || first.Steps[0].Step != "received" || !strings.Contains(first.Steps[3].Text, "1 event") || first.Now.Outcome != "stored" {
		t.Errorf("first copy %+v", first)
	}
	if len(first.Reasons) != 1 || first.Reasons[0].Code != "value_not_a_number" || first.Reasons[0].Fix == "" {
		t.Errorf("reasons %+v", first.Reasons)
	}
	if got.Copies[0].Steps[3].Step != "deduplicated" {
		t.Errorf("second copy %+v", got.Copies[0])
	}
	if len(got.Events) != 1 || got.Events[0]["eventType"] != "Order_Completed" {
		t.Errorf("events %v", got.Events)
	}
}

func TestATraceShowsTheAttributesThatStillAreOfTheCall(t *testing.T) {
	r := configured(t)
	r.start()
	r.track(`{"type":"identify","messageId":"i1","userId":"u1","timestamp":"2026-01-01T00:00:00Z","traits":{"plan":"free","age":41}}`)
	r.track(`{"type":"identify","messageId":"i2","userId":"u1","timestamp":"2026-01-02T00:00:00Z","traits":{"plan":"pro"}}`)
	got := r.trace("i1").Attributes
	if len(got) != 1 || got[0]["id"] != "age" || got[0]["value"] != "41" || got[0]["environment"] != "production" {
		t.Errorf("got %v", got)
	}
}

func TestATraceSaysWhenTheRawCallIsGoneOrItsDestinationIs(t *testing.T) {
	r := configured(t)
	r.start()
	r.track(`{"type":"track","messageId":"m1","userId":"u1","event":"E"}`)
	r.apply(strings.Replace(configuration, "name: events", "name: renamed", 1))
	if got := r.trace("m1").Copies[0]; got.RawState != "kept" || got.Now != nil {
		t.Errorf("without its destination: %+v", got)
	}
}

func TestATraceFindsAnImpressionsCallAmongTheDeadLetters(t *testing.T) {
	r := configured(t)
	if err := r.streams.SetAside(t.Context(), "one", []stream.DeadLetter{letter("other", reason.RefusedBySegment), letter("cw-imp", reason.RefusedBySegment)}); err != nil {
		t.Fatal(err)
	}
	got := r.trace("cw-imp")
	if len(got.Copies) != 0 || len(got.DeadLetters) != 1 || got.DeadLetters[0]["answer"] != "invalid" {
		t.Errorf("got %+v", got)
	}
}

func TestATraceOfWhatIsNoJSONIsStillJSON(t *testing.T) {
	r := configured(t)
	r.start()
	id := strings.Repeat("x", 150)
	r.track(`{"type":"track","messageId":"`+id+`","userId":"u1","event":"E","properties":{"bad":"`+"\xff\xfe"+`"}}`, `7`, `{"type":"\ud800"}`)
	if got := r.trace(id); len(got.Copies) != 1 || len(got.Events) != 1 {
		t.Errorf("got %+v", got)
	}
	for _, call := range r.items(env + "/calls").Items {
		got := r.get("/admin/v1/trace/" + call["messageId"].(string))
		if !json.Valid([]byte(got.body)) || got.status != 200 {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
}

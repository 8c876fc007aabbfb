package playground_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"causeway/internal/playground"
	"causeway/internal/segment"
	"causeway/internal/translate"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func calls(texts ...string) []translate.Call {
	var list []translate.Call
	for i, text := range texts {
		list = append(list, translate.Call{
			Item: segment.Item{JSON: []byte(text), Size: len(text)}, Route: translate.Direct, ReceivedAt: now,
			MadeID: func() string { return fmt.Sprintf("made-%d", i) },
		})
	}
	return list
}

func destination(change func(*translate.Destination)) *translate.Destination {
	d := &translate.Destination{
		ID: "in", Environment: "shop/production", TrafficTypes: []string{"user", "anonymous"}, UserID: []string{"user"},
		Identify: true, Track: true, Pages: true, Screens: true, EventType: "event", Value: "properties.revenue",
	}
	if change != nil {
		change(d)
	}
	return d
}

func TestComparingFindsEveryFate(t *testing.T) {
	list := calls(
		`{"type":"track","event":"a","userId":"u","properties":{"revenue":1,"total":2}}`,
		`{"type":"track","event":"?","userId":"u"}`,
		`{"type":"page","name":"p","userId":"u"}`,
		`{"type":"identify","userId":"u","traits":{"x":"1"}}`,
		`{"type":"identify","traits":{"x":"1"}}`,
		`not json`,
	)
	same := playground.Compare(destination(nil), destination(nil), list, 5)
	if same.Same != len(list) || len(same.Examples) != 0 {
		t.Errorf("the same settings differ: %+v", same)
	}
	p := playground.Compare(destination(nil), destination(func(d *translate.Destination) {
		d.Value, d.RepairNames, d.Pages, d.UserID = "properties.total", true, false, []string{"user", "anonymous"}
	}), list, 1)
	// The first, and the identify call, also go to another traffic type.
	if p.Calls != 6 || p.Same != 2 || p.Changed != 2 || p.NewlyKept != 1 || p.NewlyDropped != 1 || len(p.Examples) != 3 {
		t.Errorf("got %+v", p)
	}
}

func TestAPickerOffersOnlyPathsThatLeadThere(t *testing.T) {
	lines, of := playground.Picker(calls(
		`{"type":"track","event":"a","properties":{"total":"3.5","a.b":{"c":1},"list":[{"price":2}],"a":{"b":{"c":"shadowed"}},"none":null,"yes":true}}`,
		`{"type":"track","event":"b","properties":{"total":4}}`,
		`{"type":"page","name":"p"}`,
	))
	if of != 2 {
		t.Errorf("%d track calls", of)
	}
	got := map[string]playground.Line{}
	for _, line := range lines {
		if line.Path != "" {
			got[line.Path] = line
		}
	}
	if total := got["properties.total"]; !total.Number || !total.Name || total.Numbers != 2 {
		t.Errorf("a number as text: %+v", total)
	}
	if price := got["properties.list.0.price"]; !price.Number || price.Numbers != 1 {
		t.Errorf("in a list: %+v", price)
	}
	if c, ok := got["properties.a.b.c"]; ok && c.Value == "1" {
		t.Error("a key with a dot that is shadowed is offered")
	}
	if _, ok := got["properties.yes"]; ok || got["event"].Names != 2 {
		t.Errorf("paths %v", got)
	}
	deep := strings.Repeat(`{"a":`, 50) + `1` + strings.Repeat(`}`, 50)
	if lines, _ := playground.Picker(calls(`{"type":"track","event":"a","properties":` + deep + `}`)); len(lines) > 200 {
		t.Errorf("%d lines", len(lines))
	}
}

func TestAnEventsNameInPlaceOfAPathIsSaidInWords(t *testing.T) {
	came := calls(`{"type":"track","event":"Order Completed","properties":{"name":"x y","bad":"?!"}}`, `{"type":"track","event":"checkout"}`)
	for path, want := range map[string]string{
		"event":           "in all of the last 2",
		"":                "in all of the last 2",
		"properties.name": "found in 1 of the last 2",
		"properties.bad":  "no name that FME takes",
		"checkout":        "which is an event’s name",
		"Order_Completed": "which is an event’s name",
		"order completed": "which is an event’s name",
		"properties.none": "finds nothing in the last 2",
	} {
		check := playground.CheckEventType(path, false, came)
		if !strings.Contains(check.Text, want) || check.Wrong() != (check.Found == 0) {
			t.Errorf("%q: %+v", path, check)
		}
		if check.Wrong() && len(check.Fixes) == 0 {
			t.Errorf("%q has no fix", path)
		}
	}
	if check := playground.CheckEventType("checkout", false, nil); !check.Wrong() || check.Fixes[0].Value != "event" {
		t.Errorf("without calls: %+v", check)
	}
	if check := playground.CheckEventType("properties.eventName", false, nil); check.Wrong() {
		t.Errorf("a place that calls can have: %+v", check)
	}
}

func TestATestCallIsKeptByItsDestination(t *testing.T) {
	for name, d := range map[string]*translate.Destination{
		"plain":     destination(nil),
		"paths":     destination(func(d *translate.Destination) { d.EventType, d.Value = "properties.info.name", "context.x.value" }),
		"anonymous": destination(func(d *translate.Destination) { d.UserID, d.AnonymousID = nil, []string{"anonymous"} }),
		"identify":  destination(func(d *translate.Destination) { d.Track = false }),
		"pages":     destination(func(d *translate.Destination) { d.Track, d.Identify = false, false }),
		"screens":   destination(func(d *translate.Destination) { d.Track, d.Identify, d.Pages = false, false, false }),
	} {
		text := playground.TestCall(d, now)
		result := d.Call(translate.Call{Item: segment.Item{JSON: text, Size: len(text)}, Route: translate.Direct, ReceivedAt: now})
		if result.Outcome != "stored" || !strings.HasPrefix(result.MessageID, "causeway-test-") {
			t.Errorf("%s: %s becomes %+v", name, text, result)
		}
		if name == "paths" && (result.Events[0].Value == nil || *result.Events[0].Value != 1) {
			t.Errorf("the value is not found: %s", text)
		}
	}
}

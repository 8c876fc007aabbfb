package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"causeway/internal/segment/segmenttest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// flagShop is the configuration of the tests with Split SDKs: flags are served,
// impressions go to the fake Segment.
func flagShop(segment string) string {
	return `projects:
  - name: shop
    trafficTypes: [user, anonymous]
    environments:
      - name: production
        id: env-1
        sdkKeys:
          - {name: backend, type: server_side, key: ` + serverKey + `}
          - {name: web, type: client_side, key: ` + clientKey + `}
    flags:
      - name: checkout_button
        trafficType: user
        treatments: [green, grey]
        rollout: {green: 100}
        configurations: {green: '{"color":"#0a0"}'}
      - {name: search_box, trafficType: user, treatments: [on, off]}
      - {name: quiet, trafficType: user, treatments: [loud, soft], rollout: {loud: 100}, impressionsDisabled: true}
    segment:
      sources:
        - name: impressions
          environments: [production]
          identities: {user: userId}
          writeKey: segment-write-key
          endpoint: ` + segment + `
`
}

// evaluation is one question to an SDK.
type evaluation struct {
	Key          string         `json:"key"`
	BucketingKey string         `json:"bucketingKey,omitempty"`
	Flag         string         `json:"flag"`
	Properties   map[string]any `json:"properties,omitempty"`
}

// tracked is one event given to an SDK.
type tracked struct {
	Key        string         `json:"key"`
	Traffic    string         `json:"trafficType"`
	Type       string         `json:"eventType"`
	Value      *float64       `json:"value,omitempty"`
	Properties map[string]any `json:"properties,omitempty"`
}

// script is what an SDK is made to do.
type script struct {
	Evaluations []evaluation `json:"evaluations"`
	Events      []tracked    `json:"events"`
}

// answer is what an SDK says of an evaluation.
type answer struct {
	Treatment string  `json:"treatment"`
	Config    *string `json:"config"`
}

var revenue = 39.95

// everything has each kind of evaluation and event once, and repeats.
var everything = script{
	Evaluations: []evaluation{
		{Key: "u1", Flag: "checkout_button"}, {Key: "u1", Flag: "checkout_button"}, {Key: "u1", Flag: "checkout_button"},
		{Key: "u2", BucketingKey: "b2", Flag: "checkout_button"},
		{Key: "u3", Flag: "checkout_button", Properties: map[string]any{"plan": "pro", "seats": 3}},
		{Key: "u1", Flag: "search_box"},
		{Key: "u1", Flag: "quiet"}, {Key: "u1", Flag: "quiet"},
	},
	Events: []tracked{
		{Key: "u1", Traffic: "user", Type: "Order_Completed", Value: &revenue, Properties: map[string]any{"currency": "EUR", "items": 3, "gift": true, "note": nil}},
		{Key: "u2", Traffic: "user", Type: "Seat_Added"},
	},
}

// use is how an SDK is used in a test.
type use struct {
	host, mode string
	script     script
	// before, when it is set, returns when the SDK may end: what it sends by
	// itself until then, it sends by its own clock.
	before func()
}

func (u use) wait() {
	if u.before != nil {
		u.before()
	}
}

// sdk is a Split SDK. run evaluates, tracks, ends the SDK and returns its
// answers, in order.
type sdk struct {
	name         string
	sdk, version string // as impressions carry them
	machine      bool   // it says which machine it runs on
	run          func(t *testing.T, u use) ([]answer, error)
}

func sdks() []sdk {
	return []sdk{
		{name: "go-client", sdk: "go", version: "6.10.0", machine: true, run: splitWithGo},
		{name: "splitio 11.11", sdk: "nodejs", version: "11.11.2", machine: true, run: splitNode("@splitsoftware/splitio")},
		{name: "splitio 11.9", sdk: "nodejs", version: "11.9.1", machine: true, run: splitNode("splitio-11-9")},
		{name: "splitio-browserjs, destroyed", sdk: "browserjs", version: "1.7.1", run: splitBrowser(quick, (*tab).destroy)},
		{name: "splitio-browserjs, page left", sdk: "browserjs", version: "1.7.1", run: splitBrowser(unhurried, (*tab).leave)},
	}
}

// splitNode uses Split's SDK for Node, as the package is called here.
func splitNode(name string) func(*testing.T, use) ([]answer, error) {
	return func(t *testing.T, u use) (answers []answer, err error) {
		options := map[string]any{"package": name, "host": u.host, "sdkKey": serverKey, "mode": u.mode, "script": u.script, "scheduler": quick}
		err = tryNode(t, "split-node.mjs", options, &answers, u.wait)
		return answers, err
	}
}

// Periods of the JavaScript SDKs, in seconds: quick ones send as they go,
// unhurried ones when they end.
var (
	quick     = map[string]any{"impressionsRefreshRate": 1, "eventsPushRate": 1}
	unhurried = map[string]any{"impressionsRefreshRate": 300, "eventsPushRate": 300}
)

// splitBrowser uses Split's SDK for browsers in a page that then ends.
func splitBrowser(scheduler map[string]any, end func(*tab) error) func(*testing.T, use) ([]answer, error) {
	return func(t *testing.T, u use) ([]answer, error) {
		page := openTab(t, servePages(t)+"/split.html")
		page.waitFor("window.loaded === true")
		answers, err := callPage[[]answer](page, "start", map[string]any{"host": u.host, "sdkKey": clientKey, "mode": u.mode, "script": u.script, "scheduler": scheduler})
		if err != nil {
			return nil, err
		}
		u.wait()
		return answers, end(page)
	}
}

// destroy ends the SDK of the page as an application does.
func (b *tab) destroy() error {
	_, err := callPage[bool](b, "destroy", nil)
	return err
}

// leave goes to another page, while the SDK still has all that it is to send.
func (b *tab) leave() error {
	b.goTo("about:blank")
	return nil
}

// expectation is what an SDK sends of a script, by its mode (facts: impression
// modes).
type expectation struct {
	impressions []impression
	totals      map[string]flagTotals
}

func expected(mode string) expectation {
	green := impression{Flag: "checkout_button", Key: "u1", Treatment: "green", TrafficType: "user"}
	of := func(i impression, change func(*impression)) impression { change(&i); return i }
	second := of(green, func(i *impression) { i.Key, i.BucketingKey = "u2", "b2" })
	third := of(green, func(i *impression) { i.Key, i.Properties = "u3", `{"plan":"pro","seats":3}` })
	search := of(green, func(i *impression) { i.Flag, i.Treatment = "search_box", "off" })
	totals := func(flag string, impressions, evaluations, keys int) flagTotals {
		return flagTotals{Flag: flag, TrafficType: "user", Impressions: impressions, Evaluations: evaluations, UniqueKeys: keys}
	}
	e := expectation{totals: map[string]flagTotals{"quiet": totals("quiet", 0, 2, 1)}}
	switch mode {
	case "OPTIMIZED":
		e.impressions = []impression{green, second, third, search}
		e.totals["checkout_button"], e.totals["search_box"] = totals("checkout_button", 3, 5, 3), totals("search_box", 1, 1, 1)
	case "DEBUG":
		e.impressions = []impression{green, green, green, second, third, search}
		e.totals["checkout_button"], e.totals["search_box"] = totals("checkout_button", 5, 5, 3), totals("search_box", 1, 1, 1)
	case "NONE":
		e.totals["checkout_button"], e.totals["search_box"] = totals("checkout_button", 0, 5, 3), totals("search_box", 0, 1, 1)
	}
	return e
}

// Every SDK, in each of its modes, is served the flags, and all that it sends
// is stored field by field; the impressions arrive at Segment, each once.
func TestEverySplitSDKInEveryMode(t *testing.T) {
	for _, s := range sdks() {
		for _, mode := range []string{"OPTIMIZED", "DEBUG", "NONE"} {
			t.Run(s.name+", "+mode, func(t *testing.T) {
				t.Parallel()
				segment := segmenttest.Start(t, segmenttest.Options{})
				server := startServer(t, flagShop(segment.URL))
				before := time.Now()
				answers, err := s.run(t, use{host: server.URL, mode: mode, script: everything})
				if err != nil {
					t.Fatal(err)
				}
				checkAnswers(t, answers)
				want := expected(mode)
				stored := checkImpressions(t, server, s, want, before)
				checkTotals(t, server, want)
				checkTracked(t, server, before)
				checkSegment(t, segment, stored)
			})
		}
	}
}

func checkAnswers(t *testing.T, answers []answer) {
	t.Helper()
	config := `{"color":"#0a0"}`
	green, off, loud := answer{"green", &config}, answer{Treatment: "off"}, answer{Treatment: "loud"}
	if diff := cmp.Diff([]answer{green, green, green, green, green, off, loud, loud}, answers); diff != "" {
		t.Errorf("treatments (-want +got):\n%s", diff)
	}
}

// checkImpressions waits for the impressions and returns them.
func checkImpressions(t *testing.T, server *server, s sdk, want expectation, before time.Time) []impression {
	t.Helper()
	var stored []impression
	server.eventually("every impression is stored", func() (err error) {
		if stored, err = server.impressions(); err == nil && len(stored) < len(want.impressions) {
			err = fmt.Errorf("%d of %d", len(stored), len(want.impressions))
		}
		return err
	})
	compared := make([]impression, len(stored))
	for i, got := range stored {
		if got.SDK != s.sdk || got.SDKVersion != s.version {
			t.Errorf("SDK %s %s, want %s %s", got.SDK, got.SDKVersion, s.sdk, s.version)
		}
		if (got.MachineName != "") != s.machine || (got.MachineIP != "") != s.machine {
			t.Errorf("machine %q, %q, want one: %v", got.MachineName, got.MachineIP, s.machine)
		}
		if got.Time.Before(before.Truncate(time.Millisecond)) || got.Time.After(time.Now()) || got.ChangeNumber <= 0 || got.Label == "" {
			t.Errorf("time %v, change number %d, label %q", got.Time, got.ChangeNumber, got.Label)
		}
		compared[i] = impression{Flag: got.Flag, Key: got.Key, BucketingKey: got.BucketingKey, Treatment: got.Treatment, TrafficType: got.TrafficType, Properties: sortedJSON(t, got.Properties)}
	}
	if diff := cmp.Diff(want.impressions, compared, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("impressions (-want +got):\n%s", diff)
	}
	return stored
}

// sortedJSON is the object with its keys in order: SDKs in Go and in
// JavaScript write them as they come.
func sortedJSON(t *testing.T, text string) string {
	t.Helper()
	if text == "" {
		return ""
	}
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Errorf("properties %q: %v", text, err)
	}
	sorted, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(sorted)
}

func checkTotals(t *testing.T, server *server, want expectation) {
	t.Helper()
	server.eventually("counts and unique keys are stored", func() error {
		for flag, totals := range want.totals {
			got, err := server.flagTotals(flag)
			if err != nil {
				return err
			}
			if diff := cmp.Diff(totals, got); diff != "" {
				return errors.New(diff)
			}
		}
		return nil
	})
}

func checkTracked(t *testing.T, server *server, before time.Time) {
	t.Helper()
	want := []event{
		{Environment: "production", TrafficType: "user", Key: "u1", EventType: "Order_Completed", Value: &revenue, Source: "Split",
			Properties: map[string]any{"currency": "EUR", "items": 3.0, "gift": true, "note": nil}},
		{Environment: "production", TrafficType: "user", Key: "u2", EventType: "Seat_Added", Source: "Split"},
	}
	var got []event
	server.eventually("every event is stored", func() error {
		if got = server.events(); len(got) < len(want) {
			return fmt.Errorf("%d of %d", len(got), len(want))
		}
		return nil
	})
	for i := range got {
		if got[i].Time.Before(before.Truncate(time.Millisecond)) || got[i].Time.After(time.Now()) {
			t.Errorf("event at %v", got[i].Time)
		}
		got[i].Time = time.Time{}
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// checkSegment holds what arrived at Segment against the impressions: each
// once, every field (R40 to R42).
func checkSegment(t *testing.T, segment *segmenttest.Fake, stored []impression) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := segment.Wait(ctx, len(stored)); err != nil {
		t.Fatal(err)
	}
	var want, got []map[string]any
	for _, i := range stored {
		want = append(want, treatmentCall(t, i))
	}
	ids := map[string]bool{}
	for _, c := range segment.Calls() {
		var call map[string]any
		if err := json.Unmarshal(c.JSON, &call); err != nil {
			t.Fatal(err)
		}
		if c.WriteKey != "segment-write-key" || c.MessageID == "" || ids[c.MessageID] {
			t.Errorf("write key %q, messageId %q", c.WriteKey, c.MessageID)
		}
		ids[c.MessageID] = true
		library, _ := call["context"].(map[string]any)["library"].(map[string]any)
		if library["name"] != "causeway" || library["version"] == "" {
			t.Errorf("context.library is %v", library)
		}
		delete(call, "context")
		delete(call, "messageId")
		got = append(got, call)
	}
	order := func(a, b map[string]any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	slices.SortFunc(want, order)
	slices.SortFunc(got, order)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("calls at Segment (-want +got):\n%s", diff)
	}
	noViolations(t, segment.Violations())
}

// treatmentCall is the call that an impression becomes, but for its messageId
// and context.
func treatmentCall(t *testing.T, i impression) map[string]any {
	t.Helper()
	properties := map[string]any{
		"split": i.Flag, "treatment": i.Treatment, "label": i.Label, "environmentName": "production", "environmentId": "env-1",
		"trafficTypeName": "user", "key": i.Key, "splitVersionNumber": float64(i.ChangeNumber), "time": float64(i.Time.UnixMilli()),
		"sdk": i.SDK, "sdkVersion": i.SDKVersion,
	}
	for name, value := range map[string]string{"bucketingKey": i.BucketingKey, "machineName": i.MachineName, "machineIp": i.MachineIP} {
		if value != "" {
			properties[name] = value
		}
	}
	if i.Properties != "" {
		if err := json.Unmarshal([]byte(i.Properties), &properties); err != nil {
			t.Fatal(err)
		}
	}
	return map[string]any{"type": "track", "event": "get_treatment", "userId": i.Key, "timestamp": i.Time.UTC().Format("2006-01-02T15:04:05.000Z"), "properties": properties}
}

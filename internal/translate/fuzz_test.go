package translate

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/segment"
)

// seeds gives every input of the case files.
func seeds(f *testing.F, pattern string, add func(string)) {
	files, err := filepath.Glob("testdata/" + pattern)
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds found (err %v)", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range archive.Files {
			if strings.HasSuffix(part.Name, "in.json") {
				add(string(bytes.TrimSpace(part.Data)))
			}
		}
	}
}

var (
	eventTypes   = regexp.MustCompile(`^[a-zA-Z0-9][-_.:a-zA-Z0-9]{0,79}$`)
	attributeIDs = regexp.MustCompile(`^[a-zA-Z][-_a-zA-Z0-9]{0,199}$`)
)

// FuzzCall: whatever comes in, the promises of the result hold.
func FuzzCall(f *testing.F) {
	seeds(f, "[rx][01]*.txtar", func(input string) {
		f.Add([]byte(input), uint8(0))
		f.Add([]byte(input), uint8(0xff))
	})
	f.Fuzz(func(t *testing.T, input []byte, switches uint8) {
		d := shop()
		d.RepairNames, d.AcceptOwnEcho = switches&1 != 0, switches&2 != 0
		if switches&4 != 0 {
			d.GroupTrafficType = "account"
		}
		if switches&8 != 0 {
			d.EventType, d.Value = "properties.a.0.b", "context.x.1"
		}
		made := func() string { return "made" }
		c := call(string(input))
		if switches&16 != 0 {
			c.Route, c.MadeID = Tracking, made
		}
		calls := []Call{c}
		if body, err := segment.ParseTracking(true, input); err == nil {
			for _, item := range body.Items {
				calls = append(calls, Call{Item: item, Route: Tracking, ReceivedAt: received, MadeID: made})
			}
		}
		for _, c := range calls {
			r := d.Call(c)
			if diff := cmp.Diff(r, d.Call(c)); diff != "" {
				t.Fatalf("the same call twice:\n%s", diff)
			}
			checkResult(t, d, r)
		}
	})
}

func checkResult(t *testing.T, d *Destination, r Result) {
	t.Helper()
	line, err := r.MarshalJSON()
	if err != nil || !json.Valid(line) || !utf8.Valid(line) {
		t.Fatalf("result: %v: %s", err, line)
	}
	if kept := len(r.Events)+len(r.Identities) > 0; kept != (r.Outcome == reason.Stored) {
		t.Fatalf("%s with %d events and %d identities", r.Outcome, len(r.Events), len(r.Identities))
	}
	if r.MessageID == "" || r.CallID == (fme.ID{}) || !utf8.ValidString(r.Name+r.Type+r.MessageID) {
		t.Fatalf("id %q, type %q, name %q", r.MessageID, r.Type, r.Name)
	}
	checkReasons(t, r.Reasons)
	if r.Outcome != reason.Stored && len(r.Reasons) == 0 {
		t.Fatalf("%s without a reason", r.Outcome)
	}
	ids := map[fme.ID]bool{}
	for _, e := range r.Events {
		checkLeg(t, d, e.TrafficType, e.Key, e.ID, ids)
		checkEvent(t, e)
	}
	for _, identity := range r.Identities {
		checkLeg(t, d, identity.TrafficType, identity.Key, identity.ID, ids)
		checkTime(t, identity.Time)
		checkText(t, "messageId", identity.MessageID, 100)
		for _, a := range identity.Attributes {
			if !attributeIDs.MatchString(a.ID) || a.TrafficType != identity.TrafficType || a.Key != identity.Key {
				t.Fatalf("attribute %+v", a)
			}
			if a.Value != nil {
				checkText(t, a.ID, *a.Value, 255)
			}
		}
	}
}

func checkReasons(t *testing.T, notes []reason.Note) {
	t.Helper()
	for i, note := range notes {
		if _, ok := reason.Lookup(note.Code); !ok || !utf8.ValidString(note.Detail) || utf8.RuneCountInString(note.Detail) > 400 {
			t.Fatalf("reason %+v", note)
		}
		if i > 0 && slices.Index(noteOrder, notes[i-1].Code) >= slices.Index(noteOrder, note.Code) {
			t.Fatalf("reasons out of order: %v", notes)
		}
	}
}

func checkLeg(t *testing.T, d *Destination, trafficType, key string, id fme.ID, ids map[fme.ID]bool) {
	t.Helper()
	if !slices.Contains(d.TrafficTypes, trafficType) || ids[id] {
		t.Fatalf("traffic type %q, id %x", trafficType, id)
	}
	ids[id] = true
	checkText(t, "key", key, 250)
	if key == "" || strings.TrimSpace(key) != key {
		t.Fatalf("key %q", key)
	}
}

func checkEvent(t *testing.T, e fme.Event) {
	t.Helper()
	if !eventTypes.MatchString(e.EventType) {
		t.Fatalf("event type %q", e.EventType)
	}
	checkTime(t, e.Time)
	checkText(t, "foreignId", e.ForeignID, 100)
	properties, ok := segment.ParseJSON(string(e.Properties))
	if !ok || properties.Kind() != segment.Object || !utf8.Valid(e.Properties) {
		t.Fatalf("properties %s", e.Properties)
	}
	count := 0
	names := map[string]bool{}
	for name, value := range properties.Fields() {
		count++
		if names[name] || value.Kind() == segment.Object || value.Kind() == segment.Array {
			t.Fatalf("property %q: %s", name, value.Raw())
		}
		names[name] = true
		if value.Kind() == segment.String {
			checkText(t, name, value.Text(), 256)
		}
	}
	if count > 300 {
		t.Fatalf("%d properties", count)
	}
}

func checkTime(t *testing.T, at time.Time) {
	t.Helper()
	if at.Location() != time.UTC || at.Nanosecond()%1000 != 0 || at.Year() < 0 || at.After(received.Add(24*time.Hour)) {
		t.Fatalf("time %v", at)
	}
}

func checkText(t *testing.T, name, text string, most int) {
	t.Helper()
	if !utf8.ValidString(text) || strings.Contains(text, "\x00") || utf8.RuneCountInString(text) > most {
		t.Fatalf("%s: %q", name, text)
	}
}

// FuzzImpression: a call is made or a reason given; the built-in properties are
// the impression's own whatever its metadata says.
func FuzzImpression(f *testing.F) {
	seeds(f, "r4*.txtar", func(input string) { f.Add([]byte(input), "") })
	f.Add([]byte(`[{"f":"f","i":[{"k":"u1","t":"on","m":1,"properties":"{\"split\":1,\"split\":{}}"}]}]`), "user")
	f.Fuzz(func(t *testing.T, body []byte, trafficType string) {
		impressions, _, err := fme.DecodeImpressions(body)
		if err != nil || !utf8.ValidString(trafficType) {
			return
		}
		s := &Source{TrafficToIdentity: map[string]string{"user": IdentityUserID, "anonymous": IdentityAnonymousID}, DefaultTrafficType: trafficType}
		for _, imp := range impressions {
			checkSent(t, imp, s.Impression("shop/production", "", imp))
		}
	})
}

func checkSent(t *testing.T, imp fme.Impression, sent Sent) {
	t.Helper()
	line, err := sent.MarshalJSON()
	if err != nil || !json.Valid(line) || !utf8.Valid(line) {
		t.Fatalf("%v: %s", err, line)
	}
	if (sent.Outcome == OutcomeSent) != (sent.Call != nil) || sent.Call == nil && len(sent.Reasons) == 0 {
		t.Fatalf("%+v", sent)
	}
	checkReasons(t, sent.Reasons)
	if sent.Call == nil {
		return
	}
	track, ok := segment.ParseJSON(string(sent.Call))
	properties := track.Field("properties")
	if !ok || properties.Field("split").Text() != imp.Flag || properties.Field("treatment").Text() != imp.Treatment || properties.Field("key").Text() != imp.Key {
		t.Fatalf("%s", sent.Call)
	}
	if id := track.Field("userId").Text() + track.Field("anonymousId").Text(); id != imp.Key {
		t.Fatalf("ids %q of key %q", id, imp.Key)
	}
	if small := len(imp.Flag)+len(imp.Key)+len(imp.Treatment)+len(imp.Label)+len(imp.BucketingKey) < 1000; small && len(sent.Call) > segment.MaxCallBytes {
		t.Fatalf("%d bytes", len(sent.Call))
	}
}

func FuzzSDKEvent(f *testing.F) {
	f.Add([]byte(`[{"key":"u1","trafficTypeName":"user","eventTypeId":"e","value":1e999,"timestamp":"2026-01-02","properties":{"a":{"b":["x",null]},"a.b":1}}]`))
	f.Add([]byte(`[{"key":1e3,"trafficTypeName":"USER","eventTypeId":7,"properties":[]}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		events, _, err := fme.DecodeEvents(body)
		if err != nil {
			return
		}
		for _, wire := range events {
			event, notes, kept := SDKEvent(wire, "shop/production", []string{"user"}, received)
			checkReasons(t, notes)
			if !kept {
				if len(notes) != 1 {
					t.Fatalf("dropped for %v", notes)
				}
				continue
			}
			checkEvent(t, event)
			checkText(t, "key", event.Key, 250)
			if event.Key == "" || event.TrafficType != "user" {
				t.Fatalf("%+v", event)
			}
		}
	})
}

package translate

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"causeway/internal/segment"
)

// vectors is testdata/translate.json, the shared vectors of the rulings. Its
// own "meta" says how results compare; the code below does what it says.
type vectors struct {
	Meta struct {
		What, Configs, Case, Expected, Compare, Clock string
		Count                                         int
	}
	Configs map[string]json.RawMessage
	Cases   []vector
}

type vector struct {
	ID, Ruling, About, Config string
	Input                     json.RawMessage
	InputText                 string
	Expected                  json.RawMessage
	OptionalReasons           []string
}

func TestTheSharedVectorsHold(t *testing.T) {
	data, err := os.ReadFile("testdata/translate.json")
	if err != nil {
		t.Fatal(err)
	}
	var all vectors
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&all); err != nil {
		t.Fatal(err)
	}
	if len(all.Cases) == 0 || len(all.Cases) != all.Meta.Count {
		t.Fatalf("%d cases, the file says %d", len(all.Cases), all.Meta.Count)
	}
	for _, v := range all.Cases {
		t.Run(v.ID, func(t *testing.T) {
			raw, ok := all.Configs[v.Config]
			if !ok {
				t.Fatalf("unknown config %q", v.Config)
			}
			c := decodeConfig(t, raw)
			input := string(v.Input)
			if v.InputText != "" {
				input = v.InputText
			}
			got := decodeAny(t, c.run(t, input))
			want := decodeAny(t, v.Expected)
			if c.Source != nil {
				compareSent(t, v, got, want)
			} else {
				compareResult(t, v, got, want)
			}
		})
	}
}

// decodeAny reads one JSON value; numbers keep their text.
func decodeAny(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var v map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return v
}

func compareResult(t *testing.T, v vector, got, want map[string]any) {
	t.Helper()
	compareReasons(t, v, got, want)
	anyText(t, got, want, "messageId")
	gotEvents, wantEvents := list(got, "events"), list(want, "events")
	for i := range min(len(gotEvents), len(wantEvents)) {
		anyText(t, gotEvents[i], wantEvents[i], "foreignId")
		compareTime(t, gotEvents[i], wantEvents[i])
	}
	byPlace := func(a, b map[string]any) int {
		at := func(m map[string]any) string { return m["trafficType"].(string) + "\x00" + m["key"].(string) }
		if at(a) != at(b) {
			return 0 // stable: the order of keys counts
		}
		return strings.Compare(a["id"].(string), b["id"].(string))
	}
	gotAttributes, wantAttributes := list(got, "attributes"), list(want, "attributes")
	slices.SortStableFunc(gotAttributes, byPlace)
	slices.SortStableFunc(wantAttributes, byPlace)
	if diff := cmp.Diff(wantAttributes, gotAttributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	delete(got, "attributes")
	delete(want, "attributes")
	if diff := cmp.Diff(numbers(want), numbers(got)); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func compareSent(t *testing.T, v vector, got, want map[string]any) {
	t.Helper()
	compareReasons(t, v, got, want)
	gotCall, _ := got["call"].(map[string]any)
	wantCall, _ := want["call"].(map[string]any)
	if wantCall == nil { // null: not compared
		delete(got, "call")
		delete(want, "call")
	} else {
		anyText(t, gotCall, wantCall, "messageId")
		delete(gotCall["context"].(map[string]any)["library"].(map[string]any), "version")
		for _, name := range []string{"environmentId", "sdk", "sdkVersion", "machineName", "machineIp"} {
			delete(gotCall["properties"].(map[string]any), name)
		}
		compareInstant(t, gotCall, wantCall, "timestamp")
	}
	if diff := cmp.Diff(numbers(want), numbers(got)); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

// compareReasons compares the codes as a set and takes the reasons away.
func compareReasons(t *testing.T, v vector, got, want map[string]any) {
	t.Helper()
	gotCodes, wantCodes := codes(got), codes(want)
	delete(got, "reasons")
	delete(want, "reasons")
	if slices.Equal(wantCodes, []string{"*"}) {
		if len(gotCodes) == 0 {
			t.Error("no reason")
		}
		return
	}
	gotCodes = slices.DeleteFunc(gotCodes, func(code string) bool {
		return slices.Contains(v.OptionalReasons, code) && !slices.Contains(wantCodes, code)
	})
	if diff := cmp.Diff(wantCodes, gotCodes); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

func codes(result map[string]any) (codes []string) {
	for _, note := range list(result, "reasons") {
		codes = append(codes, note["code"].(string))
	}
	slices.Sort(codes)
	return codes
}

func list(m map[string]any, name string) (list []map[string]any) {
	for _, item := range m[name].([]any) {
		list = append(list, item.(map[string]any))
	}
	return list
}

// anyText takes a field away of which only being a text that is not empty is
// asked.
func anyText(t *testing.T, got, want map[string]any, name string) {
	t.Helper()
	if want[name] != nil {
		return
	}
	if text, _ := got[name].(string); text == "" {
		t.Errorf("%s is %v", name, got[name])
	}
	delete(got, name)
	delete(want, name)
}

func compareTime(t *testing.T, got, want map[string]any) {
	t.Helper()
	if want["time"] == "receipt" {
		want["time"] = received.Format(time.RFC3339Nano)
	}
	compareInstant(t, got, want, "time")
}

func compareInstant(t *testing.T, got, want map[string]any, name string) {
	t.Helper()
	g, gotOK := segment.ParseTime(got[name].(string))
	w, wantOK := segment.ParseTime(want[name].(string))
	if !gotOK || !wantOK || !g.Equal(w) {
		t.Errorf("%s is %v, want %v", name, got[name], want[name])
	}
	delete(got, name)
	delete(want, name)
}

// numbers makes float64s of the numbers in v, so that they compare as numbers.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return v
		}
		return f
	case map[string]any:
		for key, value := range v {
			v[key] = numbers(value)
		}
	case []any:
		for i, value := range v {
			v[i] = numbers(value)
		}
	}
	return v
}

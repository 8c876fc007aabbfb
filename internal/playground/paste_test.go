package playground_test

import (
	"encoding/json"
	"strings"
	"testing"

	"causeway/internal/playground"
)

func TestValuesComeAsTheyStood(t *testing.T) {
	text := " {\"a\": 1.50 }\r\n[ {\"b\":1e3} , 7 ]\"x\" null"
	var got []string
	for value, err := range playground.Values(strings.NewReader(text)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(value))
	}
	if want := `{"a": 1.50 }|{"b":1e3}|7|"x"|null`; strings.Join(got, "|") != want {
		t.Errorf("got %q", got)
	}
}

func FuzzValues(f *testing.F) {
	for _, seed := range []string{`{}`, `[1,2]`, "{}\n{}", "[", `"`, "\ufeff{}", `{"batch":[{}]}`, `{"batch":[],"type":"track"}`, "nul"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for value, err := range playground.Values(strings.NewReader(text)) {
			if err == nil && !json.Valid(value) {
				t.Errorf("%q is no JSON", value)
			}
		}
		for item, err := range playground.Calls(strings.NewReader(text)) {
			if err == nil && item.Size <= 0 {
				t.Errorf("an item of %d bytes", item.Size)
			}
		}
	})
}

func TestABatchLendsItsContextAndMayBeLongerThanARequest(t *testing.T) {
	call := `{"type":"track","userId":"u1","event":"E","properties":{"x":"` + strings.Repeat("y", 3000) + `"}}`
	text := `{"batch":[` + strings.Repeat(call+",", 299) + call + `],"context":{"library":{"name":"causeway"}}}`
	count := 0
	for item, err := range playground.Calls(strings.NewReader(text)) {
		if err != nil || item.Size != len(call) || item.Context.Field("library").Field("name").Text() != "causeway" {
			t.Fatalf("item %d: %v %d bytes", count, err, item.Size)
		}
		count++
	}
	if count != 300 {
		t.Errorf("%d calls", count)
	}
}

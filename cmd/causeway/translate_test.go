package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// vectorCase is one case of the shared vectors, whose own "meta" says how
// results compare.
type vectorCase struct {
	ID, Config      string
	Input           json.RawMessage
	InputText       string
	Expected        map[string]any
	OptionalReasons []string
}

// TestTheVectorsHoldInTheShell feeds each configuration's cases as one stream
// to the verb. The rulings themselves are tested in internal/translate; here it
// is that files, names and streams reach them whole.
func TestTheVectorsHoldInTheShell(t *testing.T) {
	text, err := os.ReadFile("../../internal/translate/testdata/translate.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Configs map[string]map[string]any
		Cases   []vectorCase
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	byConfig := map[string][]vectorCase{}
	for _, c := range vectors.Cases {
		byConfig[c.Config] = append(byConfig[c.Config], c)
	}
	if len(vectors.Cases) == 0 {
		t.Fatal("no cases")
	}
	for name, cases := range byConfig {
		t.Run(name, func(t *testing.T) { runVectors(t, vectors.Configs[name], cases) })
	}
}

func runVectors(t *testing.T, config map[string]any, cases []vectorCase) {
	file, half := vectorConfiguration(t, config)
	var input strings.Builder
	for _, c := range cases {
		if c.InputText != "" {
			input.WriteString(c.InputText + "\n")
			continue
		}
		input.Write(append(c.Input, '\n'))
	}
	stdout, stderr, code := shell(t, input.String(), append([]string{"translate", "--config", file}, half...)...)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if code != exitDone || stderr != "" || len(lines) != len(cases) {
		t.Fatalf("exit %d, %d lines for %d cases: %s", code, len(lines), len(cases), stderr)
	}
	for i, c := range cases {
		var got map[string]any
		if err := json.Unmarshal([]byte(lines[i]), &got); err != nil {
			t.Fatal(err)
		}
		comparable(t, c, got)
		if diff := cmp.Diff(c.Expected, got); diff != "" {
			t.Errorf("%s (expected -, got +):\n%s", c.ID, diff)
		}
	}
}

// vectorConfiguration writes what a project holds as a configuration file.
func vectorConfiguration(t *testing.T, config map[string]any) (file string, half []string) {
	t.Helper()
	segment := map[string]any{}
	for _, kind := range []string{"destination", "source"} {
		if spec, ok := config[kind].(map[string]any); ok {
			if kind == "source" {
				spec["writeKey"] = "${VECTOR_WRITE_KEY}" // not set: translating does not need it
			}
			segment[kind+"s"] = []any{spec}
			half = []string{"--" + kind, spec["name"].(string)}
		}
	}
	project := map[string]any{
		"name": "shop", "trafficTypes": config["trafficTypes"], "segment": segment,
		"environments": []any{map[string]any{"name": "production"}},
	}
	if flags, ok := config["flags"]; ok {
		project["flags"] = flags
	}
	text, err := json.Marshal(map[string]any{"projects": []any{project}})
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "causeway.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, half
}

// comparable takes out of both sides what the vectors do not compare.
func comparable(t *testing.T, c vectorCase, got map[string]any) {
	t.Helper()
	want := c.Expected
	if want["messageId"] == nil {
		delete(want, "messageId")
		delete(got, "messageId")
	}
	compareReasons(t, c, got)
	wantEvents, _ := want["events"].([]any)
	gotEvents, _ := got["events"].([]any)
	for i := range min(len(wantEvents), len(gotEvents)) {
		expected, actual := wantEvents[i].(map[string]any), gotEvents[i].(map[string]any)
		if expected["foreignId"] == nil {
			delete(expected, "foreignId")
			delete(actual, "foreignId")
		}
		compareTime(t, c.ID, expected, actual)
	}
	for _, side := range []map[string]any{want, got} {
		if attributes, ok := side["attributes"].([]any); ok {
			slices.SortStableFunc(attributes, func(a, b any) int {
				key := func(v any) string {
					m := v.(map[string]any)
					return m["trafficType"].(string) + "\x00" + m["key"].(string) + "\x00" + m["id"].(string)
				}
				return strings.Compare(key(a), key(b))
			})
		}
		if side["call"] == nil {
			delete(side, "call")
			continue
		}
		call := side["call"].(map[string]any)
		delete(call, "messageId")
		delete(call["context"].(map[string]any)["library"].(map[string]any), "version")
		for _, free := range []string{"environmentId", "sdk", "sdkVersion", "machineName", "machineIp"} {
			delete(call["properties"].(map[string]any), free)
		}
	}
}

func compareReasons(t *testing.T, c vectorCase, got map[string]any) {
	t.Helper()
	codes := func(list any) (codes []string) {
		for _, note := range list.([]any) {
			codes = append(codes, note.(map[string]any)["code"].(string))
		}
		slices.Sort(codes)
		return codes
	}
	want, have := codes(c.Expected["reasons"]), codes(got["reasons"])
	have = slices.DeleteFunc(have, func(code string) bool {
		return slices.Contains(c.OptionalReasons, code) && !slices.Contains(want, code)
	})
	if any := slices.Equal(want, []string{"*"}); any && len(have) == 0 || !any && !slices.Equal(want, have) {
		t.Errorf("%s: reasons %v, want %v", c.ID, have, want)
	}
	delete(c.Expected, "reasons")
	delete(got, "reasons")
}

func compareTime(t *testing.T, id string, want, got map[string]any) {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, got["time"].(string))
	if err != nil {
		t.Errorf("%s: %v", id, err)
	}
	if want["time"] == "receipt" {
		if age := time.Since(at); age < 0 || age > time.Minute {
			t.Errorf("%s: received %v ago", id, age)
		}
	} else if expected, err := time.Parse(time.RFC3339Nano, want["time"].(string)); err != nil || !expected.Equal(at) {
		t.Errorf("%s: time %v, want %v", id, at, want["time"])
	}
	delete(want, "time")
	delete(got, "time")
}

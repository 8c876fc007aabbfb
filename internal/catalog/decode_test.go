package catalog

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "rewrite the expected findings in testdata")

// environ is the environment of these tests.
func environ(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
}

var exampleVariables = map[string]string{
	"SHOP_SDK_KEY": "sdk-key-1", "SEGMENT_WRITE_KEY": "write-key-1", "SEGMENT_DESTINATION_KEY": "api-key-1",
	"WEBHOOK_SECRET": "webhook-secret-1", "HOOK_SECRET": "hook-secret-1", "HOOK_SECRET2": "hook-secret-2",
}

// example decodes testdata/example.yaml with its variables.
func example(t *testing.T) *Document {
	t.Helper()
	data, err := os.ReadFile("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return mustDecode(t, string(data))
}

func mustDecode(t *testing.T, text string) *Document {
	t.Helper()
	doc, found := Decode("causeway.yaml", []byte(text), environ(exampleVariables))
	if len(found) > 0 {
		t.Fatalf("findings: %v", found)
	}
	return doc
}

func listing(found []Finding) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}

func TestEveryWayToBeWrongHasItsFindings(t *testing.T) {
	files, err := filepath.Glob("testdata/wrong-*.[yj]*")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, found := Decode(filepath.Base(file), data, environ(map[string]string{"EMPTY": ""}))
			got := listing(found)
			if got == "" {
				t.Error("nothing was found")
			}
			golden := strings.TrimSuffix(file, filepath.Ext(file)) + ".findings"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheExampleOfTheInterfaceHasNoFindings(t *testing.T) {
	d := example(t).Projects[0].Segment.Destinations[0]
	if got, want := d.Track, (TrackSpec{Enabled: true, EventType: "event", Value: "properties.revenue"}); got != want {
		t.Errorf("track: got %+v, want %+v", got, want)
	}
	if got := d.APIKey.Reveal(); got != "api-key-1" {
		t.Errorf("apiKey: got %q", got)
	}
}

func TestKeysLeftOutHaveTheirDefaults(t *testing.T) {
	doc := mustDecode(t, `
projects:
  - name: shop
    trafficTypes: [user]
    environments: [{name: production}]
    segment:
      sources: [{name: out, environments: [production], writeKey: wk}]
      destinations:
        - {name: in, environment: production}
        - {name: in2, environment: production, track: {value: properties.total}, pages: {enabled: false}, screens: null}
`)
	segment := doc.Projects[0].Segment
	want := SegmentSpec{
		Sources: []SourceSpec{{
			Name: "out", Environments: []string{"production"}, WriteKey: NewSecret("wk"),
			Endpoint: "https://api.segment.io", Event: "get_treatment",
		}},
		Destinations: []DestinationSpec{{
			Name: "in", Environment: "production", Identify: true,
			Track:   TrackSpec{Enabled: true, EventType: "event"},
			Pages:   NamedSpec{Enabled: true, Template: "view_{name}_page"},
			Screens: NamedSpec{Enabled: true, Template: "viewed_{name}_screen"},
		}, {
			Name: "in2", Environment: "production", Identify: true,
			Track:   TrackSpec{Enabled: true, EventType: "event", Value: "properties.total"},
			Pages:   NamedSpec{Template: "view_{name}_page"},
			Screens: NamedSpec{Enabled: true, Template: "viewed_{name}_screen"},
		}},
	}
	if diff := cmp.Diff(want, segment); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVariablesAreReplacedAndEscaped(t *testing.T) {
	variables := environ(map[string]string{"A": "one", "B": "${A}", "_c1": ""})
	for _, test := range []struct{ text, want string }{
		{"${A}", "one"},
		{"a ${A} and ${A}${A}", "a one and oneone"},
		{"${B}", "${A}"}, // what a variable holds is not read again
		{"$${A}", "${A}"},
		{"$$${A}", "$${A}"},
		{"${A}$${A}${A}", "one${A}one"},
		{"$A $ {A} $$ }", "$A $ {A} $$ }"},
		{"x${_c1}y", "xy"},
	} {
		got, _, wrong := expand(test.text, variables)
		if got != test.want || len(wrong) > 0 {
			t.Errorf("%s: got %q %v, want %q", test.text, got, wrong, test.want)
		}
		if back, _, wrong := expand(escapeVariables(test.want), nil); back != test.want || len(wrong) > 0 {
			t.Errorf("%q, escaped and read again: %q %v", test.want, back, wrong)
		}
	}
}

func TestAnchorsAliasesAndMergesMayBeUsed(t *testing.T) {
	doc := mustDecode(t, `
projects:
  - name: shop
    trafficTypes: &types [user, anonymous]
    environments: [{name: production}, {name: staging}]
    segment:
      destinations:
        - &in
          name: in
          environment: production
          identities: {userId: *types}
          identify: false
        - {<<: *in, name: in-staging, environment: staging}
`)
	d := doc.Projects[0].Segment.Destinations[1]
	if d.Name != "in-staging" || d.Environment != "staging" || d.Identify || len(d.Identities.UserID) != 2 {
		t.Errorf("got %+v", d)
	}
}

func TestAHugeFileIsRefusedUnread(t *testing.T) {
	_, found := Decode("big.yaml", bytes.Repeat([]byte("#"), MaxFileBytes+1), nil)
	if len(found) != 1 || !strings.Contains(found[0].Message, "8388608") {
		t.Errorf("got %v", found)
	}
	_, found = Decode("latin1.yaml", []byte("projects: [{name: \xe9}]"), nil)
	if len(found) != 1 || !strings.Contains(found[0].Message, "UTF-8") {
		t.Errorf("got %v", found)
	}
}

func TestJSONIsReadAsJSON(t *testing.T) {
	doc := mustDecode(t, "{\n\t\"projects\": [{\"name\": \"shop \\ud83d\\ude00 \\\\ud83d \\u00e9 \\u2028.\"}]\n}")
	if got, want := doc.Projects[0].Name, "shop \U0001F600 \\ud83d é \u2028."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	long := `{"projects": [{"name": "a", "segment": {"sources": [{"name": "o\/k", "` + strings.Repeat("x", 2000) + `": 1}]}}]}`
	_, found := Decode("f.json", []byte(long), nil)
	if text := listing(found); !strings.Contains(text, `f.json:1:70: projects[0].segment.sources[0].xxx`) || !strings.Contains(text, `"o/k" has a slash`) {
		t.Errorf("got %s", text)
	}
}

func TestFindingsNeverShowASecret(t *testing.T) {
	const secret = "hunter2"
	_, found := Decode("f.yaml", []byte(`
projects:
  - name: shop
    environments: [{name: production, sdkKeys: [{name: a, type: server_side, key: "hunter2 x"}, {name: b, type: server_side, key: ["hunter2"]}]}]
    segment:
      sources: [{name: out, environments: [production], writeKey: "hunter2:${hunter2 !}", endpoint: "https://hunter2:hunter2@host"}]
      destinations: [{name: in, environment: production, apiKey: {hunter2: 1}, webhook: {secret: " hunter2", signingSecret: "hash:sha256:hunter2"}}]
`), nil)
	if len(found) < 7 {
		t.Errorf("only %d findings:\n%s", len(found), listing(found))
	}
	if text := listing(found); strings.Contains(text, secret) {
		t.Errorf("a finding shows the secret:\n%s", text)
	}
}

func TestADocumentReadsBackAsItWasWritten(t *testing.T) {
	doc := example(t)
	doc.Projects[0].Segment.Sources[0].Event = "a ${NOT} variable $${"
	plain, err := doc.Plaintext()
	if err != nil {
		t.Fatal(err)
	}
	back, found := Decode("", plain, nil)
	if len(found) > 0 {
		t.Fatal(found)
	}
	if diff := cmp.Diff(doc.Projects, back.Projects); diff != "" {
		t.Errorf("in plain (-want +got):\n%s", diff)
	}
	for _, slot := range doc.slots() {
		*slot.secret = slot.secret.hashed()
	}
	for name, marshal := range map[string]func(any) ([]byte, error){"JSON": json.Marshal, "YAML": yaml.Marshal} {
		text, err := marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		back, _ := decode("", text, nil)
		if diff := cmp.Diff(doc.Projects, back.Projects); diff != "" {
			t.Errorf("as %s (-want +got):\n%s", name, diff)
		}
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.[yj]*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, found := Decode("f", data, environ(exampleVariables))
		if len(found) > 0 {
			for _, finding := range found {
				if finding.Message == "" || finding.Fix == "" {
					t.Errorf("half a finding: %+v", finding)
				}
			}
			return
		}
		plain, err := doc.Plaintext()
		if err != nil {
			t.Fatal(err)
		}
		back, found := Decode("f", plain, nil)
		if len(found) > 0 {
			t.Fatalf("%s\nread back: %v", plain, found)
		}
		if diff := cmp.Diff(doc.clone().Projects, back.clone().Projects); diff != "" {
			t.Errorf("read back (-want +got):\n%s", diff)
		}
	})
}

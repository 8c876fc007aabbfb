package catalog

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const documentation = "../../docs/configuration.md"

var (
	docHeading = regexp.MustCompile("^### (?:`(.+)`|The file)$")
	docRow     = regexp.MustCompile("^\\| `([^`]+)` \\| ([^|]+) \\| ([^|]+) \\| (.+) \\|$")
)

// documented reads the keys, types and defaults out of the tables of docs/configuration.md.
func documented(t *testing.T) map[string]SchemaKey {
	t.Helper()
	text, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	_, tables, found := strings.Cut(string(text), "\n## Keys\n")
	if !found {
		t.Fatal("there is no section Keys")
	}
	keys := make(map[string]SchemaKey)
	under := ""
	for line := range strings.Lines(tables) {
		line = strings.TrimSuffix(line, "\n")
		if heading := docHeading.FindStringSubmatch(line); heading != nil {
			under = heading[1]
		}
		row := docRow.FindStringSubmatch(line)
		if row == nil {
			continue
		}
		key := SchemaKey{Path: join(under, row[1]), Type: row[2]}
		if strings.HasPrefix(row[3], "`") {
			key.Default = strings.Trim(row[3], "`")
		}
		if _, twice := keys[key.Path]; twice {
			t.Errorf("%s is documented twice", key.Path)
		}
		keys[key.Path] = key
	}
	return keys
}

func TestTheDocumentationHasEveryKeyOfTheFileAndNoOther(t *testing.T) {
	known := make(map[string]SchemaKey)
	for _, key := range Schema() {
		known[key.Path] = key
	}
	if diff := cmp.Diff(known, documented(t)); diff != "" {
		t.Errorf("docs/configuration.md differs from what Decode knows (-decoder +docs):\n%s", diff)
	}
}

func TestTheKeysDocumentedAsRequiredAreThoseThatDecodeMisses(t *testing.T) {
	text, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	required := make(map[string]bool)
	under := ""
	for line := range strings.Lines(string(text)) {
		if heading := docHeading.FindStringSubmatch(strings.TrimSuffix(line, "\n")); heading != nil {
			under = heading[1]
		}
		if row := docRow.FindStringSubmatch(strings.TrimSuffix(line, "\n")); row != nil && row[3] == "required" && row[1] != "projects" {
			required[join(under, row[1])] = true
		}
	}
	_, found := Decode("", []byte(`{"projects": [{"environments": [{"sdkKeys": [{}]}], "flags": [{}], "segment": {"sources": [{}], "destinations": [{}], "listeners": [{}]}}]}`), nil)
	missing := make(map[string]bool)
	for _, f := range found {
		missing[strings.ReplaceAll(f.Path, "[0]", "[]")] = true
	}
	if diff := cmp.Diff(required, missing); diff != "" {
		t.Errorf("(-documented +missed):\n%s", diff)
	}
}

func TestTheExampleOfTheDocumentationHasNoFindings(t *testing.T) {
	text, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("there is no example")
	}
	mustDecode(t, example)
}

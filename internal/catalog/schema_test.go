package catalog

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// schemaKey describes one key of the configuration file, as Decode knows it.
type schemaKey struct {
	Path    string // projects[].segment.sources[].writeKey
	Type    string // "text", "true or false", "secret", "list of texts", "list", "mapping" ...
	Default string // of a key left out, as the file would write it; empty: none
}

// schemaOf lists every key of the configuration file. It is read off the types
// as the decoder reads them, so it cannot differ from what Decode accepts.
func schemaOf(v reflect.Value, path string) []schemaKey {
	var list []schemaKey
	for _, f := range fieldsOf(v.Type()) {
		value := v.FieldByIndex(f.index)
		key := schemaKey{Path: join(path, f.key), Type: typeName(f.typ)}
		switch {
		case f.typ == secretType:
			list = append(list, key)
		case f.typ.Kind() == reflect.Struct:
			list = append(append(list, key), schemaOf(value, key.Path)...)
		case f.typ.Kind() == reflect.Slice && f.typ.Elem().Kind() == reflect.Struct:
			list = append(append(list, key), schemaOf(withDefaults(f.typ.Elem()), key.Path+"[]")...)
		default:
			if !value.IsZero() || value.Kind() == reflect.Bool {
				key.Default = fmt.Sprint(value.Interface())
			}
			list = append(list, key)
		}
	}
	return list
}

const documentation = "../../docs/configuration.md"

var (
	docHeading = regexp.MustCompile("^### (?:`(.+)`|The file)$")
	docRow     = regexp.MustCompile("^\\| `([^`]+)` \\| ([^|]+) \\| ([^|]+) \\| (.+) \\|$")
)

// documented reads the keys, types and defaults out of the tables of docs/configuration.md.
func documented(t *testing.T) map[string]schemaKey {
	t.Helper()
	text, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	_, tables, found := strings.Cut(string(text), "\n## Keys\n")
	if !found {
		t.Fatal("there is no section Keys")
	}
	keys := make(map[string]schemaKey)
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
		key := schemaKey{Path: join(under, row[1]), Type: row[2]}
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
	known := make(map[string]schemaKey)
	for _, key := range append(schemaOf(reflect.ValueOf(Document{}), ""), schemaOf(reflect.ValueOf(EventSpec{}), "event")...) {
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
	_, found := Decode("", []byte(`{"projects": [{"environments": [{"sdkKeys": [{}]}], "flags": [{}], "segments": [{}], "attributes": [{}], "segment": {"sources": [{}], "destinations": [{}], "listeners": [{}]},
		"metrics": [{}, {"hasDone": {"filters": [{}]}}], "experiments": [{}]}]}`), nil)
	missing := make(map[string]bool)
	for _, f := range found {
		path := strings.NewReplacer("[0]", "[]", "[1]", "[]").Replace(f.Path)
		missing[strings.Replace(path, "projects[].metrics[].hasDone", "event", 1)] = true
	}
	if diff := cmp.Diff(required, missing); diff != "" {
		t.Errorf("(-documented +missed):\n%s", diff)
	}
}

func TestTheExamplesOfTheDocumentationHaveNoFindings(t *testing.T) {
	text, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	examples := strings.Split(string(text), "```yaml\n")[1:]
	if len(examples) < 2 {
		t.Fatalf("there are %d examples", len(examples))
	}
	for _, example := range examples {
		example, _, _ = strings.Cut(example, "```")
		mustDecode(t, example)
	}
}

package translate

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite what the case files expect; review the difference")

// Each testdata/*.txtar pins one ruling: a comment that quotes it, config.json,
// and pairs of an input and its exact results, one a line: in.json and
// want.json, or NAME.in.json and NAME.want.json where a ruling has several
// sentences. An input is one call, one batch where the config says so, or one
// body of impressions.
func TestEveryRulingHolds(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases found (err %v)", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(archive.Files) < 3 || archive.Files[0].Name != "config.json" || len(archive.Files)%2 == 0 {
				t.Fatal("config.json and pairs of in.json and want.json are expected")
			}
			c := decodeConfig(t, archive.Files[0].Data)
			for i := 1; i < len(archive.Files); i += 2 {
				in, want := archive.Files[i], &archive.Files[i+1]
				name, ok := strings.CutSuffix(in.Name, "in.json")
				if !ok || want.Name != name+"want.json" {
					t.Fatalf("%s is followed by %s", in.Name, want.Name)
				}
				t.Run(strings.TrimSuffix(name, "."), func(t *testing.T) {
					got := indent(t, c.run(t, string(bytes.TrimSpace(in.Data))))
					if *update {
						want.Data = []byte(got)
						return
					}
					if diff := cmp.Diff(string(want.Data), got); diff != "" {
						t.Errorf("%s (-want +got):\n%s", strings.TrimSpace(string(in.Data)), diff)
					}
				})
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// indent puts each list item of a result on a line of its own, so that a
// difference is easy to read. Nothing else is changed.
func indent(t *testing.T, results []byte) string {
	t.Helper()
	var out strings.Builder
	for line := range bytes.Lines(results) {
		var result map[string]json.RawMessage
		if err := json.Unmarshal(line, &result); err != nil {
			t.Fatal(err)
		}
		text := string(bytes.TrimSpace(line))
		for _, name := range []string{"events", "attributes", "reasons"} {
			var items []json.RawMessage
			if err := json.Unmarshal(result[name], &items); err != nil || len(items) == 0 {
				continue
			}
			before := `"` + name + `":` + string(result[name])
			var after strings.Builder
			after.WriteString("\n \"" + name + "\":[")
			for i, item := range items {
				if i > 0 {
					after.WriteString(",")
				}
				after.WriteString("\n  " + string(item))
			}
			after.WriteString("]")
			text = strings.Replace(text, before, after.String(), 1)
		}
		text = strings.Replace(text, `,"call":`, ",\n \"call\":", 1)
		out.WriteString(text + "\n")
	}
	return out.String()
}

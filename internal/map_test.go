package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// allowed is the map in ARCHITECTURE.md, as code. A room may import only the
// rooms listed for it. Adding an arrow is a design decision: change both
// places in the same commit.
var allowed = map[string][]string{
	"reason":              {},
	"segment":             {},
	"segment/publicapi":   {},
	"segment/segmenttest": {"segment"},
	"fme":                 {"reason"},
	"tail":                {},
	"cors":                {},
	"peer":                {},
	"translate":           {"segment", "fme", "reason"},
	"stream":              {"reason"},
	"store":               {"fme", "reason"},
	"store/duckdb":        {"store", "fme", "reason"},
	"store/storetest":     {"store", "fme", "reason"},
	"catalog":             {"fme", "segment", "translate", "stream", "reason"},
	"ingest":              {"segment", "fme", "catalog", "stream", "tail", "reason", "peer", "cors"},
	"flags":               {"fme", "catalog", "cors", "peer"},
	"pipeline":            {"segment", "fme", "translate", "catalog", "stream", "store", "tail", "reason"},
	"deliver":             {"segment", "catalog", "stream", "store", "tail", "reason"},
	"playground":          {"segment", "fme", "translate", "catalog", "reason"},
	"auth":                {"catalog", "peer"},
	"audit":               {"auth", "catalog", "stream"},
	"backup":              {"stream"},
	"trace":               {"segment", "fme", "translate", "catalog", "stream", "store", "reason"},
	"api":                 {"segment", "fme", "translate", "catalog", "stream", "store", "tail", "reason", "playground", "trace", "auth", "peer", "backup", "audit", "experiment", "customer"},
	"stats":               {},
	"experiment":          {"fme", "catalog", "store", "stats", "plot"},
	"plot":                {},
	"web":                 {"plot", "experiment", "segment", "segment/publicapi", "fme", "translate", "catalog", "stream", "store", "tail", "reason", "auth", "playground", "trace", "peer", "guide", "customer", "backup", "audit"},
	"guide":               {},
	"customer":            {"fme", "store", "stream"},
	"demo":                {},
	"app":                 {"*"},
}

// TestRoomsImportOnlyWhatTheMapAllows parses the sources itself rather than
// running "go list", so the test cache notices when a file it depends on changes.
func TestRoomsImportOnlyWhatTheMapAllows(t *testing.T) {
	const prefix = "causeway/internal/"
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		room := filepath.ToSlash(filepath.Dir(path))
		if err != nil || room == "." || strings.Contains(path, "testdata") || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		may, listed := allowed[room]
		if !listed && !seen[room] {
			t.Errorf("room %s is not on the map; add it to allowed and to ARCHITECTURE.md", room)
		}
		seen[room] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), prefix)
			if ours && !slices.Contains(may, imported) && !slices.Contains(may, "*") {
				t.Errorf("%s imports %s, which the map does not allow", path, imported)
			}
			if imported == "app" {
				t.Errorf("%s imports app; only cmd/causeway may", path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for room := range allowed {
		if !seen[room] {
			t.Errorf("the map lists %s, which does not exist", room)
		}
	}
}

// TestArchitectureNamesEveryRoom keeps the page and the tree together.
func TestArchitectureNamesEveryRoom(t *testing.T) {
	page, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for room := range allowed {
		if !strings.Contains(string(page), "`"+room+"`") {
			t.Errorf("ARCHITECTURE.md does not name the room `%s`", room)
		}
	}
}

package web_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Other people's files are as they published them: VENDOR.json says what each
// is, where it came from and its hash.
func TestVendoredFilesAreWhatVENDORSays(t *testing.T) {
	const folder = "static/vendor"
	text, err := os.ReadFile(filepath.Join(folder, "VENDOR.json"))
	if err != nil {
		t.Fatal(err)
	}
	var packages []struct {
		Name, Version, Source, Integrity, Licence string
		Files                                     []struct {
			File, From, SHA256 string
			Bytes              int
		}
	}
	if err := json.Unmarshal(text, &packages); err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{"VENDOR.json": true}
	for _, p := range packages {
		if p.Name == "" || p.Version == "" || p.Integrity == "" || p.Licence == "" {
			t.Errorf("%+v is incomplete", p)
		}
		for _, f := range p.Files {
			listed[f.File] = true
			data, err := os.ReadFile(filepath.Join(folder, f.File))
			if err != nil {
				t.Error(err)
				continue
			}
			sum := sha256.Sum256(data)
			if len(data) != f.Bytes || hex.EncodeToString(sum[:]) != f.SHA256 {
				t.Errorf("%s is not the file of %s %s", f.File, p.Name, p.Version)
			}
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !listed[entry.Name()] {
			t.Errorf("%s is not in VENDOR.json", entry.Name())
		}
	}
}

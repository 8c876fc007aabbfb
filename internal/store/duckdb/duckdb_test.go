package duckdb_test

import (
	"path/filepath"
	"testing"

	"causeway/internal/store"
	"causeway/internal/store/duckdb"
	"causeway/internal/store/storetest"
)

func open(t testing.TB, dir string) *duckdb.Store {
	t.Helper()
	s, err := duckdb.Open(t.Context(), duckdb.Options{Path: filepath.Join(dir, "causeway.duckdb")})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStoreKeepsItsContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, dir string) store.Store { return open(t, dir) })
}

package duckdb

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/store"
)

func TestTheFilterMissesNoIDAndLetsFewThrough(t *testing.T) {
	f := idFilter{blocks: make([]filterBlock, minFilterBlocks), all: true}
	const ids = minFilterBlocks * idsInBlock
	for i := range ids {
		f.add(fme.NewID("known", fmt.Sprint(i)))
	}
	through := 0
	for i := range ids {
		if !f.mayHave(fme.NewID("known", fmt.Sprint(i))) {
			t.Fatalf("id %d is said to be new", i)
		}
		if f.mayHave(fme.NewID("new", fmt.Sprint(i))) {
			through++
		}
	}
	if through > 5 {
		t.Errorf("%d of %d new ids would be looked up", through, ids)
	}
}

// What an earlier process wrote is known to the filter of the next, also when
// it grows, when a write was rolled back and when Retain has it filled anew.
func TestRepeatsAreFoundWhateverHappensToTheFilter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "causeway.duckdb")
	open := func() *Store {
		s, err := Open(t.Context(), Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	defer func() { s.Close() }()
	at := 0
	repeat := func(what string, first, size int, want reason.Outcome) {
		t.Helper()
		batch := benchBatch(first, size)
		batch.From, batch.To = uint64(at), uint64(at+size)
		written, err := s.Write(t.Context(), &batch, nil)
		if err != nil {
			t.Fatal(err)
		}
		at += size
		for i, outcome := range written.Calls {
			if outcome != want {
				t.Fatalf("%s: call %d is %s, want %s", what, first+i, outcome, want)
			}
		}
	}
	const size = minFilterBlocks*idsInBlock/4 + 1
	for i := range 5 { // past the size of the first filter
		repeat("new", i*size, size, reason.Stored)
	}
	if len(s.known.blocks) <= minFilterBlocks || !s.known.all {
		t.Errorf("the filter has %d blocks, complete %v", len(s.known.blocks), s.known.all)
	}
	repeat("in the process that wrote it", 0, 100, reason.Duplicate)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	repeat("in the next process", 3*size, 100, reason.Duplicate)
	if err := s.Retain(t.Context(), store.Retention{Dedup: time.Nanosecond}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if s.known.ids != 0 {
		t.Errorf("the filter still has %d ids, all of which were deleted", s.known.ids)
	}
	repeat("after it was forgotten", 3*size, 100, reason.Stored)
	repeat("known again", 3*size, 100, reason.Duplicate)
	s.known.all = false
	repeat("without a filter", 3*size, 100, reason.Duplicate)
}

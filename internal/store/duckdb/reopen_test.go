package duckdb

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// A query whose caller goes away leaves nothing behind that would keep the file
// from being opened again, as a failed engine must be.
func TestTheFileOpensAgainAfterCallersHaveGoneAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "causeway.duckdb")
	for round := range 40 {
		opened := make(chan error, 1)
		var s *Store
		go func() {
			var err error
			s, err = Open(context.Background(), Options{Path: path})
			opened <- err
		}()
		select {
		case err := <-opened:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("round %d: opening the file hangs", round)
		}
		ctx, leave := context.WithCancel(t.Context())
		var queries sync.WaitGroup
		for range 2 {
			queries.Go(func() { _, _ = s.Position(ctx, "calls") }) // it may be told that it left
		}
		time.Sleep(rand.N(800 * time.Microsecond))
		leave()
		queries.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

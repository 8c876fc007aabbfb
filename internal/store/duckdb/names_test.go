package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	engine "github.com/duckdb/duckdb-go/v2"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/store"
)

// named is a batch in which every call has an event type of its own.
func named(from, size int, prefix string) store.Batch {
	batch := benchBatch(from, size)
	for i := range batch.Calls {
		batch.Calls[i].Name = fmt.Sprint(prefix, from+i)
		batch.Calls[i].Events[0].EventType = fmt.Sprint(prefix, from+i)
	}
	return batch
}

func mustWrite(t *testing.T, s *Store, batch store.Batch) {
	t.Helper()
	if _, err := s.Write(t.Context(), &batch, nil); err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, s *Store, query string) (n int64) {
	t.Helper()
	if err := s.db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// checkNames wants each name once, and a name for every number in a row.
func checkNames(t *testing.T, s *Store) {
	t.Helper()
	if twice := number(t, s, "SELECT count(*) - count(DISTINCT text) + count(*) - count(DISTINCT id) FROM names"); twice != 0 {
		t.Errorf("%d names or numbers are there twice", twice)
	}
	for _, table := range nameColumns {
		for _, column := range table.columns {
			if lost := number(t, s, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s NOT IN (SELECT id FROM names)", table.table, column)); lost != 0 {
				t.Errorf("%d rows of %s have a number in %s that is no name's", lost, table.table, column)
			}
		}
	}
}

func TestEveryIntegerColumnOfTrafficIsKnownToRetain(t *testing.T) {
	s, err := openSmall(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	known := 0
	for _, table := range nameColumns {
		known += len(table.columns)
	}
	// Of the INTEGER columns, those that count something are no names.
	columns := number(t, s, `SELECT count(*) FROM duckdb_columns() WHERE data_type = 'INTEGER' AND NOT internal AND database_name <> 'temp'
		AND table_name NOT IN ('names', 'schema_version', 'deliveries')
		AND (table_name, column_name) NOT IN (('calls', 'events'), ('calls', 'attributes'), ('calls', 'place'))`)
	if int64(known) != columns {
		t.Errorf("nameColumns has %d columns, the schema %d: what Retain does not see it would take the names of", known, columns)
	}
}

func TestAFloodOfNamesIsBoundedInMemoryAndStaysRight(t *testing.T) {
	dir := t.TempDir()
	open := func() *Store {
		s, err := Open(t.Context(), Options{Path: filepath.Join(dir, "causeway.duckdb"), knownNames: 50})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	const size, batches = 400, 5
	for i := range batches {
		mustWrite(t, s, named(i*size, size, "flood-"))
		if n := len(s.names.known); n > 50 {
			t.Errorf("%d names in memory, want at most 50", n)
		}
		if i == 2 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open()
			defer func() { s.Close() }()
		}
	}
	// All of them again, with other ids: every name is there already.
	before := number(t, s, "SELECT count(*) FROM names")
	for i := range batches {
		again := named(i*size, size, "flood-")
		again.From, again.To = uint64((batches+i)*size), uint64((batches+i+1)*size)
		for j := range again.Calls {
			again.Calls[j].Events[0].ID = fme.NewID("again", again.Calls[j].MessageID)
		}
		mustWrite(t, s, again)
	}
	if after := number(t, s, "SELECT count(*) FROM names"); after != before {
		t.Errorf("%d names, %d after the same were written again", before, after)
	}
	checkNames(t, s)
	for _, want := range []struct {
		eventType string
		events    int
	}{{"flood-0", 2}, {"flood-777", 2}, {fmt.Sprint("flood-", size*batches-1), 2}, {fmt.Sprint("flood-", size*batches), 0}} {
		page, err := s.Events(t.Context(), store.EventQuery{EventType: want.eventType})
		if err != nil || len(page.Items) != want.events {
			t.Errorf("%s: %d events, %v, want %d", want.eventType, len(page.Items), err, want.events)
		}
		for _, e := range page.Items {
			if e.EventType != want.eventType || e.Environment != "shop/production" {
				t.Errorf("asked for %s, got %+v", want.eventType, e)
			}
		}
	}
}

func TestNamesOfARolledBackBatchAreForgotten(t *testing.T) {
	s, err := openSmall(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustWrite(t, s, named(0, 5, "first-"))
	failed := named(5, 5, "rolled-back-")
	if _, err := s.Write(t.Context(), &failed, func(store.Written) error { return errors.New("no") }); err == nil {
		t.Fatal("the error of beforeCommit was lost")
	}
	if _, ok := s.names.known["rolled-back-5"]; ok {
		t.Error("a name that is not in the table is remembered")
	}
	// Others take the numbers now, then the batch is done again.
	mustWrite(t, s, named(5, 5, "other-"))
	again := named(10, 5, "rolled-back-")
	mustWrite(t, s, again)
	checkNames(t, s)
	for prefix, first := range map[string]int{"first-": 0, "other-": 5, "rolled-back-": 10} {
		for i := first; i < first+5; i++ {
			name := fmt.Sprint(prefix, i)
			page, err := s.Events(t.Context(), store.EventQuery{EventType: name})
			if err != nil || len(page.Items) != 1 || page.Items[0].EventType != name {
				t.Errorf("%s: %+v, %v", name, page.Items, err)
			}
		}
	}
}

func TestRetainDropsNamesThatNoRowHas(t *testing.T) {
	s, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "causeway.duckdb"), fewNames: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	old := named(0, 200, "old-")
	mustWrite(t, s, old)
	at := old.Calls[0].ReceivedAt.Add(100 * 24 * time.Hour)
	recent := named(200, 10, "new-")
	for i := range recent.Calls {
		recent.Calls[i].ReceivedAt, recent.Calls[i].Events[0].ReceivedAt = at, at
	}
	mustWrite(t, s, recent)

	// A writer goes on meanwhile, with names that are about to be dropped.
	var group sync.WaitGroup
	group.Go(func() {
		for i := range 20 {
			batch := named(210+i*10, 10, "beside-")
			for j := range batch.Calls {
				batch.Calls[j].ReceivedAt, batch.Calls[j].Events[0].ReceivedAt = at, at
				batch.Calls[j].Events[0].EventType = fmt.Sprint("old-", j)
			}
			if _, err := s.Write(context.Background(), &batch, nil); err != nil {
				t.Error(err)
			}
		}
	})
	policy := store.Retention{Events: 24 * time.Hour, Calls: 24 * time.Hour}
	for range 5 {
		s.kept = 0
		if err := s.Retain(t.Context(), policy, at); err != nil {
			t.Fatal(err)
		}
	}
	group.Wait()
	checkNames(t, s)
	if n := number(t, s, "SELECT count(*) FROM names WHERE text LIKE 'old-1__'"); n != 0 {
		t.Errorf("%d names are left that no row has", n)
	}
	if s.names.used != nil {
		t.Error("the writer still notes which names it uses")
	}
	// A dropped name is a new one when it comes back.
	back := named(410, 1, "back-")
	back.Calls[0].Events[0].EventType = "old-150"
	mustWrite(t, s, back)
	checkNames(t, s)
	page, err := s.Events(t.Context(), store.EventQuery{EventType: "old-150"})
	if err != nil || len(page.Items) != 1 {
		t.Errorf("%d events, %v, want the one that came back", len(page.Items), err)
	}
}

// A file of schema version 1 holds texts; what it says stays as it was.
func TestAFileOfVersion1IsConverted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "causeway.duckdb")
	connector, err := engine.NewConnector(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	for _, statement := range []string{
		"CREATE TABLE schema_version (version INTEGER NOT NULL)", migrations[0], "INSERT INTO schema_version VALUES (1)",
		`INSERT INTO events SELECT i, 'shop/production', 'user', 'u' || i, 'type-' || (i % 3), i, TIMESTAMP '2026-03-04 12:00:00' + to_seconds(i),
			'{"n":' || i || '}', 'segment', 'm' || i, TIMESTAMP '2026-03-04 12:00:00', '' FROM range(1, 5001) AS r(i)`,
		`INSERT INTO impressions VALUES (6001, 'shop/production', 'checkout', 'u1', 'b1', 'on', 'default rule', 7, TIMESTAMP '2026-03-04 12:00:00', NULL,
			'user', 'go', '6.10.0', 'web-1', '10.0.0.1', '', TIMESTAMP '2026-03-04 12:00:01')`,
		"INSERT INTO impression_counts VALUES ('shop/production', 'checkout', TIMESTAMP '2026-03-04 12:00:00', 5, TIMESTAMP '2026-03-04 12:00:00')",
		"INSERT INTO unique_keys VALUES ('shop/production', 'checkout', 'u9', TIMESTAMP '2026-03-04 12:00:00')",
		`INSERT INTO attributes VALUES (6002, 'shop/production', 'user', 'u1', 'plan', 'pro', false, TIMESTAMP '2026-03-04 12:00:00', TIMESTAMP '2026-03-04 12:00:00', 'm1'),
			(6003, 'shop/production', 'user', 'u1', 'gone', NULL, false, TIMESTAMP '2026-03-04 12:00:00', TIMESTAMP '2026-03-04 12:00:00', 'm1')`,
		"INSERT INTO identities VALUES (6004, 'shop/production', 'account', 'a1', TIMESTAMP '2026-03-04 12:00:00', TIMESTAMP '2026-03-04 12:00:00')",
		`INSERT INTO calls VALUES (6005, 'shop/production', 'prod-events', 'tracking', 'basic', 'm1', 'track', 'Order Completed', TIMESTAMP '2026-03-04 12:00:00',
			'stored', '', 1, 0, 7, 3)`,
		"INSERT INTO positions VALUES ('calls', 42)",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	killed := filepath.Join(t.TempDir(), "causeway.duckdb")
	for i, path := range []string{path, path, killed} { // anew, as it is then, and after a kill
		s, err := Open(t.Context(), Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			copyIfAny(t, path, killed)
			copyIfAny(t, path+".wal", killed+".wal")
		}
		checkNames(t, s)
		if position, err := s.Position(t.Context(), "calls"); err != nil || position != 42 {
			t.Errorf("position %d, %v", position, err)
		}
		if n := number(t, s, "SELECT count(*) FROM events"); n != 5000 {
			t.Errorf("%d events, want 5000", n)
		}
		events, err := s.Events(t.Context(), store.EventQuery{Environment: "shop/production", EventType: "type-2", Span: store.Span{Limit: 2}})
		if err != nil || len(events.Items) != 2 || events.NextCursor == "" {
			t.Fatalf("events %+v, %v", events, err)
		}
		if e := events.Items[0]; e.Key != "u5000" || e.EventType != "type-2" || e.TrafficType != "user" || e.Source != "segment" || e.ForeignID != "m5000" || e.Configuration != "" {
			t.Errorf("event %+v", e)
		}
		impressions, err := s.Impressions(t.Context(), store.ImpressionQuery{Flag: "checkout", Treatment: "on"})
		if err != nil || len(impressions.Items) != 1 {
			t.Fatalf("impressions %+v, %v", impressions, err)
		}
		if i := impressions.Items[0]; i.Label != "default rule" || i.SDK != "go" || i.SDKVersion != "6.10.0" || i.MachineName != "web-1" || i.MachineIP != "10.0.0.1" || i.BucketingKey != "b1" {
			t.Errorf("impression %+v", i)
		}
		flags, err := s.Flags(t.Context(), "shop/production", time.Time{})
		if err != nil || len(flags) != 1 || flags[0].Flag != "checkout" || flags[0].Evaluations != 6 || flags[0].UniqueKeys != 2 {
			t.Errorf("flags %+v, %v", flags, err)
		}
		customer, found, err := s.Customer(t.Context(), "shop/production", "user", "u1")
		if err != nil || !found || len(customer.Attributes) != 1 || customer.Attributes["plan"].Value != "pro" {
			t.Errorf("customer %+v, %v", customer, err)
		}
		if _, found, _ := s.Customer(t.Context(), "shop/production", "account", "a1"); !found {
			t.Error("an identified customer is gone")
		}
		calls, err := s.Calls(t.Context(), store.CallQuery{Outcome: reason.Stored, Type: "track", Configuration: "prod-events"})
		if err != nil || len(calls.Items) != 1 || calls.Items[0].Name != "Order Completed" || calls.Items[0].Frame != 7 || calls.Items[0].Route != "tracking" {
			t.Errorf("calls %+v, %v", calls, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// copyIfAny copies a file as a kill would leave it.
func copyIfAny(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = os.WriteFile(to, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestANewNameIsFoundAsSoonAsItsRowsAre(t *testing.T) {
	s, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "store.duckdb")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	done := make(chan error, 1)
	const batches = 60
	go func() {
		for i := range batches {
			batch := named(i, 1, "E")
			if _, err := s.Write(context.Background(), &batch, nil); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for seen := uint64(0); seen < batches; {
		position, err := s.Position(t.Context(), "calls")
		if err != nil {
			t.Fatal(err)
		}
		if position == seen {
			continue
		}
		seen = position
		name := fmt.Sprint("E", seen-1)
		found, err := s.Events(t.Context(), store.EventQuery{Environment: "shop/production", EventType: name})
		if err != nil || len(found.Items) == 0 {
			t.Fatalf("%s is stored and not found: %v", name, err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A list reads the names of its rows and not all there are.
func TestListsAreQuickBesideManyNames(t *testing.T) {
	s, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "causeway.duckdb")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustWrite(t, s, benchBatch(0, 1000))
	list := func() time.Duration {
		least := time.Hour
		for range 5 {
			start := time.Now()
			page, err := s.Calls(t.Context(), store.CallQuery{Environment: "shop/production"})
			if err != nil || len(page.Items) != 50 {
				t.Fatalf("%d calls, %v", len(page.Items), err)
			}
			least = min(least, time.Since(start))
		}
		return least
	}
	few := list()
	if _, err := s.writer.ExecContext(t.Context(), "INSERT INTO names SELECT 1000 + i, 'one of a flood of names ' || i FROM range(300000) AS r(i)"); err != nil {
		t.Fatal(err)
	}
	if many := list(); many > 10*few+100*time.Millisecond {
		t.Errorf("a list takes %s beside many names, %s beside few", many, few)
	} else {
		t.Logf("a list takes %s beside many names, %s beside few", many, few)
	}
}

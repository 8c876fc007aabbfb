package audit_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"causeway/internal/audit"
	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/stream"
)

func TestChangesAreFoundByPersonObjectAndTime(t *testing.T) {
	ctx := t.Context()
	streams, err := stream.Open(ctx, stream.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer streams.Close()
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	kv, err := streams.KeyValue(ctx, "auth")
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := auth.New(auth.Options{KV: kv, Audit: streams.AppendAudit, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	kv, err = streams.KeyValue(ctx, "catalog")
	if err != nil {
		t.Fatal(err)
	}
	configuration, err := catalog.Open(ctx, catalog.Options{KV: kv, Audit: streams.AppendAudit, MasterKey: [32]byte{1}, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer configuration.Close()

	accounts.Record(ctx, "user Ada@example.com", "user.added", "bob@example.com", "viewer")
	now = now.Add(time.Hour)
	doc := &catalog.Document{Projects: []catalog.ProjectSpec{{Name: "shop", TrafficTypes: []string{"user"}}}}
	if _, err := configuration.Apply(ctx, doc, "user bob@example.com", 0); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	accounts.Record(ctx, "admin token", "token.removed", "export", "")
	if err := streams.AppendAudit(ctx, []byte("no JSON <b>")); err != nil {
		t.Fatal(err)
	}

	for name, c := range map[string]struct {
		query audit.Query
		want  string
	}{
		"all":      {audit.Query{}, "[unreadable token.removed configuration.changed user.added]"},
		"person":   {audit.Query{Actor: "ada@"}, "[user.added]"},
		"object":   {audit.Query{Object: "PROJECTS[shop]"}, "[configuration.changed]"},
		"action":   {audit.Query{Object: "token."}, "[token.removed]"},
		"from":     {audit.Query{Actor: "a", From: now.Add(-time.Hour)}, "[token.removed configuration.changed]"},
		"to":       {audit.Query{To: now}, "[configuration.changed user.added]"},
		"first":    {audit.Query{Limit: 3}, "[unreadable token.removed configuration.changed]"},
		"nobody's": {audit.Query{Actor: "eve"}, "[]"},
	} {
		entries, _, err := audit.Find(ctx, streams, c.query)
		if err != nil {
			t.Fatal(err)
		}
		if got := actions(entries); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	first, next, err := audit.Find(ctx, streams, audit.Query{Limit: 3})
	if err != nil || next == 0 {
		t.Fatal(first, next, err)
	}
	rest, next, err := audit.Find(ctx, streams, audit.Query{Limit: 3, Before: next})
	if err != nil || next != 0 || actions(rest) != "[user.added]" {
		t.Errorf("the second page is %s, then %d %v", actions(rest), next, err)
	}
	change := first[2]
	if change.Revision == 0 || len(change.Differences) != 1 || change.Differences[0].Path != "projects[shop]" || change.Differences[0].After == nil {
		t.Errorf("%+v", change)
	}
}

func actions(entries []audit.Entry) string {
	list := []string{}
	for _, e := range entries {
		list = append(list, e.Action)
	}
	return fmt.Sprint(list)
}

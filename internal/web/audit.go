package web

import (
	"strconv"
	"strings"
	"time"

	"causeway/internal/audit"
	"causeway/internal/catalog"
)

// auditPage lists who changed what.
type auditPage struct {
	layout
	Actor, Object, From, To string
	Entries                 []auditEntry
	Filtered                bool
	Newest, Older           string
}

// auditEntry is an entry as it is shown.
type auditEntry struct {
	audit.Entry
	What    string // the action in words
	Changes []auditChange
	More    int // changes that are not shown
}

// auditChange is one difference, short enough for a list.
type auditChange struct {
	Path, Kind, Before, After string
}

const (
	auditShown   = 50
	changesShown = 20  // of one entry
	valueShown   = 300 // characters of a value
)

func (s *Server) audit(r *request) error {
	query := r.URL.Query()
	page := auditPage{layout: s.layout(r, "Audit log"), Actor: query.Get("actor"), Object: query.Get("object")}
	q := audit.Query{Actor: strings.TrimSpace(page.Actor), Object: strings.TrimSpace(page.Object), Limit: auditShown}
	page.From, q.From = dayOf(query.Get("from"))
	page.To, q.To = dayOf(query.Get("to"))
	if !q.To.IsZero() {
		q.To = q.To.AddDate(0, 0, 1) // that day too
	}
	q.Before, _ = strconv.ParseUint(query.Get("cursor"), 10, 64) // what is no number begins anew
	entries, next, err := audit.Find(r.Context(), s.Streams, q)
	if err != nil {
		return err
	}
	for _, e := range entries {
		page.Entries = append(page.Entries, showAuditEntry(e))
	}
	page.Filtered = q.Actor != "" || q.Object != "" || !q.From.IsZero() || !q.To.IsZero()
	filter := []string{"actor", page.Actor, "object", page.Object, "from", page.From, "to", page.To}
	if q.Before > 0 {
		page.Newest = page.Link("/audit", filter...)
	}
	if next > 0 {
		page.Older = page.Link("/audit", append(filter, "cursor", strconv.FormatUint(next, 10))...)
	}
	return s.show(r, "audit", page)
}

// dayOf reads a date of a filter; what is none does not filter.
func dayOf(text string) (string, time.Time) {
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return "", time.Time{}
	}
	return text, at
}

func showAuditEntry(e audit.Entry) auditEntry {
	shown := auditEntry{Entry: e, What: strings.NewReplacer(".", " ", "_", " ").Replace(e.Action)}
	shown.Changes, shown.More = showChanges(e.Differences)
	return shown
}

// showChanges shortens differences for a list; more is how many are left out.
func showChanges(differences []catalog.Difference) (changes []auditChange, more int) {
	for i, d := range differences {
		if i == changesShown {
			return changes, len(differences) - i
		}
		change := auditChange{Path: d.Path, Kind: d.Kind}
		if d.Before != nil {
			change.Before = cutText(prettyJSON(d.Before), valueShown)
		}
		if d.After != nil {
			change.After = cutText(prettyJSON(d.After), valueShown)
		}
		changes = append(changes, change)
	}
	return changes, 0
}

package api

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"causeway/internal/stream"
)

// shownAudit is an entry of the audit log: what an administrator changed.
type shownAudit struct {
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	// Entry is what was recorded; text when it is no JSON.
	Entry json.RawMessage `json:"entry"`
}

func showAudit(e stream.AuditEntry) shownAudit {
	entry := json.RawMessage(e.Data)
	if !json.Valid(entry) {
		entry, _ = json.Marshal(string(e.Data))
	}
	return shownAudit{e.Sequence, e.Time, entry}
}

func (s *Server) audit(r *request) error {
	limit, err := r.limit()
	if err != nil {
		return err
	}
	var before uint64
	if cursor := r.query.Get("cursor"); cursor != "" {
		if before, err = strconv.ParseUint(cursor, 10, 64); err != nil || before == 0 {
			return badParameter("cursor", "The cursor was not made by this list. Start again without a cursor.")
		}
	}
	entries, err := s.streams.Audit(r.Context(), before, limit)
	if err != nil {
		return fmt.Errorf("read the audit log: %w", err)
	}
	next := ""
	// A full page whose last entry is the first of all has nothing after it.
	if n := len(entries); n == limit && entries[n-1].Sequence > 1 {
		next = strconv.FormatUint(entries[n-1].Sequence, 10)
	}
	return r.answer(listFrom(entries, next, showAudit))
}

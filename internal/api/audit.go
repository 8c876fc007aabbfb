package api

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"causeway/internal/audit"
)

// shownAudit is an entry of the audit log: what an administrator changed.
type shownAudit struct {
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	// Entry is what was recorded; text when it is no JSON.
	Entry json.RawMessage `json:"entry"`
}

func showAudit(e audit.Entry) shownAudit { return shownAudit{e.Sequence, e.Time, e.Raw} }

func (s *Server) audit(r *request) error {
	q := audit.Query{Actor: r.query.Get("actor"), Object: r.query.Get("object")}
	var err error
	if q.Limit, err = r.limit(); err != nil {
		return err
	}
	if q.From, err = r.time("from"); err != nil {
		return err
	}
	if q.To, err = r.time("to"); err != nil {
		return err
	}
	if cursor := r.query.Get("cursor"); cursor != "" {
		if q.Before, err = strconv.ParseUint(cursor, 10, 64); err != nil || q.Before == 0 {
			return badParameter("cursor", "The cursor was not made by this list. Start again without a cursor.")
		}
	}
	entries, before, err := audit.Find(r.Context(), s.streams, q)
	if err != nil {
		return fmt.Errorf("read the audit log: %w", err)
	}
	next := ""
	if before > 0 {
		next = strconv.FormatUint(before, 10)
	}
	return r.answer(listFrom(entries, next, showAudit))
}

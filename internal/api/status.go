package api

import (
	"fmt"
	"time"

	"causeway/internal/backup"
	"causeway/internal/stream"
)

// shownStream is how much a stream holds and how far its consumer is.
type shownStream struct {
	Name     stream.Name `json:"name"`
	First    uint64      `json:"first"`
	Last     uint64      `json:"last"`
	Bytes    uint64      `json:"bytes"`
	Position uint64      `json:"position"` // last frame that is in the store
	Waiting  uint64      `json:"waiting"`  // frames that are not
}

// status is what an operator looks at first.
func (s *Server) status(r *request) error {
	ctx := r.Context()
	size, err := s.store.Size()
	if err != nil {
		return fmt.Errorf("size of the store: %w", err)
	}
	streams := []shownStream{}
	for _, name := range []stream.Name{stream.Calls, stream.Impressions} {
		one := shownStream{Name: name}
		if one.First, one.Last, one.Bytes, err = s.streams.Bounds(ctx, name); err != nil {
			return fmt.Errorf("bounds of the stream %s: %w", name, err)
		}
		// The store names its consumers as the streams (store.Batch.Consumer).
		if one.Position, err = s.store.Position(ctx, string(name)); err != nil {
			return fmt.Errorf("position in the stream %s: %w", name, err)
		}
		if one.Last > one.Position {
			one.Waiting = one.Last - one.Position
		}
		streams = append(streams, one)
	}
	dead := 0
	counts, err := s.streams.CountDeadLetters(ctx)
	if err != nil {
		return fmt.Errorf("count dead letters: %w", err)
	}
	for _, c := range counts {
		dead += c.Count
	}
	checks, ready := s.ready(ctx), true
	for _, c := range checks {
		ready = ready && c.OK
	}
	if checks == nil {
		checks = []Check{}
	}
	var last backup.Record
	if s.backups != nil {
		if last, _, err = s.backups.Last(ctx); err != nil {
			return err
		}
	}
	return r.answer(struct {
		Version         string        `json:"version"`
		StartedAt       time.Time     `json:"startedAt"`
		UptimeSeconds   int64         `json:"uptimeSeconds"`
		CatalogRevision uint64        `json:"catalogRevision"`
		File            string        `json:"configurationFile,omitempty"` // that alone changes the configuration
		StoreBytes      int64         `json:"storeBytes"`
		Streams         []shownStream `json:"streams"`
		DeadLetters     int           `json:"deadLetters"`
		Ready           bool          `json:"ready"`
		Checks          []Check       `json:"checks"`
		LastBackupAt    time.Time     `json:"lastBackupAt,omitzero"`
	}{
		s.version, s.started.UTC(), int64(time.Since(s.started).Seconds()), s.catalog.Snapshot().Revision, s.catalog.File(),
		size, streams, dead, ready, checks, last.FinishedAt,
	})
}

// serverSettings lists the server's own settings, with where each comes from.
func (s *Server) serverSettings(r *request) error {
	return r.answer(listFrom(s.settings, "", same[Setting]))
}

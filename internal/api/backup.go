package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"causeway/internal/backup"
)

// backupMade is the action of a backup in the audit log.
const backupMade = "backup.made"

// lazyBody sends the headers of an answer with its first byte, so that what
// goes wrong before is a problem and not a cut archive.
type lazyBody struct {
	w     http.ResponseWriter
	begun bool
}

func (b *lazyBody) Write(p []byte) (int, error) {
	if !b.begun {
		b.begun = true
		b.w.Header().Set("Content-Type", "application/x-tar")
		b.w.Header().Set("Content-Disposition", `attachment; filename="causeway.backup.tar"`)
		b.w.WriteHeader(http.StatusOK)
	}
	return b.w.Write(p)
}

// backUp streams an archive. What goes wrong half way cuts the connection: the
// archive then lacks its end, and a restore refuses it.
func (s *Server) backUp(r *request) error {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(r.w, r.Body, 1<<10)); err != nil {
		return err
	}
	processed, err := r.flag("processed")
	if err != nil {
		return err
	}
	if s.backups == nil {
		return refuse(http.StatusNotImplemented, "backup_elsewhere", "This server makes no backups.")
	}
	body := &lazyBody{w: r.w}
	made, err := s.backups.Write(r.Context(), body, actorOf(r), processed)
	var room *backup.RoomError
	switch {
	case err == nil:
		s.accounts.Record(r.Context(), actorOf(r), backupMade, "", fmt.Sprintf("%d bytes", made.Bytes))
		return nil
	case body.begun:
		s.log.ErrorContext(r.Context(), "a backup was cut off", "request", r.id, "err", err)
		panic(http.ErrAbortHandler)
	case errors.Is(err, backup.ErrRunning):
		return refuse(http.StatusConflict, "backup_running", "Another backup is being made. Wait until it is done.")
	case errors.Is(err, backup.ErrExternal):
		return refuse(http.StatusNotImplemented, "backup_elsewhere", "The streams are on an external NATS cluster. Back them up there (nats account backup) with the server stopped, and copy the data folder.")
	case errors.As(err, &room):
		return refuse(http.StatusInsufficientStorage, "backup_no_room", "There is no room for a backup: %v. Make room, or shorten the retention.", room)
	}
	return err
}

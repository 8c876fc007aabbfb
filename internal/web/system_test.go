package web_test

import (
	"io"
	"testing"
	"time"

	"causeway/internal/auth"
	"causeway/internal/backup"
	"causeway/internal/store"
	"causeway/internal/web"
)

func TestSystemSaysHowTheServerIs(t *testing.T) {
	r := configured(t, func(o *web.Options) {
		backups, err := backup.New(t.Context(), backup.Options{Streams: o.Streams, Store: o.Store.(backup.Store), Folder: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		o.Backups = backups
		o.System = web.System{
			Settings: []web.Setting{{Name: "--listen", Value: nasty, From: "environment variable CAUSEWAY_LISTEN", Help: "Address."}, {Name: "--admin-token", Value: "[secret]", From: "flag"}},
			Data:     "/var/lib/causeway", Retention: store.Retention{Events: 90 * 24 * time.Hour},
			Free: func() (int64, error) { return 3 << 30, nil },
		}
	})
	r.checks = []web.Check{{Name: "store", OK: true}, {Name: "disk", Detail: "the disk is nearly full"}}
	r.get("/system").shows(200, "up ", "the disk is nearly full", "/var/lib/causeway", "3 GiB", "90 days", "for ever", "There was none yet",
		"environment variable CAUSEWAY_LISTEN", nasty, "[secret]", "no source has had an impression").lacks("<script>alert")
	r.get("/").shows(200, "A backup was made", "every night")

	r.start()
	r.impressions(`[{"f":"button","i":[{"k":"u1","t":"on","m":1767225600000,"c":1}]}]`)
	if _, err := r.server.Backups.Write(t.Context(), io.Discard, "user "+nasty, false); err != nil {
		t.Fatal(err)
	}
	r.get("/system").shows(200, "The last was finished", "by user "+nasty, "impressions", "not started").lacks("There was none yet", "<script>alert")
	r.get("/").shows(200, "Done: A backup was made").lacks("every night")

	r.as("eve@example.com", auth.Grants{Server: auth.Viewer})
	r.get("/system").shows(200, "Settings and the data folder are shown to admins").lacks("/var/lib/causeway", "CAUSEWAY_LISTEN", "by user")
}

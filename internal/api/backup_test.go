package api_test

import (
	"net/http"
	"strings"
	"testing"

	"causeway/internal/api"
	"causeway/internal/backup"
)

func TestABackupIsOneArchiveAndAnEntryOfTheAuditLog(t *testing.T) {
	r := configured(t)
	got := r.do("POST", "/admin/v1/backup?processed=true", "")
	if got.status != http.StatusOK {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	restored, err := backup.Restore(t.Context(), strings.NewReader(got.body), t.TempDir(), nil, nil)
	if err != nil || restored.Streams == 0 || restored.Messages == 0 || restored.MasterKey {
		t.Errorf("%+v %v", restored, err)
	}
	if got := r.get("/admin/v1/status"); !strings.Contains(got.body, `"lastBackupAt":"20`) {
		t.Errorf("the status is %s", got.body)
	}
	if log := r.get("/admin/v1/audit").body; !strings.Contains(log, "backup.made") {
		t.Errorf("the audit log: %s", log)
	}
	if got := r.do("POST", "/admin/v1/backup?processed=perhaps", ""); got.problem(t).Code != "parameter_invalid" {
		t.Errorf("got %s", got.body)
	}
}

func TestAServerThatMakesNoBackupsSaysSo(t *testing.T) {
	r := configured(t, func(o *api.Options) { o.Backups = nil })
	if got := r.do("POST", "/admin/v1/backup", ""); got.problem(t).Code != "backup_elsewhere" {
		t.Errorf("got %s", got.body)
	}
}

package app_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"causeway/internal/app"
	"causeway/internal/backup"
	"causeway/internal/segment/segmenttest"
)

// sending keeps what was acknowledged of what some senders send.
type sending struct {
	mu    sync.Mutex
	acked map[string]bool
	stop  chan struct{}
	done  sync.WaitGroup
}

// send starts senders, each of which posts one thing after the other until
// end: post reports whether that of the id was acknowledged.
func send(senders int, post func(id string) bool) *sending {
	s := &sending{acked: map[string]bool{}, stop: make(chan struct{})}
	for sender := range senders {
		s.done.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-s.stop:
					return
				default:
				}
				if id := fmt.Sprintf("%d-%d", sender, i); post(id) {
					s.mu.Lock()
					s.acked[id] = true
					s.mu.Unlock()
				}
			}
		})
	}
	return s
}

func (s *sending) now() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.acked)
}

func (s *sending) end() {
	close(s.stop)
	s.done.Wait()
}

// backUp makes a backup through the admin API.
func (r *running) backUp(file string) {
	r.t.Helper()
	request, err := http.NewRequest(http.MethodPost, r.base+"/admin/v1/backup", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	out, err := os.Create(file)
	if err == nil {
		_, err = io.Copy(out, response.Body)
	}
	if err != nil || response.StatusCode != http.StatusOK {
		r.t.Fatalf("back up: %d %v", response.StatusCode, err)
	}
	if err := out.Close(); err != nil {
		r.t.Fatal(err)
	}
}

// TestABackupUnderLoadLosesAndDoublesNothing: while calls and impressions come
// in and Segment refuses everything, a backup is made and restored elsewhere.
// What was acknowledged before the backup began is there, once, and what had
// not gone to Segment goes, once.
func TestABackupUnderLoadLosesAndDoublesNothing(t *testing.T) {
	r := start(t)
	down := func(segmenttest.Request) (segmenttest.Answer, bool) {
		return segmenttest.Answer{Status: http.StatusServiceUnavailable}, true
	}
	r.fake.Respond(down)
	calls := send(4, func(id string) bool {
		return r.post("/v1/track", "Basic ZGVzdGluYXRpb24ta2V5Og==", `{"userId":"u1","event":"Order","messageId":"`+id+`"}`) == http.StatusOK
	})
	base := time.Now().UnixMilli()
	impressions := send(2, func(id string) bool {
		var sender, i int
		_, _ = fmt.Sscanf(id, "%d-%d", &sender, &i)
		return r.post("/api/testImpressions/bulk", "Bearer sdk-key",
			fmt.Sprintf(`[{"f":"checkout_button","i":[{"k":"k-%s","t":"on","m":%d,"c":1}]}]`, id, base+int64(i))) == http.StatusOK
	})
	time.Sleep(1500 * time.Millisecond)

	folder := t.TempDir()
	wantCalls, wantImpressions := calls.now(), impressions.now()
	if len(wantCalls) < 20 || len(wantImpressions) < 20 {
		t.Fatalf("only %d calls and %d impressions were acknowledged", len(wantCalls), len(wantImpressions))
	}
	r.backUp(filepath.Join(folder, "one.tar"))
	time.Sleep(300 * time.Millisecond)
	wantCalls, wantImpressions = calls.now(), impressions.now()
	r.backUp(filepath.Join(folder, "two.tar"))
	calls.end()
	impressions.end()
	if left, _ := filepath.Glob(filepath.Join(r.options.Data, ".backup-*")); len(left) > 0 {
		t.Errorf("the backup left %v", left)
	}
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}

	data := filepath.Join(folder, "data")
	key, err := os.ReadFile(filepath.Join(r.options.Data, "master.key"))
	if err == nil {
		err = os.MkdirAll(data, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(data, "master.key"), key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	archive, err := os.Open(filepath.Join(folder, "two.tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	if _, err := backup.Restore(t.Context(), archive, data, nil, nil); err != nil {
		t.Fatal(err)
	}
	r.fake.Respond(nil)
	r.options.Data, r.options.ConfigFile, r.options.AdminToken = data, "", "" // all from the backup
	r.run()
	r.eventually("readiness", func() bool { return r.get("/readyz", nil) == http.StatusOK })
	r.eventually("the end of what waited", func() bool {
		var status struct{ Streams []struct{ Waiting int } }
		r.get("/admin/v1/status", &status)
		return status.Streams[0].Waiting+status.Streams[1].Waiting == 0
	})
	seen := map[string]int{}
	for _, event := range r.all(environment + "/events") {
		seen[event["foreignId"].(string)]++
	}
	compare(t, "event of call", wantCalls, seen)

	seen = map[string]int{}
	for _, impression := range r.all(environment + "/impressions") {
		seen[strings.TrimPrefix(impression["key"].(string), "k-")]++
	}
	compare(t, "impression", wantImpressions, seen)

	r.eventually("delivery of all impressions", func() bool { return r.fake.Totals().Calls >= len(seen) })
	time.Sleep(300 * time.Millisecond) // more would come now
	out := map[string]int{}
	for _, call := range r.fake.Calls() {
		for id := range seen {
			if strings.Contains(string(call.JSON), `"k-`+id+`"`) {
				out[id]++
			}
		}
	}
	compare(t, "call to Segment of impression", wantImpressions, out)
	if totals := r.fake.Totals(); totals.Repeats != 0 || totals.Violations != 0 {
		t.Errorf("Segment got %+v", totals)
	}

	// It goes on: a new call and a new impression take the same ways.
	if got := r.post("/v1/track", "Basic ZGVzdGluYXRpb24ta2V5Og==", `{"userId":"u1","event":"Order","messageId":"new"}`); got != 200 {
		t.Errorf("a call after the restore: %d", got)
	}
	if got := r.post("/api/testImpressions/bulk", "Bearer sdk-key", `[{"f":"checkout_button","i":[{"k":"new","t":"on","m":1767225600000,"c":1}]}]`); got != 200 {
		t.Errorf("an impression after the restore: %d", got)
	}
	r.eventually("delivery after the restore", func() bool { return r.fake.Totals().Calls > len(seen) })
}

func compare(t *testing.T, what string, want map[string]bool, seen map[string]int) {
	t.Helper()
	lost, doubled := 0, 0
	for id := range want {
		if seen[id] == 0 {
			lost++
		}
	}
	for _, n := range seen {
		if n > 1 {
			doubled++
		}
	}
	t.Logf("%s: %d acknowledged before, %d restored", what, len(want), len(seen))
	if lost > 0 || doubled > 0 {
		t.Errorf("%s: %d of %d are lost, %d are there more than once", what, lost, len(want), doubled)
	}
}

func TestARestoreRefusesWhatIsNoWholeBackupAndLeavesNothing(t *testing.T) {
	r := start(t)
	r.post("/v1/track", "Basic ZGVzdGluYXRpb24ta2V5Og==", `{"userId":"u1","event":"Order","messageId":"m1"}`)
	folder := t.TempDir()
	r.backUp(filepath.Join(folder, "backup.tar"))
	whole, err := os.ReadFile(filepath.Join(folder, "backup.tar"))
	if err != nil {
		t.Fatal(err)
	}
	changed := []byte(strings.Replace(string(whole), `"version":"test"`, `"version":"tess"`, 1))
	for name, c := range map[string]struct{ archive, says string }{
		"nothing": {"", "ends early"},
		"noise":   {strings.Repeat("noise", 1000), "no archive"},
		"cut":     {string(whole[:len(whole)/2]), "ends early"},
		"no end":  {string(whole[:len(whole)-4096]), "ends early"},
		"changed": {string(changed), "checksum"},
		"newer":   {strings.Replace(string(whole), `"format":1`, `"format":7`, 1), "format 7"},
	} {
		data := filepath.Join(folder, name)
		_, err := backup.Restore(t.Context(), strings.NewReader(c.archive), data, nil, nil)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if left, _ := os.ReadDir(data); len(left) > 0 {
			t.Errorf("%s left %v", name, left)
		}
	}
	_, err = backup.Restore(t.Context(), strings.NewReader(string(whole)), folder, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("into a folder in use: %v", err)
	}
}

func TestABackupThatDoesNotFitIsRefusedWithASentence(t *testing.T) {
	r := startWith(t, func(o *app.Options) { o.MinFreeDisk = 1 << 60 })
	request, err := http.NewRequest(http.MethodPost, r.base+"/admin/v1/backup", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusInsufficientStorage || !strings.Contains(string(text), "backup_no_room") {
		t.Errorf("got %d %s", response.StatusCode, text)
	}
}

package deliver

import (
	"strings"
	"testing"
)

func TestATestIsSentPastTheQueueWithinTheBoundsOfDeliveries(t *testing.T) {
	r := newRoom(t)
	r.configure("prod fake wk", "wrong fake fail-401", "private http://169.254.169.254 wk-metadata")
	r.start()
	snapshot := r.catalog.Snapshot()
	source, _ := snapshot.Source("prod")
	got := r.deliver.Try(t.Context(), source, testCall("try-1", ""))
	if !got.OK || got.Status != 200 || !strings.Contains(got.Answer, "success") {
		t.Errorf("%+v", got)
	}
	if calls := r.fake.Calls(); len(calls) != 1 {
		t.Errorf("%d calls arrived", len(calls))
	}
	source, _ = snapshot.Source("wrong")
	if got := r.deliver.Try(t.Context(), source, testCall("try-2", "")); got.OK || got.Status != 401 {
		t.Errorf("a wrong key: %+v", got)
	}
	source, _ = snapshot.Source("private")
	if got := r.deliver.Try(t.Context(), source, testCall("try-3", "")); got.OK || got.Status != 0 || !strings.Contains(got.Answer, "metadata service") {
		t.Errorf("an address that is never reached: %+v", got)
	}
	if n := len(r.letters()); n != 0 {
		t.Errorf("%d dead letters of a test", n)
	}
}

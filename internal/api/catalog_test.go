package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"causeway/internal/catalog"
)

// changed is the answer to a PUT of the catalog.
type changed struct {
	Revision    uint64
	Differences []catalog.Difference
	Generated   []catalog.GeneratedSecret
}

func TestExportThenApplyChangesNothing(t *testing.T) {
	r := configured(t)
	for _, format := range []string{"json", "yaml"} {
		exported := r.get("/admin/v1/catalog?format=" + format)
		for _, secret := range []string{"write-key", "hook-secret", "destination-key", "sdk-key"} {
			if strings.Contains(exported.body, secret) {
				t.Errorf("%s shows %s", format, secret)
			}
		}
		got := r.do("PUT", "/admin/v1/catalog", exported.body, "If-Match", exported.header.Get("ETag"))
		var change changed
		got.into(t, &change)
		if got.status != http.StatusOK || len(change.Differences) != 0 || got.header.Get("ETag") != exported.header.Get("ETag") {
			t.Errorf("%s: %d %s", format, got.status, got.body)
		}
	}
	exported := r.get("/admin/v1/catalog")
	if got := r.get("/admin/v1/catalog", "If-None-Match", exported.header.Get("ETag")); got.status != http.StatusNotModified || got.body != "" {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestGeneratedSecretsAreShownOnce(t *testing.T) {
	r := newRig(t)
	minimal := `projects: [{name: shop, trafficTypes: [user], environments: [{name: production}], segment: {destinations: [{name: events, environment: production, identities: {userId: [user]}}]}}]`
	var planned, applied, again changed
	r.do("PUT", "/admin/v1/catalog?dryRun=true", minimal).into(t, &planned)
	if len(planned.Differences) == 0 || planned.Revision != 0 {
		t.Errorf("planned %+v", planned)
	}
	for _, g := range planned.Generated {
		if g.Value != "" {
			t.Errorf("a plan shows a secret: %+v", g)
		}
	}
	r.do("PUT", "/admin/v1/catalog", minimal, "If-Match", `"0"`).into(t, &applied)
	if len(applied.Generated) != 2 || applied.Generated[0].Value == "" {
		t.Errorf("applied %+v", applied)
	}
	r.do("PUT", "/admin/v1/catalog", minimal, "If-Match", "*").into(t, &again)
	if len(again.Generated) != 0 || len(again.Differences) != 0 {
		t.Errorf("again %+v", again)
	}
	if audit := r.get("/admin/v1/audit"); strings.Contains(audit.body, applied.Generated[0].Value) || !strings.Contains(audit.body, "admin token from 127.0.0.1") {
		t.Errorf("audit: %s", audit.body)
	}
}

func TestAStaleChangeIsRefusedWithTheDifference(t *testing.T) {
	r := configured(t)
	stale := r.get("/admin/v1/catalog").header.Get("ETag")
	r.apply(strings.Replace(configuration, "account]", "account, device]", 1))
	for _, match := range []string{stale, `"999"`, "W/" + r.get("/admin/v1/catalog").header.Get("ETag"), "nonsense", `"0"`} {
		got := r.do("PUT", "/admin/v1/catalog", configuration, "If-Match", match)
		p := got.problem(t)
		if got.status != http.StatusPreconditionFailed || p.Code != "catalog_stale" || len(p.Differences) != 1 || p.Differences[0].Path != "projects[shop].trafficTypes" {
			t.Errorf("%s: %d %s", match, got.status, got.body)
		}
	}
	current := r.get("/admin/v1/catalog").header.Get("ETag")
	if got := r.do("PUT", "/admin/v1/catalog?dryRun=true", configuration, "If-Match", stale); got.status != http.StatusPreconditionFailed {
		t.Errorf("a stale plan: %d", got.status)
	}
	if got := r.do("PUT", "/admin/v1/catalog", configuration, "If-Match", stale+", "+current); got.status != http.StatusOK {
		t.Errorf("a list with the present one: %d %s", got.status, got.body)
	}
}

func TestAChangeWithoutIfMatchIsRefused(t *testing.T) {
	r := configured(t)
	if got := r.do("PUT", "/admin/v1/catalog", configuration); got.status != http.StatusPreconditionRequired || got.problem(t).Code != "if_match_missing" {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestOfTwoChangesAtOnceOneWins(t *testing.T) {
	for _, start := range []string{"", configuration} {
		r := newRig(t)
		if start != "" {
			r.apply(start)
		}
		tag := r.get("/admin/v1/catalog").header.Get("ETag")
		var mu sync.Mutex
		var wait sync.WaitGroup
		statuses := map[int]int{}
		for i := range 8 {
			wait.Go(func() {
				got := r.do("PUT", "/admin/v1/catalog", strings.Replace(configuration, "account]", fmt.Sprintf("account, t%d]", i), 1), "If-Match", tag)
				mu.Lock()
				statuses[got.status]++
				mu.Unlock()
			})
		}
		wait.Wait()
		if statuses[http.StatusOK] != 1 || statuses[http.StatusPreconditionFailed] != 7 {
			t.Errorf("statuses %v", statuses)
		}
	}
}

func TestAWrongConfigurationIsRefusedWithPlaces(t *testing.T) {
	r := configured(t)
	got := r.do("PUT", "/admin/v1/catalog", "projects:\n  - name: shop\n    traficTypes: [user]\n", "If-Match", "*")
	p := got.problem(t)
	if got.status != http.StatusUnprocessableEntity || p.Code != "catalog_invalid" || len(p.Findings) == 0 || p.Findings[0].Line != 3 ||
		!strings.Contains(p.Findings[0].Fix+p.Findings[0].Message, "trafficTypes") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	for _, body := range []string{"", "[", "null", "projects: 7"} {
		if got := r.do("PUT", "/admin/v1/catalog?dryRun=true", body); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%q: %d %s", body, got.status, got.body)
		}
	}
}

func TestTheServersEnvironmentIsNotRead(t *testing.T) {
	t.Setenv("CAUSEWAY_TEST_SECRET", "the-value-of-the-server")
	r := newRig(t)
	body := strings.Replace(configuration, "apiKey: destination-key", `apiKey: "${CAUSEWAY_TEST_SECRET}"`, 1)
	got := r.do("PUT", "/admin/v1/catalog", body, "If-Match", "*")
	if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "CAUSEWAY_TEST_SECRET") || strings.Contains(got.body, "the-value-of") {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestProjectsAreShownWithoutTheirSecrets(t *testing.T) {
	r := configured(t)
	list := r.get("/admin/v1/projects")
	if !strings.Contains(list.body, `"environments":["production","staging"]`) {
		t.Errorf("got %s", list.body)
	}
	one := r.get("/admin/v1/projects/shop")
	if !strings.Contains(one.body, `"trafficTypes":["user","anonymous","account"]`) || strings.Contains(one.body, "destination-key") {
		t.Errorf("got %s", one.body)
	}
}

func TestKeysAreListedAndRotated(t *testing.T) {
	r := configured(t)
	before := r.get("/admin/v1/keys")
	if !strings.Contains(before.body, `"hint":"`) || strings.Contains(before.body, "sdk-key") {
		t.Errorf("got %s", before.body)
	}
	if _, ok := r.catalog.Snapshot().DestinationByKey("destination-key"); !ok {
		t.Fatal("the key must work before")
	}
	var made catalog.GeneratedSecret
	r.do("POST", "/admin/v1/keys/rotate", `{"kind":"destination","name":"events"}`).into(t, &made)
	if _, ok := r.catalog.Snapshot().DestinationByKey(made.Value); !ok || made.Value == "" {
		t.Errorf("the new key %+v does not work", made)
	}
	if _, ok := r.catalog.Snapshot().DestinationByKey("destination-key"); ok {
		t.Error("the old key still works")
	}
	for body, want := range map[string]int{
		`{"kind":"sdk","project":"shop","environment":"production","name":"backend"}`: http.StatusOK,
		`{"kind":"sdk","name":"backend"}`:                                             http.StatusNotFound,
		`{"kind":"destination","name":"none"}`:                                        http.StatusNotFound,
		`{"kind":"source","name":"impressions"}`:                                      http.StatusNotFound,
		`{"kind":"destination","key":"x"}`:                                            http.StatusBadRequest,
	} {
		if got := r.do("POST", "/admin/v1/keys/rotate", body); got.status != want {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
}

func TestARotationWithOverlapIsEndedByItself(t *testing.T) {
	r := configured(t)
	r.do("POST", "/admin/v1/keys/rotate", `{"kind":"webhook","name":"events","overlap":true}`)
	d, _ := r.catalog.Snapshot().Destination("events")
	if keys := r.get("/admin/v1/keys"); !d.CheckSecret("hook-secret") || !strings.Contains(keys.body, `"previous":"sha256:`) {
		t.Errorf("the old secret does not work beside the new one: %s", keys.body)
	}
	for body, want := range map[string]int{`{"kind":"webhook","name":"events"}`: http.StatusNoContent, `{"kind":"webhook","name":"none"}`: http.StatusNotFound} {
		if got := r.do("POST", "/admin/v1/keys/end-rotation", body); got.status != want {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	if d, _ := r.catalog.Snapshot().Destination("events"); d.CheckSecret("hook-secret") {
		t.Error("the old secret still works")
	}
}

func TestAConfigurationFromAFileIsNotChangedBehindItsBack(t *testing.T) {
	r := configured(t)
	doc, findings := catalog.Decode("", []byte(configuration), nil)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	if _, err := r.catalog.ApplyFile(t.Context(), "/etc/causeway/shop.yaml", doc); err != nil {
		t.Fatal(err)
	}
	for _, got := range []answer{
		r.do("PUT", "/admin/v1/catalog", strings.Replace(configuration, "account]", "account, device]", 1), "If-Match", "*"),
		r.do("POST", "/admin/v1/keys/rotate", `{"kind":"destination","name":"events"}`),
	} {
		if p := got.problem(t); got.status != http.StatusConflict || p.Code != "configuration_from_file" || !strings.Contains(p.Detail, "shop.yaml; edit the file and send SIGHUP") {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	if got := r.do("PUT", "/admin/v1/catalog?dryRun=true", configuration); got.status != http.StatusOK {
		t.Errorf("a plan is refused: %d %s", got.status, got.body)
	}
	if got := r.get("/admin/v1/status"); !strings.Contains(got.body, `"configurationFile":"shop.yaml"`) {
		t.Errorf("the status does not say so: %s", got.body)
	}
}

func TestTheAuditLogIsPagedNewestFirst(t *testing.T) {
	r := configured(t)
	for range 4 {
		r.do("POST", "/admin/v1/keys/rotate", `{"kind":"destination","name":"events"}`)
	}
	var seen []float64
	for cursor := ""; ; {
		page := r.items("/admin/v1/audit?limit=2&cursor=" + cursor)
		for _, item := range page.Items {
			seen = append(seen, item["sequence"].(float64))
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if fmt.Sprint(seen) != "[5 4 3 2 1]" {
		t.Errorf("sequences %v", seen)
	}
}

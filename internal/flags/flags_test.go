package flags

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const three = `{name: one, trafficType: user, rollout: {on: 50, off: 50}, sets: [front]},
	{name: two, trafficType: user, killed: true, sets: [back, front]},
	{name: three, trafficType: user, trafficAllocation: 10},
	{name: listed, trafficType: user}`

func TestVersionIsAnsweredToAnybodyAndIsNo404(t *testing.T) {
	r := start(t)
	for _, path := range []string{"/api/version", "/api/version/"} {
		if got := r.do(http.MethodGet, path); got.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
}

func TestAuthTurnsPushOff(t *testing.T) {
	r := start(t)
	r.apply("", "")
	for _, path := range []string{"/api/auth", "/api/v2/auth", "/api/v2/auth?s=1.3&users=u1&users=u2", "/api/v2/auth/"} {
		if got := text(t, r.do(http.MethodGet, path, "Authorization", "Bearer "+clientKey)); got != `{"pushEnabled":false,"token":""}` {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestWithoutAKnownKeyTheAnswerIs401WithoutABody(t *testing.T) {
	r := start(t)
	r.apply(three, "")
	for _, path := range []string{"/api/splitChanges", "/api/segmentChanges/s", "/api/mySegments/k", "/api/memberships/k", "/api/auth", "/api/v2/auth"} {
		for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer wrong", serverKey, "Basic " + serverKey, "Bearer  " + serverKey + " x"} {
			got := r.do(http.MethodGet, path, "Authorization", authorization)
			if body := text(t, got); got.StatusCode != http.StatusUnauthorized || body != "" || got.Header.Get("Access-Control-Allow-Origin") == "" {
				t.Errorf("%s with %q: %d %q", path, authorization, got.StatusCode, body)
			}
		}
		if path == "/api/segmentChanges/s" {
			continue
		}
		if got := r.do(http.MethodGet, path, "authorization", "bearer "+serverKey); got.StatusCode != http.StatusOK {
			t.Errorf("%s in lower case: %d", path, got.StatusCode)
		}
	}
}

func TestWhoGuessesKeysIsSlowedDownAndNobodyElse(t *testing.T) {
	r := start(t)
	r.apply("", "")
	for range 400 {
		got := r.do(http.MethodGet, "/api/splitChanges", "Authorization", "Bearer wrong")
		text(t, got)
		if got.StatusCode == http.StatusUnauthorized {
			continue
		}
		if wait, err := strconv.Atoi(got.Header.Get("Retry-After")); got.StatusCode != http.StatusTooManyRequests || err != nil || wait < 1 {
			t.Errorf("a guess: %d, Retry-After %q", got.StatusCode, got.Header.Get("Retry-After"))
		}
		if got := r.do(http.MethodGet, "/api/splitChanges", "Authorization", "Bearer "+serverKey); got.StatusCode != http.StatusOK {
			t.Errorf("the right key from the same address: %d", got.StatusCode)
		}
		return
	}
	t.Error("400 wrong keys in a row were each answered 401")
}

func TestSplitChangesHasTheFormOfTheAskedVersion(t *testing.T) {
	r := start(t)
	r.apply(three, "")
	newest := r.changes(serverKey, "s=1.3&since=-1&rbSince=-1")
	if got := list(newest.FF.D); got != "one three two " || newest.FF.S != -1 || newest.FF.T != newest.FF.D[0].ChangeNumber || newest.RBS.S != -1 || newest.RBS.T != -1 {
		t.Errorf("1.3: %s %+v", got, newest)
	}
	for _, query := range []string{"s=1.2&since=-1", "s=1.1&since=-1", "s=1.0&since=-1", "since=-1", "", "since=nonsense&sets=&names="} {
		old := r.changes(serverKey, query)
		if diff := cmp.Diff(newest.FF.D, old.Splits); diff != "" || old.Since != -1 || old.Till != newest.FF.T {
			t.Errorf("%q: %d to %d (-1.3 +old):\n%s", query, old.Since, old.Till, diff)
		}
	}
	for _, spec := range []string{"1.4", "2.0", "x", "1"} {
		got := r.do(http.MethodGet, "/api/splitChanges?since=-1&s="+spec, "Authorization", "Bearer "+serverKey)
		var body struct {
			Code    int
			Message string
		}
		if err := json.Unmarshal([]byte(text(t, got)), &body); err != nil || got.StatusCode != http.StatusBadRequest || body.Code != http.StatusBadRequest || body.Message == "" {
			t.Errorf("s=%s: %d %+v %v", spec, got.StatusCode, body, err)
		}
	}
}

// The Go SDK asks again without pause until both numbers of both lists are equal.
func TestWhoIsUpToDateIsToldTheSameNumberTwice(t *testing.T) {
	r := start(t)
	check := func(what string) {
		t.Helper()
		since, rules := int64(-1), int64(-1)
		for try := 0; ; try++ {
			a := r.changes(serverKey, fmt.Sprintf("s=1.3&since=%d&rbSince=%d", since, rules))
			if a.FF.D == nil || a.RBS.D == nil {
				t.Fatalf("%s: a list is null", what)
			}
			if a.FF.S == a.FF.T && a.RBS.S == a.RBS.T {
				if len(a.FF.D) > 0 {
					t.Errorf("%s: %d flags in the last answer", what, len(a.FF.D))
				}
				break
			}
			if try == 1 {
				t.Fatalf("%s: asked %d times: %+v", what, try+1, a)
			}
			since, rules = a.FF.T, a.RBS.T
		}
		since = -1
		for try := 0; ; try++ {
			a := r.changes(serverKey, fmt.Sprintf("since=%d", since))
			if a.Since == a.Till {
				break
			}
			if try == 1 {
				t.Fatalf("%s, old form: %+v", what, a)
			}
			since = a.Till
		}
	}
	r.apply("", "")
	check("without flags")
	r.apply(three, "")
	check("with flags")
	r.apply("", "")
	check("with archived flags")
}

func TestAnEditReachesTheNextPoll(t *testing.T) {
	r := start(t)
	r.apply(three, `{name: s, keys: [k1]}`)
	first := r.changes(serverKey, "s=1.3&since=-1&rbSince=-1")
	staging := r.changes(stagingKey, "s=1.3&since=-1&rbSince=-1")
	r.apply(strings.Replace(three, "on: 50, off: 50", "on: 60, off: 40", 1), `{name: s, keys: [k2]}`)
	next := r.changes(serverKey, fmt.Sprintf("s=1.3&since=%d&rbSince=-1", first.FF.T))
	if list(next.FF.D) != "one " || next.FF.S != first.FF.T || next.FF.T <= first.FF.T || next.FF.D[0].Conditions[0].Partitions[0].Size != 60 {
		t.Errorf("after the edit: %+v", next)
	}
	// In the environment that is not different the answer is the same as before.
	r.apply(strings.Replace(three, "on: 50, off: 50", "on: 60, off: 40", 1)+", {name: four, trafficType: user, environments: {production: {killed: true}}}", "")
	if again := r.changes(stagingKey, fmt.Sprintf("s=1.3&since=%d&rbSince=-1", staging.FF.T)); list(again.FF.D) != "one " {
		t.Errorf("staging: %+v", again)
	}
	if four := r.changes(serverKey, fmt.Sprintf("s=1.3&since=%d&rbSince=-1", next.FF.T)); list(four.FF.D) != "four " {
		t.Errorf("a new flag: %s", list(four.FF.D))
	}
}

func TestFlagsThatGoAreArchivedForWhoHadThem(t *testing.T) {
	r := start(t)
	r.apply(three, "")
	first := r.changes(serverKey, "s=1.3&since=-1")
	r.apply(strings.Replace(three, ", killed: true, sets: [back, front]", "", 1), "")
	for query, want := range map[string]string{
		fmt.Sprintf("s=1.3&since=%d", first.FF.T):          "two:ARCHIVED ",
		fmt.Sprintf("since=%d", first.FF.T):                "two:ARCHIVED ",
		fmt.Sprintf("since=%d&names=one", first.FF.T):      "",
		fmt.Sprintf("since=%d&prefixes=tw,x", first.FF.T):  "two:ARCHIVED ",
		fmt.Sprintf("since=%d&sets=elsewhere", first.FF.T): "two:ARCHIVED ",
		"since=-1": "one three ",
	} {
		a := r.changes(serverKey, query)
		if got := list(append(a.FF.D, a.Splits...)); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}

func TestFiltersBySetsNamesAndPrefixes(t *testing.T) {
	r := start(t)
	r.apply(three, "")
	for query, want := range map[string]string{
		"sets=back":                   "two ",
		"sets=front,back":             "one two ",
		"sets=nothing":                "",
		"names=one,three":             "one three ",
		"names=one&prefixes=t":        "one three two ",
		"prefixes=th":                 "three ",
		"sets=back&names=one":         "two ", // sets come first, as in the SDKs
		"sets=back&till=1&since=-1":   "two ",
		"names=o%6ee&since=-1&s=1.2":  "one ",
		"prefixes=t%2Ctw&unknown=1":   "three two ",
		"sets=front&names=&prefixes=": "one two ",
	} {
		a := r.changes(serverKey, query)
		if got := list(a.Splits); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	// Two questions that look alike are not taken for one.
	r.apply("{name: one two, trafficType: user, killed: true},"+three, "")
	if a, b := r.changes(serverKey, "names=one%20two"), r.changes(serverKey, "names=one,two"); list(a.Splits) != "one two " || a.Splits[0].Name != "one two" || len(b.Splits) != 2 {
		t.Errorf("got %s and %s", list(a.Splits), list(b.Splits))
	}
	// A flag that left the set: the SDK drops it.
	till := r.changes(serverKey, "sets=back").Till
	r.apply("{name: one two, trafficType: user, killed: true},"+strings.Replace(three, "[back, front]", "[front]", 1), "")
	if a := r.changes(serverKey, fmt.Sprintf("sets=back&since=%d", till)); list(a.Splits) != "two:ARCHIVED " {
		t.Errorf("got %s", list(a.Splits))
	}
}

func TestANumberFromElsewhereIsAnsweredWithEverything(t *testing.T) {
	r := start(t)
	r.apply(three+", {name: gone, trafficType: user, killed: true}", `{name: s, keys: [k1, k2]}`)
	r.apply(three, `{name: s, keys: [k1]}`)
	till := r.changes(serverKey, "").Till
	a := r.changes(serverKey, fmt.Sprintf("s=1.3&since=%d&rbSince=7", till+1e6))
	if got := list(a.FF.D); got != "one three two gone:ARCHIVED " || a.FF.S != till || a.FF.T != till || a.RBS.S != 7 || a.RBS.T != 7 {
		t.Errorf("got %s %+v", got, a)
	}
	s := r.segment(serverKey, "s", till+1e6)
	if !slices.Equal(s.Added, []string{"k1"}) || !slices.Equal(s.Removed, []string{"k2"}) || s.Since != s.Till || s.Till > till {
		t.Errorf("segment: %+v", s)
	}
	r.apply("", "")
	if a := r.changes(stagingKey, "s=1.3&since=1&rbSince=1"); len(a.FF.D) != 4 {
		t.Errorf("in staging: %s", list(a.FF.D))
	}
}

const semver = `{name: new, trafficType: user, definition: {defaultTreatment: off, conditions: [{label: versions, partitions: [{treatment: on, size: 100}],
	matcherGroup: {matchers: [{keySelector: {attribute: version}, matcherType: BETWEEN_SEMVER, betweenStringMatcherData: {start: 1.0.0, end: 2.0.0}}]}}]}}`

func TestAFlagWithMatchersNewerThanTheAskedVersionGivesControl(t *testing.T) {
	r := start(t)
	r.apply(semver, "")
	for query, want := range map[string]string{
		"s=1.3": "versions", "s=1.2": "versions", "s=1.1": "versions",
		"s=1.0": "targeting rule type unsupported by sdk", "": "targeting rule type unsupported by sdk",
	} {
		a := r.changes(serverKey, query)
		flag := append(a.FF.D, a.Splits...)[0]
		treatment := map[bool]string{true: "on", false: "control"}[want == "versions"]
		if got := flag.Conditions; len(got) != 1 || got[0].Label != want || got[0].Partitions[0].Treatment != treatment || flag.Status != "ACTIVE" {
			t.Errorf("%s: %+v", query, got)
		}
	}
}

// segment is an answer of segmentChanges.
type segment struct {
	Name           string
	Added, Removed []string
	Since, Till    int64
}

func (r *rig) segment(key, name string, since int64) (s segment) {
	r.t.Helper()
	r.get(key, fmt.Sprintf("/api/segmentChanges/%s?since=%d", name, since), &s)
	if s.Added == nil || s.Removed == nil {
		r.t.Fatalf("a list is null: %+v", s)
	}
	return s
}

func TestSegmentChangesSince(t *testing.T) {
	r := start(t)
	r.apply("", `{name: s, keys: [k2, k1]}, {name: "a b", keys: [x]}`)
	first := r.segment(serverKey, "s", -1)
	if !slices.Equal(first.Added, []string{"k1", "k2"}) || len(first.Removed) != 0 || first.Since != -1 || first.Till < 1 || first.Name != "s" {
		t.Errorf("first: %+v", first)
	}
	if same := r.segment(serverKey, "s", first.Till); len(same.Added)+len(same.Removed) != 0 || same.Since != first.Till || same.Till != first.Till {
		t.Errorf("up to date: %+v", same)
	}
	if blank := r.segment(serverKey, "a%20b", -1); blank.Name != "a b" || len(blank.Added) != 1 {
		t.Errorf("a name with a blank: %+v", blank)
	}
	r.apply("", `{name: s, keys: [k3, k1]}`)
	next := r.segment(serverKey, "s", first.Till)
	if !slices.Equal(next.Added, []string{"k1", "k3"}) || !slices.Equal(next.Removed, []string{"k2"}) || next.Since != first.Till || next.Till <= first.Till {
		t.Errorf("next: %+v", next)
	}
	if fresh := r.segment(serverKey, "s", -1); !slices.Equal(fresh.Added, []string{"k1", "k3"}) || len(fresh.Removed) != 0 {
		t.Errorf("fresh: %+v", fresh)
	}
	// A segment that is gone is empty: SDKs that have it go on asking.
	r.apply("", "")
	if gone := r.segment(serverKey, "s", next.Till); len(gone.Added) != 0 || !slices.Equal(gone.Removed, []string{"k1", "k3"}) || gone.Till <= next.Till {
		t.Errorf("gone: %+v", gone)
	}
	if got := r.do(http.MethodGet, "/api/segmentChanges/never?since=-1", "Authorization", "Bearer "+serverKey); got.StatusCode != http.StatusNotFound {
		t.Errorf("a segment that never was: %d", got.StatusCode)
	}
}

// The Go SDK does not take over the number of an answer without keys and asks
// again at once until the numbers are equal.
func TestASegmentAnswerWithoutKeysEndsTheLoopOfTheGoSDK(t *testing.T) {
	r := start(t)
	r.apply("", `{name: s, keys: []}`)
	first := r.segment(serverKey, "s", -1)
	if first.Since != -1 || first.Till < 1 {
		t.Errorf("an empty segment for the first time: %+v", first)
	}
	r.apply("", "")
	r.apply("", `{name: s, keys: []}`)
	if got := r.segment(serverKey, "s", first.Till); len(got.Added)+len(got.Removed) != 0 || got.Since != got.Till {
		t.Errorf("changed, and still empty: %+v", got)
	}
}

func TestAClientSideKeyIsNotToldWhoIsInASegment(t *testing.T) {
	r := start(t)
	r.apply(three, `{name: s, keys: [k1]}`)
	got := r.do(http.MethodGet, "/api/segmentChanges/s?since=-1", "Authorization", "Bearer "+clientKey)
	if body := text(t, got); got.StatusCode != http.StatusForbidden || strings.Contains(body, "k1") {
		t.Errorf("%d %s", got.StatusCode, body)
	}
	if a := r.changes(clientKey, "s=1.3&since=-1"); len(a.FF.D) != 3 {
		t.Errorf("flags for a client-side key: %+v", a)
	}
}

func TestMembershipsAndMySegmentsOfKeysWithAnyCharacters(t *testing.T) {
	r := start(t)
	keys := []string{"u1", "u1/ä", "a b", "a+b", "100%", "%2F", ".", "..", "a//b", "ключ", "q?x=1#f", `"`}
	quoted, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	r.apply("", `{name: zeta, keys: `+string(quoted)+`}, {name: alpha, keys: [u1], environments: {staging: {keys: []}}}`)
	escape := func(key string) string { // as encodeURIComponent does
		var b strings.Builder
		for _, c := range []byte(key) {
			if c < 0x80 && (c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z') {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		}
		return b.String()
	}
	for _, key := range append(keys, "nobody") {
		want := []string{"zeta"}
		switch key {
		case "u1":
			want = []string{"alpha", "zeta"}
		case "nobody":
			want = []string{}
		}
		var memberships struct {
			MS, LS struct {
				K  []struct{ N string }
				CN int64
			}
		}
		var mine struct {
			MySegments []struct{ ID, Name string }
		}
		r.get(clientKey, "/api/memberships/"+escape(key), &memberships)
		r.get(clientKey, "/api/mySegments/"+escape(key)+"/", &mine)
		got, old := []string{}, []string{}
		for _, s := range memberships.MS.K {
			got = append(got, s.N)
		}
		for _, s := range mine.MySegments {
			old = append(old, s.Name)
		}
		if !slices.Equal(got, want) || !slices.Equal(old, want) || memberships.MS.CN < 1 || memberships.LS.K == nil {
			t.Errorf("%q: %v, old form %v, want %v; %+v", key, got, old, want, memberships)
		}
	}
	var staging struct{ MS struct{ K []any } }
	r.get(stagingKey, "/api/memberships/u1", &staging)
	if len(staging.MS.K) != 1 {
		t.Errorf("in staging: %+v", staging)
	}
}

func TestSlashesAtTheEndOfAPathAreLetBe(t *testing.T) {
	r := start(t)
	r.apply(three, `{name: s, keys: [k]}`)
	for _, path := range []string{"/api/splitChanges/", "/api/splitChanges//?since=-1", "//api/splitChanges", "/api/segmentChanges/s/?since=-1", "/api/memberships/k/", "/api/auth/"} {
		if got := r.do(http.MethodGet, path, "Authorization", "Bearer "+serverKey); got.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
}

func TestOnlyItsOwnPathsAreServed(t *testing.T) {
	r := start(t)
	for path, want := range map[string]bool{
		"/api/splitChanges": true, "/api/memberships/a%2Fb": true, "/api/version": true, "/api/v2/auth": true,
		"/api/events/bulk": false, "/api/memberships": false, "/api/memberships/": false, "/api": false, "/": false, "/version": false,
		"/v1/track": false, "/api/splitChangesX": false, "/api/largeSegmentDefinition/x": false,
	} {
		request, err := http.NewRequest(http.MethodPost, r.base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := Serves(request); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	if got := r.do(http.MethodGet, "/api/nothing"); got.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown path: %d", got.StatusCode)
	}
	got := r.do(http.MethodPost, "/api/splitChanges", "Authorization", "Bearer "+serverKey)
	if got.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(got.Header.Get("Allow"), "GET") {
		t.Errorf("POST: %d %v", got.StatusCode, got.Header)
	}
}

func TestPagesOfAnyOriginMayAsk(t *testing.T) {
	r := start(t)
	r.apply(three, "")
	asked := "authorization,content-type,splitsdkversion,cache-control,x-harness-fme-sdk-version"
	got := r.do(http.MethodOptions, "/api/memberships/u1%2F", "Origin", "https://shop.example", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", asked)
	if got.StatusCode != http.StatusNoContent || got.Header.Get("Access-Control-Allow-Headers") != asked || !strings.Contains(got.Header.Get("Access-Control-Allow-Methods"), "GET") ||
		got.Header.Get("Access-Control-Allow-Origin") != "https://shop.example" {
		t.Errorf("%d %v", got.StatusCode, got.Header)
	}
	got = r.do(http.MethodGet, "/api/splitChanges?since=-1", "Origin", "https://shop.example", "Authorization", "Bearer "+clientKey)
	if got.Header.Get("Access-Control-Allow-Origin") != "https://shop.example" || !strings.Contains(strings.Join(got.Header.Values("Vary"), ","), "Origin") {
		t.Errorf("%v", got.Header)
	}
}

func TestAnswersAreCompressedAndRevalidated(t *testing.T) {
	r := start(t)
	r.apply(three, "")
	path := "/api/splitChanges?s=1.3&since=-1&rbSince=-1"
	plain := r.do(http.MethodGet, path, "Authorization", "Bearer "+serverKey)
	for accept, zipped := range map[string]bool{"gzip": true, "br, GZIP;q=0.5": true, "gzip;q=0": false, "identity": false, "gzip; q=0.000": false, "": false} {
		got := r.do(http.MethodGet, path, "Authorization", "Bearer "+serverKey, "Accept-Encoding", accept)
		if (got.Header.Get("Content-Encoding") == "gzip") != zipped {
			t.Errorf("%q: %v", accept, got.Header)
		}
		if zipped && unzip(t, got) != text(t, r.do(http.MethodGet, path, "Authorization", "Bearer "+serverKey)) {
			t.Errorf("%q: other content", accept)
		}
	}
	etag := plain.Header.Get("ETag")
	if got := r.do(http.MethodGet, path, "Authorization", "Bearer "+serverKey, "If-None-Match", `"x", `+etag); got.StatusCode != http.StatusNotModified || text(t, got) != "" {
		t.Errorf("the same: %d", got.StatusCode)
	}
	r.apply(strings.Replace(three, "10", "11", 1), "")
	got := r.do(http.MethodGet, path, "Authorization", "Bearer "+serverKey, "If-None-Match", etag)
	if got.StatusCode != http.StatusOK || got.Header.Get("Cache-Control") != "private, no-cache" {
		t.Errorf("after a change: %d %v", got.StatusCode, got.Header)
	}
	if got := r.do(http.MethodHead, path, "Authorization", "Bearer "+serverKey); got.StatusCode != http.StatusOK || text(t, got) != "" || got.ContentLength < 100 {
		t.Errorf("HEAD: %d %d", got.StatusCode, got.ContentLength)
	}
}

func TestAnotherNodeAndARestartAnswerTheSame(t *testing.T) {
	r := start(t)
	r.apply(three+", {name: gone, trafficType: user, killed: true}", `{name: s, keys: [k1, k2]}`)
	r.apply(three, `{name: s, keys: [k1]}`)
	other := node(t, r.kv)
	for _, path := range []string{"/api/splitChanges?s=1.3&since=-1", "/api/splitChanges?since=5", "/api/segmentChanges/s?since=5", "/api/memberships/k1"} {
		one := text(t, r.do(http.MethodGet, path, "Authorization", "Bearer "+serverKey))
		two := text(t, other.do(http.MethodGet, path, "Authorization", "Bearer "+serverKey))
		if one != two || one == "" {
			t.Errorf("%s:\n%s\n%s", path, one, two)
		}
	}
	till := r.changes(serverKey, "").Till
	r.apply(three+", {name: more, trafficType: user, killed: true}", "")
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if a := other.changes(serverKey, fmt.Sprintf("since=%d", till)); list(a.Splits) == "more " {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the other node does not serve the change")
		}
	}
}

func TestTheAnswersThatAreKeptAreBounded(t *testing.T) {
	r := start(t)
	r.apply(three, "")
	for i := range 3 * maxKept {
		if got := list(r.changes(serverKey, fmt.Sprintf("names=one,x%d", i)).Splits); got != "one " {
			t.Fatalf("%d: %s", i, got)
		}
	}
	e, _ := r.catalog.Snapshot().Environment("shop/production")
	v := newView(e.Serving)
	for i := range int64(3 * maxKept) {
		v.splitChanges(question{since: i, ruleSince: -1})
	}
	if len(v.kept) != maxKept {
		t.Errorf("%d are kept", len(v.kept))
	}
}

// many is a catalog of flags as large as there are.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{name: flag-%d, trafficType: user, rollout: {on: 20, off: 80}, configurations: {on: '{\"colour\":\"green\",\"size\":%d}'}},\n", i, i)
	}
	return b.String()
}

func TestTwoThousandFlagsAreAnsweredInAFewMilliseconds(t *testing.T) {
	r := start(t)
	r.apply(many(2000), "")
	query := "/api/splitChanges?s=1.3&since=-1&rbSince=-1"
	took := make([]time.Duration, 0, 40)
	for range cap(took) {
		began := time.Now()
		got := r.do(http.MethodGet, query, "Authorization", "Bearer "+serverKey, "Accept-Encoding", "gzip")
		took = append(took, time.Since(began))
		if got.StatusCode != http.StatusOK || got.Header.Get("Content-Encoding") != "gzip" {
			t.Fatalf("%d %v", got.StatusCode, got.Header)
		}
	}
	slices.Sort(took)
	if quarter := took[len(took)/4]; quarter > 5*time.Millisecond { // of all, others use the processor too
		t.Errorf("three quarters of the answers took longer than %s", quarter)
	}
	if a := r.changes(serverKey, "s=1.3&since=-1"); len(a.FF.D) != 2000 {
		t.Errorf("%d flags", len(a.FF.D))
	}
}

func TestADamagedRequestIsAnsweredAndNothingPanics(t *testing.T) {
	r := start(t)
	r.apply(three, "")
	for _, query := range []string{"since=99999999999999999999", "since=-9223372036854775808", "since=1;2", "%zz", "s=1.3&rbSince=x", "sets=" + strings.Repeat("a,", 2000)} {
		got := r.do(http.MethodGet, "/api/splitChanges?"+query, "Authorization", "Bearer "+serverKey)
		if got.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", query, got.StatusCode)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("no error without a snapshot")
	}
	if !reflect.DeepEqual(listed(map[string][]string{"sets": {"b, a", "a"}}, "sets"), []string{"a", "b"}) {
		t.Error("listed")
	}
}

func BenchmarkPoll(b *testing.B) {
	r := start(b)
	r.apply(many(2000), "")
	e, _ := r.catalog.Snapshot().Environment("shop/production")
	v := newView(e.Serving)
	for name, since := range map[string]int64{"first": -1, "up to date": e.Serving.ChangeNumber} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.splitChanges(question{spec: 3, since: since, ruleSince: -1}).zipped()
			}
		})
	}
}

//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAHistogramGivesQuantilesWithinASixtyFourth(t *testing.T) {
	var h histogram
	for i := range 10_000 {
		h.add(time.Duration(i+1) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 5 * time.Millisecond, 0.99: 9900 * time.Microsecond, 1: 10 * time.Millisecond, 0: time.Microsecond} {
		got := h.quantile(q)
		if got < want || got > want+want/32 {
			t.Errorf("quantile %v is %s, want %s", q, got, want)
		}
	}
	var empty histogram
	if got := empty.quantile(0.99); got != 0 {
		t.Errorf("nothing counted gives %s", got)
	}
	empty.add(-time.Second) // a clock that went back
	empty.merge(&h)
	if empty.total != 10_001 || empty.most != h.most {
		t.Errorf("merged %d, the most %s", empty.total, empty.most)
	}
}

func TestEveryDurationIsInABucketThatHoldsIt(t *testing.T) {
	for _, d := range []time.Duration{0, 1, 63, 64, 65, 127, 128, 129, 1000, time.Millisecond, time.Second, time.Hour, 1<<62 + 12345} {
		b := bucket(d)
		if upper(b) < d || b > 0 && upper(b-1) >= d {
			t.Errorf("%d is in bucket %d, which ends at %d after %d", d, b, upper(b), upper(b-1))
		}
	}
}

func TestProcessorTimeIsReadWhateverTheCommandIsCalled(t *testing.T) {
	line := "4711 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 7 8 20 0 9 0 100 1000 200\n"
	if got, err := parseStat(line); err != nil || got != 3*time.Second {
		t.Errorf("%s, %v, want 3s", got, err)
	}
	for _, bad := range []string{"", "4711", "4711 (x) S 1", "4711 (x) S 1 2 3 4 5 6 7 8 9 10 many 50 7"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func TestResidentMemoryIsReadInBytes(t *testing.T) {
	text := "Name:\tcauseway\nVmHWM:\t  204800 kB\nVmRSS:\t    1024 kB\n"
	for name, want := range map[string]int64{"VmRSS": 1 << 20, "VmHWM": 200 << 20} {
		if got, err := parseStatus(text, name); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", name, got, err, want)
		}
	}
	if _, err := parseStatus(text, "VmSwap"); err == nil {
		t.Error("a size that is not there is read")
	}
}

func TestTheTableSaysWhatWasReached(t *testing.T) {
	var r report
	r.add(figure{Row: "single", What: "accepted", Value: 31234.5, Unit: "/s", Target: atLeast(30_000)})
	r.add(figure{Row: "latency", What: "p99", Value: 10, Unit: "ms", Target: under(10)})
	r.add(figure{Row: "kill", What: "lost", Value: 0, Target: atMost(0), Note: "of 5"})
	r.add(figure{Row: "kill", What: "told", Value: 0.5})
	var text, encoded bytes.Buffer
	if err := r.write(&text, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"31,234 /s", "at least 30,000 /s  reached", "under 10 ms         not reached", "at most 0           reached      of 5", "0.50"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &text)
		}
	}
	if err := r.write(&encoded, true); err != nil {
		t.Fatal(err)
	}
	var again report
	if err := json.Unmarshal(encoded.Bytes(), &again); err != nil || len(again.Figures) != 4 || !again.Figures[0].Target.Reached || again.Figures[1].Target.Reached {
		t.Errorf("as JSON: %v %+v", err, again)
	}
}

func TestAmountsAreWrittenForPeople(t *testing.T) {
	for want, v := range map[string]float64{"0": 0, "9.50": 9.5, "37.2": 37.21, "999": 999, "1,000": 1000, "1,234,567": 1234567.4, "-1,000": -1000} {
		if got := amount(v, ""); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
}

func TestOnlyTheNumbersOfARequestChange(t *testing.T) {
	for name, f := range map[string]form{"single": segmentSingle("k"), "batch": segmentBatch("k"), "split": splitBulk("k"), "goff": goffCollector("k")} {
		tmpl := newTemplate("127.0.0.1:1", f, 3)
		first, second := bytes.Clone(tmpl.text), bytes.Clone(tmpl.text)
		tmpl.fill(first, 7)
		tmpl.fill(second, 123456789012)
		if len(first) != len(tmpl.text) || bytes.Equal(first, second) {
			t.Errorf("%s: the requests are alike", name)
		}
		request := string(first)
		if strings.Contains(request, idMark) || strings.Contains(request, userMark) {
			t.Errorf("%s: a mark is left: %s", name, request)
		}
		for i := range tmpl.items {
			if id := "00000000000" + string(rune('7'+i)); !strings.Contains(request, id) {
				t.Errorf("%s: item %s is not in %s", name, id, request)
			}
		}
		head, body, _ := strings.Cut(request, "\r\n\r\n")
		if !json.Valid([]byte(body)) || !strings.Contains(head, "Content-Length: ") {
			t.Errorf("%s: head %s, body %s", name, head, body)
		}
	}
}

func TestTheNumberOfAnItemComesBack(t *testing.T) {
	if n, err := number(strings.Replace(callID, idMark, "000000012345", 1)); err != nil || n != 12345 {
		t.Errorf("%d, %v", n, err)
	}
	for _, bad := range []string{"", "short", "no number at all"} {
		if _, err := number(bad); err == nil {
			t.Errorf("%q has a number", bad)
		}
	}
}

func TestAnswersAreReadInWhateverPiecesTheyCome(t *testing.T) {
	for text, want := range map[string]int{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello":                                  200,
		"HTTP/1.1 204 No Content\r\n\r\n":                                                    204,
		"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n": 503,
		"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n": 202,
	} {
		for size := 1; size <= len(text); size++ {
			a := new(answer)
			for from := 0; from < len(text); from += size {
				complete, err := a.take([]byte(text[from:min(from+size, len(text))]))
				if err != nil || complete != (from+size >= len(text)) {
					t.Fatalf("%q by %d at %d: complete %v, %v", text, size, from, complete, err)
				}
			}
			if a.status != want || a.closing != strings.Contains(text, "close") {
				t.Errorf("%q: status %d, closing %v", text, a.status, a.closing)
			}
		}
	}
	for _, text := range []string{"SSH-2.0-x\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"} {
		if _, err := new(answer).take([]byte(text)); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

func TestMetricsAreSummed(t *testing.T) {
	text := "# HELP calls_total x\ncalls_total{outcome=\"stored\"} 5\ncalls_total{outcome=\"duplicate\"} 1e+1\ncalls_total_more 7\nplain 3\n"
	for _, c := range []struct {
		name, label string
		want        float64
	}{{"calls_total", "", 15}, {"calls_total", `outcome="duplicate"`, 10}, {"plain", "", 3}, {"absent", "", 0}} {
		if got := sum(text, c.name, c.label); got != c.want {
			t.Errorf("%s with %q: %v, want %v", c.name, c.label, got, c.want)
		}
	}
}

func TestLoadGoesToThisMachineOnly(t *testing.T) {
	for _, address := range []string{"192.0.2.1:80", "10.0.0.1:80", "[2001:db8::1]:80", "0.0.0.0:80", "127.0.0.1", "127.0.0.1:x"} {
		if _, err := loopbackAddress(t.Context(), address); err == nil {
			t.Errorf("%s is taken", address)
		}
	}
	if got, err := loopbackAddress(t.Context(), "127.0.0.1:80"); err != nil || got != netip.MustParseAddrPort("127.0.0.1:80") {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := (load{address: netip.MustParseAddrPort("192.0.2.1:80"), connections: 1}).run(t.Context()); err == nil {
		t.Error("the generator would send to another machine")
	}
}

func TestAWrongUseIsExplained(t *testing.T) {
	for _, args := range []string{"extra", "--rows nonsense", "--connections 1", "--against 192.0.2.1:80", "--against 127.0.0.1:1 --form xml", "--duration 10ms"} {
		if err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard); err == nil {
			t.Errorf("bench %s is taken", args)
		}
	}
}

// sink is a server that remembers what it was sent.
type sink struct {
	mu     sync.Mutex
	ids    map[string]int
	status func(n int) int
	n      int
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct{ Batch []struct{ MessageID string } }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	for _, call := range body.Batch {
		s.ids[call.MessageID]++
	}
	w.WriteHeader(s.status(s.n))
}

func TestALoadCountsWhatWasAnsweredAndUsesEachNumberOnce(t *testing.T) {
	s := &sink{ids: map[string]int{}, status: func(n int) int {
		if n%3 == 0 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	}}
	server := httptest.NewServer(s)
	defer server.Close()
	address := netip.MustParseAddrPort(server.Listener.Addr().String())
	acknowledged := 0
	o, err := load{
		address: address, request: newTemplate(address.String(), segmentBatch("k"), 100), connections: 4, rate: 200, duration: 500 * time.Millisecond, first: 1000,
		answered: func(first uint64, status int, _ time.Time) {
			if first%100 != 0 {
				t.Errorf("first number %d", first)
			}
			if status == http.StatusOK {
				acknowledged++
			}
		},
	}.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if o.sent < 3 || o.sent > 101 || o.accepted != acknowledged || o.accepted+o.statuses[503] != o.sent || o.next != 1000+uint64(o.sent)*100 {
		t.Errorf("%d sent, %d accepted, %d acknowledged, %v, next %d", o.sent, o.accepted, acknowledged, o.statuses, o.next)
	}
	if len(s.ids) != o.sent*100 {
		t.Errorf("%d different ids of %d requests", len(s.ids), o.sent)
	}
	if !strings.Contains(o.trouble(), "not accepted") || o.latency.total != uint64(o.accepted) {
		t.Errorf("%q, %d latencies", o.trouble(), o.latency.total)
	}
}

func TestALoadEndsWithItsServerWhenToldTo(t *testing.T) {
	server := httptest.NewServer(&sink{ids: map[string]int{}, status: func(int) int { return http.StatusOK }})
	address := netip.MustParseAddrPort(server.Listener.Addr().String())
	time.AfterFunc(100*time.Millisecond, server.CloseClientConnections)
	o, err := load{address: address, request: newTemplate(address.String(), segmentBatch("k"), 1), connections: 4, duration: time.Minute, endWithServer: true}.run(t.Context())
	server.Close()
	if err != nil || o.accepted == 0 || o.broken != 4 {
		t.Errorf("%d accepted, %d broken, %v", o.accepted, o.broken, err)
	}
}

func TestALoadReplacesConnectionsThatTheServerEnds(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Connection", "close")
	}))
	defer server.Close()
	address := netip.MustParseAddrPort(server.Listener.Addr().String())
	o, err := load{address: address, request: newTemplate(address.String(), segmentSingle("k"), 1), connections: 2, rate: 100, duration: 200 * time.Millisecond}.run(t.Context())
	if err != nil || o.sent < 10 || o.accepted != o.sent || o.broken != 0 {
		t.Errorf("%d sent, %d accepted, %d broken, %v", o.sent, o.accepted, o.broken, err)
	}
}

package ingest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"causeway/internal/fme"
	"causeway/internal/stream"
)

// endless reads the same bytes for ever and counts them.
type endless struct {
	unit []byte
	at   int
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.unit[e.at]
		e.at = (e.at + 1) % len(e.unit)
	}
	e.read += len(p)
	return len(p), nil
}

// limited are one door for each limit.
var limited = []string{"/v1/track", "/v1/batch", "/segment/destination", "/api/events/beacon"}

func TestAGzipBombIsRefusedWithinItsLimit(t *testing.T) {
	var bomb bytes.Buffer
	w, _ := gzip.NewWriterLevel(&bomb, gzip.BestSpeed)
	zeros := make([]byte, 1<<20)
	for range 20 {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	for _, path := range limited {
		// A body that is held stays under the limit plus its next doubling.
		s := newServer(t, Options{MaxHeldBytes: 40 << 20})
		answer := httptest.NewRecorder()
		s.Routes().ServeHTTP(answer, request(path, bytes.NewReader(bomb.Bytes())))
		if answer.Code != http.StatusRequestEntityTooLarge && answer.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
		}
	}
}

func TestGzipThatNeverBecomesAnythingIsRefused(t *testing.T) {
	empty := []byte(zip(t, ""))
	for _, path := range limited {
		body := &endless{unit: empty}
		answer := httptest.NewRecorder()
		r := request(path, body)
		r.ContentLength = -1
		newServer(t, Options{}).Routes().ServeHTTP(answer, r)
		if answer.Code/100 != 4 || body.read > maxSDKBytes+1<<20 {
			t.Errorf("%s: %d after %d bytes", path, answer.Code, body.read)
		}
	}
}

func TestBrokenGzipIsNeverTaken(t *testing.T) {
	whole := zip(t, `{"batch":[]}`)
	wrongSum := []byte(whole)
	wrongSum[len(wrongSum)-5] ^= 1
	for name, body := range map[string]string{
		"cut": whole[:len(whole)-9], "without its sum": whole[:len(whole)-8], "wrong sum": string(wrongSum), "with something after it": whole + "x",
		"head only": whole[:10], "magic only": "\x1f\x8b",
	} {
		var kept memory
		s := newServer(t, Options{Append: kept.append})
		for range 2 { // the second time with the used reader
			if w := post(s, "/v1/batch", body); w.Code != http.StatusBadRequest {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
		}
		if w := post(s, "/v1/batch", whole); w.Code != http.StatusOK || len(kept.records) != 1 || string(kept.records[0].Body) != `{"batch":[]}` {
			t.Errorf("after %s: %d, %d records", name, w.Code, len(kept.records))
		}
	}
}

func TestGzipInTwoMembersIsOneBody(t *testing.T) {
	var kept memory
	w := post(newServer(t, Options{Append: kept.append}), "/v1/batch", zip(t, `{"batch":`)+zip(t, `[]}`))
	if w.Code != http.StatusOK || string(kept.records[0].Body) != `{"batch":[]}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// impressionsBody is a bulk body of n impressions, and how they look.
func impressionsBody(flags, n int, padding string) string {
	var b strings.Builder
	b.WriteString("[")
	for f := range flags {
		if f > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, `{"x":1,"f":"flag %d", "i" : [`, f)
		for i := range n {
			if i > 0 {
				b.WriteString(" , ")
			}
			fmt.Fprintf(&b, `{"k":"u%d","t":"on","m":%d,"properties":"%s"}`, i, 1700000000000+i, padding)
		}
		b.WriteString("]}")
	}
	return b.String() + "]"
}

func TestALargeBodyBecomesSeveralRecordsAllDurable(t *testing.T) {
	body := impressionsBody(3, 400, strings.Repeat("p", 8000))
	whole, _, err := fme.DecodeImpressions([]byte(body))
	if err != nil || len(body) < 8<<20 {
		t.Fatalf("%d bytes, err %v", len(body), err)
	}
	var kept memory
	w := post(newServer(t, Options{Append: kept.append}), "/api/testImpressions/bulk", body)
	if w.Code != http.StatusOK || len(kept.records) < 3 {
		t.Fatalf("%d, %d records", w.Code, len(kept.records))
	}
	var parts []fme.Impression
	seeds := map[[16]byte]bool{}
	for _, r := range kept.records {
		if len(r.Body) > maxRecordBytes || r.Kind != stream.ImpressionsBulk || r.Environment != "shop/production" {
			t.Errorf("a record of %d bytes, kind %d", len(r.Body), r.Kind)
		}
		seeds[r.Seed] = true
		part, bad, err := fme.DecodeImpressions(r.Body)
		if err != nil || len(bad) > 0 {
			t.Fatal(err, bad)
		}
		parts = append(parts, part...)
	}
	if len(parts) != len(whole) {
		t.Fatalf("%d impressions, want %d", len(parts), len(whole))
	}
	for i := range whole {
		if parts[i] != whole[i] {
			t.Fatalf("impression %d: %+v, want %+v", i, parts[i], whole[i])
		}
	}
	if len(seeds) != len(kept.records) {
		t.Error("two records share a seed")
	}

	kept = memory{fail: func(n int) error {
		if n == 2 {
			return stream.ErrFull
		}
		return nil
	}}
	if w := post(newServer(t, Options{Append: kept.append}), "/api/testImpressions/bulk", body); w.Code != http.StatusServiceUnavailable {
		t.Errorf("one of the records was refused, and the answer is %d", w.Code)
	}
}

func TestAnItemTooLargeToKeepIsDroppedAlone(t *testing.T) {
	huge := strings.Repeat("x", maxRecordBytes)
	var kept memory
	s := newServer(t, Options{Append: kept.append})
	w := post(s, "/api/events/bulk", `[{"key":"a"},{"key":"`+huge+`"},{"key":"b"}]`)
	if w.Code != http.StatusAccepted || len(kept.records) != 1 || string(kept.records[0].Body) != `[{"key":"a"},{"key":"b"}]` {
		t.Errorf("%d, %d records", w.Code, len(kept.records))
	}
	// Nothing is left: that must not look accepted.
	for _, path := range []string{"/api/events", "/api/v1/metrics/usage"} {
		if w := post(s, path, `{"key":"`+huge+`"}`); w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if len(kept.records) != 1 {
		t.Error("something of it was kept")
	}
}

// FuzzApart holds, for any body of the form: the parts are JSON of the same
// form and no larger than the limit; together they have the items of the whole,
// in order, except those that were dropped. An item that cannot be read and is
// taken apart cannot be read several times.
func FuzzApart(f *testing.F) {
	f.Add([]byte(impressionsBody(2, 5, "p")), uint16(200))
	f.Add([]byte(`{"pf":[{"f":"a","rc":1},{"f":"b","rc":2}],"x":[1]}`), uint16(40))
	f.Add([]byte(`{"keys":[{"f":"a","ks":["1","2","3"],"ks":["4","5"]}]}`), uint16(30))
	f.Add([]byte(`{"sdkVersion":"go-1","impressions":[{"testName":"a","keyImpressions":[{"keyName":"u","treatment":"on"}]}]}`), uint16(120))
	f.Add([]byte(`[{"f":"a","i":null},{"f":"b","i":[{"k":"1","t":"on"},7]}, null]`), uint16(20))
	forms := []struct {
		lists  lists
		check  func([]byte) error
		decode func([]byte) (items []string, bad int)
	}{
		{lists{inner: "i"}, fme.IsList, itemsOf(fme.DecodeImpressions)},
		{lists{outer: "impressions", inner: "keyImpressions"}, hasList("impressions"), itemsOf(fme.DecodeImpressionListener)},
		{lists{outer: "pf"}, hasList("pf"), itemsOf(fme.DecodeImpressionCounts)},
		{lists{outer: "keys", inner: "ks"}, hasList("keys"), itemsOf(fme.DecodeUniqueKeysByFlag)},
		{lists{outer: "keys", inner: "fs"}, hasList("keys"), itemsOf(fme.DecodeUniqueKeysByKey)},
		{lists{}, fme.IsList, itemsOf(fme.DecodeEvents)},
	}
	f.Fuzz(func(t *testing.T, body []byte, limit uint16) {
		for i, form := range forms {
			if form.check(body) != nil {
				continue
			}
			want, wantBad := form.decode(body)
			parts, dropped := form.lists.apart(body, int(limit))
			var got []string
			gotBad := 0
			for _, part := range parts {
				if len(part) > int(limit) || !json.Valid(part) {
					t.Fatalf("form %d: part of %d bytes (limit %d): %s", i, len(part), limit, part)
				}
				items, bad := form.decode(part)
				got, gotBad = append(got, items...), gotBad+bad
			}
			if len(got) > len(want) || gotBad > 0 && wantBad == 0 || dropped == 0 && len(got) != len(want) {
				t.Fatalf("form %d, limit %d: %d items and %d bad of %d and %d, %d dropped\n%s", i, limit, len(got), gotBad, len(want), wantBad, dropped, body)
			}
			at := 0
			for _, item := range got {
				for at < len(want) && want[at] != item {
					at++
				}
				if at == len(want) {
					t.Fatalf("form %d: %s is new or out of order", i, item)
				}
				at++
			}
		}
	})
}

func itemsOf[T any](decode func([]byte) ([]T, []fme.Bad, error)) func([]byte) ([]string, int) {
	return func(body []byte) (items []string, bad int) {
		list, wrong, _ := decode(body)
		for _, item := range list {
			items = append(items, fmt.Sprintf("%+v", item))
		}
		return items, len(wrong)
	}
}

// FuzzDoors holds, for any body at any door: no panic, no redirect, no 5xx, an
// answer in JSON, nothing held afterwards, and never a 2xx without an append
// unless the route says that it keeps nothing.
func FuzzDoors(f *testing.F) {
	for path, body := range doors {
		f.Add(path, []byte(body), "")
		f.Add(path, []byte(zip(f, body)), "gzip")
	}
	f.Add("/v1/m", []byte("{}"), "")
	f.Add("/api/metrics/times", []byte("{}"), "")
	f.Add("/v1/projects/%2f%zz/settings", []byte(""), "br")
	f.Add("//segment//webhook/..", []byte("[[[[[[["), "")
	var kept memory
	s := newServer(f, Options{Append: kept.append})
	f.Fuzz(func(t *testing.T, path string, body []byte, encoding string) {
		target, err := http.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := target.URL.Parse(path)
		if err != nil {
			return
		}
		target.URL = parsed
		authorize(target, parsed.Path)
		target.Header.Set("Content-Encoding", encoding)
		kept.records = nil
		w := httptest.NewRecorder()
		s.Routes().ServeHTTP(w, target)
		found, _ := s.find(parsed.EscapedPath())
		unread := found != nil && (found.name == "browser_metrics" || found.name == "legacy_metrics")
		switch {
		case w.Code/100 == 3 || w.Code/100 == 5 && w.Code != http.StatusNotImplemented:
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		case w.Code/100 == 2 && !unread && len(kept.records) == 0:
			t.Fatalf("%s: %d, and nothing was appended", path, w.Code)
		case w.Code/100 != 2 && w.Code != http.StatusNotImplemented && len(kept.records) > 0: // R13, R22
			t.Fatalf("%s: %d, and something was appended", path, w.Code)
		case w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()):
			t.Fatalf("%s: %s", path, w.Body)
		case s.held.Load() != 0:
			t.Fatalf("%s: %d bytes still held", path, s.held.Load())
		}
	})
}

package ingest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkDoor is what one request costs at the door, without the network and
// without the stream (design: at most 45 µs with both).
func BenchmarkDoor(b *testing.B) {
	call := `{"type":"track","event":"Order Completed","userId":"u1","properties":{"revenue":39.95,"sku":"` + strings.Repeat("a", 500) + `"},"context":{"library":{"name":"x","version":"1"}}}`
	for name, c := range map[string][2]string{
		"track of 700 bytes": {"/v1/track", call},
		"batch of 100":       {"/v1/batch", `{"batch":[` + strings.TrimSuffix(strings.Repeat(call+",", 100), ",") + `]}`},
		"impressions, 1000":  {"/api/testImpressions/bulk", impressionsBody(10, 100, "")},
	} {
		b.Run(name, func(b *testing.B) {
			var kept memory
			s := newServer(b, Options{Append: kept.append})
			b.ReportAllocs()
			b.SetBytes(int64(len(c[1])))
			for b.Loop() {
				kept.records, kept.names = kept.records[:0], kept.names[:0]
				w := httptest.NewRecorder()
				s.Routes().ServeHTTP(w, request(c[0], strings.NewReader(c[1])))
				if w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}

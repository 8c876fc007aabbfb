package ingest

import (
	"errors"
	"strings"
	"testing"

	"causeway/internal/stream"
)

func TestATestCallGoesThroughTheDestinationsDoor(t *testing.T) {
	m := new(memory)
	s := newServer(t, Options{Append: m.append})
	signed, _ := snapshot.Destination("signed-events")
	status, answer := s.Take(t.Context(), signed, []byte(`{"type":"track","event":"E","userId":"u1"}`))
	if status != 200 || !strings.Contains(answer, `"success":true`) {
		t.Errorf("%d %s", status, answer)
	}
	r := m.records[0]
	if m.names[0] != stream.Calls || r.Kind != stream.Destination || r.Configuration != "signed-events" || r.Environment != "shop/staging" || r.Scheme != "console" {
		t.Errorf("appended %+v", r)
	}
	if status, answer := s.Take(t.Context(), signed, []byte(`{`)); status != 400 || len(m.records) != 1 {
		t.Errorf("a broken body: %d %s", status, answer)
	}
	if status, _ := s.Take(t.Context(), signed, []byte(`{"type":"alias"}`)); status != 501 {
		t.Errorf("an unsupported type: %d", status)
	}
	full := newServer(t, Options{Append: (&memory{fail: func(int) error { return errors.New("the disk is full") }}).append})
	if status, answer := full.Take(t.Context(), signed, []byte(`{"type":"track","event":"E"}`)); status != 503 || strings.Contains(answer, "disk") {
		t.Errorf("not durable: %d %s", status, answer)
	}
}

package stream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// openTest opens streams that are closed with the test. An empty Dir becomes a
// temporary one.
func openTest(t testing.TB, o Options) *Streams {
	t.Helper()
	if o.Dir == "" && o.URL == "" {
		o.Dir = t.TempDir()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// numbered makes a record whose body is recognisable.
func numbered(n int) Record {
	return Record{Kind: Tracking, Environment: "shop/production", ReceivedAt: time.UnixMicro(int64(n)).UTC(), Body: fmt.Appendf(nil, `{"n":%d}`, n)}
}

// sized makes a record with a body of random bytes.
func sized(bytes int) Record {
	r := numbered(0)
	r.Body = make([]byte, bytes)
	rand.Read(r.Body)
	return r
}

func appendTest(t testing.TB, s *Streams, records ...Record) {
	t.Helper()
	for _, r := range records {
		if err := s.Append(t.Context(), Calls, r); err != nil {
			t.Fatal(err)
		}
	}
}

// readAll reads what is in the stream after a position, until it ends.
func readAll(t testing.TB, s *Streams, name Name, after uint64) []Frame {
	t.Helper()
	_, last, _, err := s.Bounds(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Read(t.Context(), name, after)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []Frame
	for at := after; at < last; {
		frames, err := r.Next(t.Context(), 4<<20, 2*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if len(frames) == 0 {
			t.Fatalf("read %d frames, up to %d, then nothing for two seconds", len(all), at)
		}
		all = append(all, frames...)
		at = frames[len(frames)-1].Sequence
	}
	return all
}

func bodies(frames []Frame) []string {
	var all []string
	for _, f := range frames {
		for _, r := range f.Records {
			all = append(all, string(r.Body))
		}
	}
	return all
}

func TestWhatIsAppendedIsReadInOrder(t *testing.T) {
	s := openTest(t, Options{})
	var want []string
	for n := range 25 {
		r := numbered(n)
		appendTest(t, s, r)
		want = append(want, string(r.Body))
	}
	frames := readAll(t, s, Calls, 0)
	if diff := cmp.Diff(want, bodies(frames)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if frames[0].Sequence != 1 || time.Since(frames[0].Time) > time.Minute {
		t.Errorf("first frame is %d at %v", frames[0].Sequence, frames[0].Time)
	}
	if diff := cmp.Diff(numbered(0), frames[0].Records[0]); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	if got := bodies(readAll(t, s, Calls, 20)); len(got) != 5 || got[0] != want[20] {
		t.Errorf("after 20: %q", got)
	}
	one, err := s.Frame(t.Context(), Calls, 7)
	if err != nil || string(one.Records[0].Body) != want[6] {
		t.Errorf("frame 7: %v, %v", one, err)
	}
	if _, err := s.Frame(t.Context(), Calls, 26); !errors.Is(err, ErrGone) {
		t.Errorf("frame 26: %v, want ErrGone", err)
	}
	if got := readAll(t, s, Impressions, 0); len(got) != 0 {
		t.Errorf("the other stream holds %d frames", len(got))
	}
}

func TestConcurrentAppendsShareFrames(t *testing.T) {
	s := openTest(t, Options{})
	const callers, each = 64, 25
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for n := range each {
				if err := s.Append(t.Context(), Calls, numbered(c*each+n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	frames := readAll(t, s, Calls, 0)
	seen := make(map[string]bool)
	for _, body := range bodies(frames) {
		if seen[body] {
			t.Errorf("%s is there twice", body)
		}
		seen[body] = true
	}
	if len(seen) != callers*each {
		t.Errorf("%d records, want %d", len(seen), callers*each)
	}
	if len(frames) > callers*each/4 {
		t.Errorf("%d records took %d frames: they do not share", callers*each, len(frames))
	}
}

func TestALargeRecordTravelsAloneAndATooLargeOneIsRefused(t *testing.T) {
	s := openTest(t, Options{})
	large := sized(4 << 20)
	appendTest(t, s, large)
	frames := readAll(t, s, Calls, 0)
	if len(frames) != 1 || string(frames[0].Records[0].Body) != string(large.Body) {
		t.Error("a record of 4 MiB came back different")
	}
	if err := s.Append(t.Context(), Calls, sized(embeddedMaxPayload)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a record of 8 MiB: %v, want ErrTooLarge", err)
	}
}

func TestAReaderIsBoundedByBytesAndLosesNothing(t *testing.T) {
	s := openTest(t, Options{})
	const frames = 60
	for range frames {
		appendTest(t, s, sized(100<<10))
	}
	r, err := s.Read(t.Context(), Calls, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for at := uint64(0); at < frames; {
		got, err := r.Next(t.Context(), 1<<20, time.Second)
		if err != nil || len(got) == 0 || len(got) > 10 {
			t.Fatalf("%d frames of 100 KiB for 1 MiB, %v", len(got), err)
		}
		for _, f := range got {
			if at++; f.Sequence != at {
				t.Fatalf("frame %d came when %d was due", f.Sequence, at)
			}
		}
	}
	appendTest(t, s, sized(3<<20))
	if got, err := r.Next(t.Context(), 1000, time.Second); len(got) != 1 {
		t.Errorf("a frame larger than the bound: %d frames, %v; want it alone", len(got), err)
	}
}

func TestAWaitingReaderIsWokenByAnAppend(t *testing.T) {
	s := openTest(t, Options{})
	r, err := s.Read(t.Context(), Calls, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Next(t.Context(), 1<<20, 10*time.Millisecond); len(got) != 0 || err != nil {
		t.Errorf("an empty stream gave %d frames, %v", len(got), err)
	}
	time.AfterFunc(20*time.Millisecond, func() { s.Append(context.Background(), Calls, numbered(1)) })
	start := time.Now()
	got, err := r.Next(t.Context(), 1<<20, 10*time.Second)
	if len(got) != 1 || err != nil {
		t.Fatalf("%d frames, %v", len(got), err)
	}
	if took := time.Since(start); took > pollEvery/2 {
		t.Errorf("the reader slept for %v after the append", took)
	}
}

func TestAPositionBeyondTheEndIsRefused(t *testing.T) {
	s := openTest(t, Options{})
	appendTest(t, s, numbered(1))
	if _, err := s.Read(t.Context(), Calls, 2); !errors.Is(err, ErrAhead) {
		t.Errorf("%v, want ErrAhead", err)
	}
}

func TestEverythingIsThereAfterReopening(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	s := openTest(t, o)
	appendTest(t, s, numbered(1), numbered(2))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), Calls, numbered(3)); !errors.Is(err, ErrClosed) {
		t.Errorf("append after Close: %v, want ErrClosed", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	s = openTest(t, o)
	appendTest(t, s, numbered(4))
	if diff := cmp.Diff([]string{`{"n":1}`, `{"n":2}`, `{"n":4}`}, bodies(readAll(t, s, Calls, 0))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCloseAnswersTheAppendsUnderWay(t *testing.T) {
	s := openTest(t, Options{})
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() {
			if err := s.Append(t.Context(), Calls, numbered(n)); err != nil && !errors.Is(err, ErrClosed) {
				t.Errorf("%v, want none or ErrClosed", err)
			}
		})
	}
	s.Close()
	all.Wait()
}

func TestASecondProcessCannotOpenTheFolder(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	openTest(t, o)
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("opened twice: %v", err)
	}
}

func TestAnAppendEndsWithItsContext(t *testing.T) {
	s := openTest(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Append(ctx, Calls, numbered(1)); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want none or Canceled", err)
	}
}

func TestTheServerListensOnLoopbackOnly(t *testing.T) {
	s := openTest(t, Options{Listen: "127.0.0.1:0"})
	if s.embedded.running().ClientURL() == "" {
		t.Error("no address")
	}
	if _, err := Open(t.Context(), Options{Dir: t.TempDir(), Listen: "0.0.0.0:4222"}); err == nil {
		t.Error("listens for everybody")
	}
}

func TestAnEmptyStreamGoesOnBehindAPositionAndAHeldOneDoesNot(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, Options{Dir: dir})
	if err := s.Continue(t.Context(), Calls, 57); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // it outlives a restart
		t.Fatal(err)
	}
	s = openTest(t, Options{Dir: dir})
	appendTest(t, s, numbered(1))
	frames := readAll(t, s, Calls, 57)
	if len(frames) != 1 || frames[0].Sequence != 58 {
		t.Fatalf("read %+v, want frame 58", frames)
	}
	if err := s.Continue(t.Context(), Calls, 58); err != nil {
		t.Errorf("a position within the stream: %v", err)
	}
	if err := s.Continue(t.Context(), Calls, 90); !errors.Is(err, ErrAhead) {
		t.Errorf("a stream with frames goes on behind 90: %v", err)
	}
	if got := len(readAll(t, s, Calls, 57)); got != 1 {
		t.Errorf("%d frames are left of 1", got)
	}
}

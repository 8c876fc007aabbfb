package stream

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// anyRecord makes a record with every field at random, among them empty ones.
func anyRecord(r *rand.Rand) Record {
	text := func() string {
		b := make([]byte, r.IntN(20)*r.IntN(20))
		for i := range b {
			b[i] = byte(r.UintN(256))
		}
		return string(b)
	}
	record := Record{
		Kind: Kind(r.UintN(256)), Environment: text(), Configuration: text(), Scheme: text(), CallType: text(),
		ReceivedAt: time.UnixMicro(r.Int64N(1 << 52)).UTC(),
		SDK:        text(), MachineName: text(), MachineIP: text(), Mode: text(), Body: []byte(text()),
	}
	for i := range record.Seed {
		record.Seed[i] = byte(r.UintN(256))
	}
	return record
}

func TestAFrameDecodesToTheRecordsItWasMadeOf(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var want []Record
		var frame []byte
		for range r.IntN(5) {
			record := anyRecord(r)
			before := len(frame)
			frame = record.Encode(frame)
			if got, most := len(frame)-before, record.encodedSize(); got > most {
				t.Fatalf("a record takes %d bytes, said to be at most %d", got, most)
			}
			want = append(want, record)
		}
		got, err := DecodeFrame(frame)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		if len(frame) > 0 {
			if _, err := DecodeFrame(frame[:len(frame)-1]); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("a frame without its last byte: %v, want ErrCorrupt", err)
			}
		}
	}
}

func FuzzDecodeFrame(f *testing.F) {
	one := numbered(1)
	two := Record{Kind: ImpressionsBulk, SDK: "go-6.10.0", MachineIP: "10.0.0.1", Mode: "OPTIMIZED", Body: []byte(`[{"f":"x","i":[]}]`)}
	f.Add([]byte{})
	f.Add(one.Encode(nil))
	f.Add(two.Encode(one.Encode(nil)))
	f.Add(one.Encode(nil)[:20])
	f.Fuzz(func(t *testing.T, frame []byte) {
		records, err := DecodeFrame(frame)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%v does not say that it is corrupt", err)
			}
			return
		}
		var again []byte
		for _, r := range records {
			again = r.Encode(again)
		}
		twice, err := DecodeFrame(again)
		if err != nil {
			t.Fatalf("decoded, encoded, then refused: %v", err)
		}
		if diff := cmp.Diff(records, twice, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("encoding again changed it (-want +got):\n%s", diff)
		}
	})
}

func FuzzDecodeCalls(f *testing.F) {
	f.Add([]byte{})
	f.Add(encodeCalls(calls("x", 3)))
	f.Add(encodeCalls([]json.RawMessage{nil}))
	f.Add(encodeCalls(calls("x", 3))[:9])
	f.Fuzz(func(t *testing.T, parcel []byte) {
		calls, err := decodeCalls(parcel)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%v does not say that it is corrupt", err)
			}
			return
		}
		twice, err := decodeCalls(encodeCalls(calls))
		if err != nil {
			t.Fatalf("decoded, encoded, then refused: %v", err)
		}
		if diff := cmp.Diff(calls, twice, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("encoding again changed it (-want +got):\n%s", diff)
		}
	})
}

func TestAFrameThatIsCorruptInTheStreamIsNamedAndNotSkipped(t *testing.T) {
	s := openTest(t, Options{})
	appendTest(t, s, numbered(1))
	if _, err := s.js.Publish(t.Context(), string(Calls), []byte("not a frame")); err != nil {
		t.Fatal(err)
	}
	appendTest(t, s, numbered(3))
	r, err := s.Read(t.Context(), Calls, 0)
	if err != nil {
		t.Fatal(err)
	}
	if frames, err := r.Next(t.Context(), 1<<20, time.Second); len(frames) != 1 || err != nil {
		t.Errorf("before it: %d frames, %v", len(frames), err)
	}
	for range 2 {
		if frames, err := r.Next(t.Context(), 1<<20, time.Second); len(frames) != 0 || !errors.Is(err, ErrCorrupt) {
			t.Errorf("at it: %d frames, %v; want ErrCorrupt each time", len(frames), err)
		}
	}
	if _, err := s.Frame(t.Context(), Calls, 2); !errors.Is(err, ErrCorrupt) {
		t.Errorf("%v, want ErrCorrupt", err)
	}
	if got := readAll(t, s, Calls, 2); len(got) != 1 {
		t.Errorf("after it: %d frames", len(got))
	}
}

package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Kind says through which door a record came, and so how its body reads.
type Kind uint8

// The kinds of records. Their numbers are on disk: never reuse one.
const (
	// In the stream Calls.
	Tracking    Kind = 1 // body of the tracking API: one call or a batch (R30)
	Destination Kind = 2 // body of the destination route: one call or an array (R31)
	Webhook     Kind = 3 // body of the webhook route (R31)

	// In the stream Impressions.
	ImpressionsBulk    Kind = 10 // Split SDK bulk: testImpressions/bulk
	ImpressionCounts   Kind = 11 // testImpressions/count
	UniqueKeysByFlag   Kind = 12 // keys/ss
	UniqueKeysByKey    Kind = 13 // keys/cs
	Events             Kind = 14 // events/bulk
	TelemetryConfig    Kind = 15 // metrics/config
	TelemetryUsage     Kind = 16 // metrics/usage
	ImpressionsWebhook Kind = 17 // Harness FME's outgoing impressions webhook
	ImpressionListener Kind = 18 // Split Synchronizer / Proxy impression listener
	ReplayedImpression Kind = 19 // one fme.Impression as JSON, from the dead letters, for one source
)

// Record is one accepted request: the body as it came, and what only the door
// knew about it. Whoever reads it later needs nothing else to decide what it
// becomes, so reading it twice gives the same result twice.
type Record struct {
	Kind Kind
	// Environment is "project/environment" as the credential decided it.
	Environment string
	// Configuration is the id of the destination or listener whose credential
	// was used; of the source for ReplayedImpression; empty for SDK routes.
	Configuration string
	// Scheme is how the request proved itself: "basic", "bearer", "body",
	// "query", "raw", "token", "signature+raw" ...
	Scheme string
	// CallType is the type that the path decides on single tracking calls
	// (track, identify ...); empty for batches and other routes.
	CallType string
	// Seed is random; made messageIds derive from it, so that reading the
	// record twice makes the same ids (R18).
	Seed       [16]byte
	ReceivedAt time.Time // microseconds are kept

	// What Split SDKs say about themselves in headers.
	SDK         string // "go-6.10.0", as sent
	MachineName string
	MachineIP   string
	Mode        string // impressions mode, as sent

	Body []byte // decompressed
}

// ErrCorrupt means that bytes are no frame or record that this version wrote.
var ErrCorrupt = errors.New("corrupt frame")

const recordVersion = 1

// Encode appends the record's encoding to b.
func (r *Record) Encode(b []byte) []byte {
	b = append(b, recordVersion, byte(r.Kind))
	b = append(b, r.Seed[:]...)
	b = binary.AppendVarint(b, r.ReceivedAt.UnixMicro())
	for _, text := range []string{r.Environment, r.Configuration, r.Scheme, r.CallType, r.SDK, r.MachineName, r.MachineIP, r.Mode} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Body)))
	return append(b, r.Body...)
}

// encodedSize is at least what Encode appends: the exact size but for numbers,
// which are counted at their longest.
func (r *Record) encodedSize() int {
	const numbers, texts = 10, 9
	return 2 + len(r.Seed) + numbers*(1+texts) + len(r.Environment) + len(r.Configuration) + len(r.Scheme) +
		len(r.CallType) + len(r.SDK) + len(r.MachineName) + len(r.MachineIP) + len(r.Mode) + len(r.Body)
}

// decodeRecord reads one record from the front of b and returns the rest. The
// record's Body aliases b.
func decodeRecord(b []byte) (Record, []byte, error) {
	var r Record
	if len(b) < 18 {
		return r, nil, fmt.Errorf("%w: record of %d bytes", ErrCorrupt, len(b))
	}
	if b[0] != recordVersion {
		return r, nil, fmt.Errorf("%w: record version %d", ErrCorrupt, b[0])
	}
	r.Kind = Kind(b[1])
	copy(r.Seed[:], b[2:18])
	b = b[18:]
	micros, n := binary.Varint(b)
	if n <= 0 {
		return r, nil, fmt.Errorf("%w: receipt time", ErrCorrupt)
	}
	r.ReceivedAt = time.UnixMicro(micros).UTC()
	b = b[n:]
	var err error
	for _, field := range []*string{&r.Environment, &r.Configuration, &r.Scheme, &r.CallType, &r.SDK, &r.MachineName, &r.MachineIP, &r.Mode} {
		var text []byte
		if text, b, err = decodeBytes(b); err != nil {
			return r, nil, err
		}
		*field = string(text)
	}
	r.Body, b, err = decodeBytes(b)
	return r, b, err
}

func decodeBytes(b []byte) (field, rest []byte, err error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, fmt.Errorf("%w: length of a field", ErrCorrupt)
	}
	b = b[n:]
	return b[:size:size], b[size:], nil
}

// DecodeFrame reads the records of a frame. Their bodies alias b.
func DecodeFrame(b []byte) ([]Record, error) {
	var records []Record
	for len(b) > 0 {
		r, rest, err := decodeRecord(b)
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", len(records), err)
		}
		records, b = append(records, r), rest
	}
	return records, nil
}

package segment

import (
	"encoding/json"
	"time"
)

// batchHead and batchTail surround the calls of an outgoing batch.
const (
	batchHead  = `{"batch":[`
	batchTail  = `],"sentAt":"`
	batchClose = `"}`
	timeLayout = "2006-01-02T15:04:05.000Z07:00"
)

// BatchBaseBytes is the size of a BatchBody without calls.
const BatchBaseBytes = len(batchHead) + len(batchTail) + len("2006-01-02T15:04:05.000Z") + len(batchClose)

// BatchCost is how many bytes a call adds to a BatchBody: BatchBaseBytes and
// the costs of its calls are never less than its size.
func BatchCost(call json.RawMessage) int { return len(call) + 1 }

// BatchBody writes the body of POST /v1/batch: {"batch":[...],"sentAt":...}
// (R45). The calls are taken as they are. sentAt is written in UTC with
// milliseconds.
func BatchBody(calls []json.RawMessage, sentAt time.Time) []byte {
	size := BatchBaseBytes
	for _, call := range calls {
		size += BatchCost(call)
	}
	b := append(make([]byte, 0, size), batchHead...)
	for i, call := range calls {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, call...)
	}
	b = append(b, batchTail...)
	b = sentAt.UTC().AppendFormat(b, timeLayout)
	return append(b, batchClose...)
}

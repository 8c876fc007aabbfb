package catalog

import "cmp"

// Limits bounds what may come in with one credential. Zero fields: no bound.
type Limits struct {
	RequestsPerSecond int `json:"requestsPerSecond" yaml:"requestsPerSecond"`
	CallsPerSecond    int `json:"callsPerSecond" yaml:"callsPerSecond"` // Segment calls; a batch is as many as it holds
	BytesPerMinute    int `json:"bytesPerMinute" yaml:"bytesPerMinute"` // of bodies, decompressed
}

// Or is l with what it leaves open taken from fallback.
func (l Limits) Or(fallback Limits) Limits {
	return Limits{
		RequestsPerSecond: cmp.Or(l.RequestsPerSecond, fallback.RequestsPerSecond),
		CallsPerSecond:    cmp.Or(l.CallsPerSecond, fallback.CallsPerSecond),
		BytesPerMinute:    cmp.Or(l.BytesPerMinute, fallback.BytesPerMinute),
	}
}

package stream

import (
	"context"
	"time"

	"causeway/internal/reason"

	"github.com/nats-io/nats.go/jetstream"
)

// KeyValue opens a bucket, and makes it when it is missing. Eight values of
// each key are kept.
func (s *Streams) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	return nil, errNotYet
}

// AuditEntry is one entry of the audit log.
type AuditEntry struct {
	Sequence uint64
	Time     time.Time
	Data     []byte
}

// AppendAudit makes an entry of the audit log durable.
func (s *Streams) AppendAudit(ctx context.Context, entry []byte) error { return errNotYet }

// Audit lists the newest entries before a sequence (0: from the end), newest
// first, at most limit.
func (s *Streams) Audit(ctx context.Context, before uint64, limit int) ([]AuditEntry, error) {
	return nil, errNotYet
}

// DeliveryState is how the delivery of one source stands, as its worker last
// said.
type DeliveryState struct {
	Source      string      `json:"source"`
	State       string      `json:"state"` // DeliveryRunning ...
	Since       time.Time   `json:"since"` // when it came into this state
	Reason      reason.Code `json:"reason,omitempty"`
	Status      int         `json:"status,omitempty"` // last HTTP status, 0: none
	Answer      string      `json:"answer,omitempty"` // beginning of the last refusal, or the network's error
	NextAttempt time.Time   `json:"nextAttempt,omitzero"`
	UpdatedAt   time.Time   `json:"updatedAt"`
}

// The states of a delivery.
const (
	DeliveryRunning  = "running"
	DeliveryRetrying = "retrying"
	DeliveryPaused   = "paused"
	DeliveryIdle     = "idle"
)

// SaveDeliveryState replaces the state of st.Source.
func (s *Streams) SaveDeliveryState(ctx context.Context, st DeliveryState) error { return errNotYet }

// DeliveryState returns the state of one source; ok is false when it has none.
func (s *Streams) DeliveryState(ctx context.Context, source string) (st DeliveryState, ok bool, err error) {
	return st, false, errNotYet
}

// DeliveryStates returns the states of all sources, by source id.
func (s *Streams) DeliveryStates(ctx context.Context) (map[string]DeliveryState, error) {
	return nil, errNotYet
}

package stream

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"causeway/internal/reason"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// keptValues is how many values of each key a bucket remembers.
const keptValues = 8

// KeyValue opens a bucket, and makes it when it is missing. Eight values of
// each key are kept.
func (s *Streams) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	if err := checkSlug("bucket", bucket); err != nil {
		return nil, err
	}
	s.mu.Lock()
	kv, ok := s.buckets[bucket]
	s.mu.Unlock()
	if ok {
		return kv, nil
	}
	err := s.retry(ctx, "open bucket "+bucket, func(ctx context.Context) (err error) {
		if kv, err = s.js.KeyValue(ctx, bucket); !errors.Is(err, jetstream.ErrBucketNotFound) {
			return err
		}
		kv, err = s.createBucket(ctx, bucket)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buckets[bucket] = kv
	return kv, nil
}

// createBucket makes a bucket with as many copies as the other streams have.
func (s *Streams) createBucket(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	info, err := s.info(ctx, string(Calls))
	if err != nil {
		return nil, err
	}
	return s.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket:   bucket,
		History:  keptValues,
		Storage:  jetstream.FileStorage,
		Replicas: info.Config.Replicas,
	})
}

// The audit log is a stream of its own; its oldest entries make room.
const auditStream = "audit"

func (s *Streams) openAudit(ctx context.Context) error {
	return s.ensureStream(ctx, jetstream.StreamConfig{
		Name:     auditStream,
		Subjects: []string{auditStream},
		Discard:  jetstream.DiscardOld,
		MaxBytes: s.options.Budget.Audit,

		Duplicates: publishWindow,
	})
}

// AuditEntry is one entry of the audit log.
type AuditEntry struct {
	Sequence uint64
	Time     time.Time
	Data     []byte
}

// AppendAudit makes an entry of the audit log durable.
func (s *Streams) AppendAudit(ctx context.Context, entry []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.AppendWait)
	defer cancel()
	msg := &nats.Msg{Subject: auditStream, Data: entry}
	_, err := s.publish(ctx, msg, jetstream.WithMsgID(rand.Text()), jetstream.WithExpectStream(auditStream))
	if err != nil {
		return fmt.Errorf("append to the audit log: %w", err)
	}
	return nil
}

// Audit lists the newest entries before a sequence (0: from the end), newest
// first, at most limit.
func (s *Streams) Audit(ctx context.Context, before uint64, limit int) ([]AuditEntry, error) {
	var entries []AuditEntry
	err := s.backwards(ctx, auditStream, "", before, func(m stored) (bool, error) {
		if len(entries) < limit {
			entries = append(entries, AuditEntry{Sequence: m.sequence, Time: m.time, Data: m.data})
		}
		return len(entries) < limit, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the audit log: %w", err)
	}
	return entries, nil
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

// deliveryBucket holds one DeliveryState for each source.
const deliveryBucket = "delivery"

// SaveDeliveryState replaces the state of st.Source.
func (s *Streams) SaveDeliveryState(ctx context.Context, st DeliveryState) error {
	if err := checkSlug("source", st.Source); err != nil {
		return err
	}
	data, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("encode the delivery state of %s: %w", st.Source, err)
	}
	kv, err := s.KeyValue(ctx, deliveryBucket)
	if err != nil {
		return err
	}
	if _, err := kv.Put(ctx, st.Source, data); err != nil {
		return fmt.Errorf("save the delivery state of %s: %w", st.Source, s.closedOr(err))
	}
	return nil
}

// DeliveryState returns the state of one source; ok is false when it has none.
func (s *Streams) DeliveryState(ctx context.Context, source string) (st DeliveryState, ok bool, err error) {
	if err := checkSlug("source", source); err != nil {
		return st, false, err
	}
	kv, err := s.KeyValue(ctx, deliveryBucket)
	if err != nil {
		return st, false, err
	}
	entry, err := kv.Get(ctx, source)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return st, false, nil
	}
	if err == nil {
		err = json.Unmarshal(entry.Value(), &st)
	}
	if err != nil {
		return st, false, fmt.Errorf("delivery state of %s: %w", source, s.closedOr(err))
	}
	return st, true, nil
}

// DeliveryStates returns the states of all sources, by source id.
func (s *Streams) DeliveryStates(ctx context.Context) (map[string]DeliveryState, error) {
	kv, err := s.KeyValue(ctx, deliveryBucket)
	if err != nil {
		return nil, err
	}
	keys, err := kv.ListKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the delivery states: %w", s.closedOr(err))
	}
	states := make(map[string]DeliveryState)
	for source := range keys.Keys() {
		st, ok, err := s.DeliveryState(ctx, source)
		if err != nil {
			return nil, err
		}
		if ok {
			states[source] = st
		}
	}
	return states, nil
}

// dropDeliveryState forgets the state of a source.
func (s *Streams) dropDeliveryState(ctx context.Context, source string) error {
	kv, err := s.KeyValue(ctx, deliveryBucket)
	if err != nil {
		return err
	}
	if err := kv.Purge(ctx, source); err != nil {
		return fmt.Errorf("drop the delivery state of %s: %w", source, s.closedOr(err))
	}
	return nil
}

// Package backup makes one archive of a running server, and fills an empty data
// folder from it.
//
// Contract:
//   - What was acknowledged before Write began is in the archive; nothing is in
//     it twice. What is acknowledged meanwhile may or may not be.
//   - Accepting, storing and delivering go on. Writes to the store wait for as
//     long as its file takes to be copied on the same disk.
//   - The master key is not in the archive: whoever holds both can read the
//     sealed secrets.
//   - An archive that ends early, or is changed, is refused by Restore, which
//     then leaves nothing behind.
package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"causeway/internal/stream"
)

// What callers branch on.
var (
	// ErrRunning means that another backup is being made.
	ErrRunning = errors.New("another backup is being made")
	// ErrExternal means that the streams are elsewhere.
	ErrExternal = stream.ErrExternal
)

// RoomError means that the copy of the store does not fit on the disk.
type RoomError struct{ Need, Free int64 }

func (e *RoomError) Error() string {
	return fmt.Sprintf("the copy of the store needs %d MiB on the disk of the data folder and %d MiB may be used", e.Need>>20+1, e.Free>>20)
}

// Store is what a backup needs of the store.
type Store interface {
	// Copy copies the store's files into a folder and returns the position that
	// each consumer has in the copy.
	Copy(ctx context.Context, folder string) (map[string]uint64, error)
	Size() (int64, error)
}

// Options of Backups. Streams, Store and Folder are required.
type Options struct {
	Streams *stream.Streams
	Store   Store
	Folder  string // the data folder: the store is copied into a folder in it first
	// Spare is how many bytes the copy may take of the disk. Default: any number.
	Spare   func() (int64, error)
	Version string
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Now     func() time.Time
}

// Backups makes backups of one server and remembers the last.
type Backups struct {
	opt     Options
	kv      jetstream.KeyValue
	running sync.Mutex
	last    atomic.Pointer[Record]
	made    *prometheus.CounterVec
}

// Record is what is remembered of a finished backup.
type Record struct {
	StartedAt  time.Time `json:"startedAt"`
	FinishedAt time.Time `json:"finishedAt"`
	Bytes      int64     `json:"bytes"`
	By         string    `json:"by"`
}

const (
	bucket    = "backup"
	lastKey   = "last"
	tempNames = ".backup-*"
)

// New removes what an interrupted backup left in the folder.
func New(ctx context.Context, o Options) (*Backups, error) {
	if o.Streams == nil || o.Store == nil || o.Folder == "" {
		return nil, errors.New("backup: Streams, Store and Folder are required")
	}
	if o.Spare == nil {
		o.Spare = func() (int64, error) { return 1 << 62, nil }
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	b := &Backups{opt: o}
	left, err := filepath.Glob(filepath.Join(o.Folder, tempNames))
	if err != nil {
		return nil, err
	}
	for _, folder := range left {
		if err := os.RemoveAll(folder); err != nil {
			return nil, fmt.Errorf("remove what an interrupted backup left: %w", err)
		}
	}
	if b.kv, err = o.Streams.KeyValue(ctx, bucket); err != nil {
		return nil, err
	}
	if _, _, err := b.Last(ctx); err != nil {
		return nil, err
	}
	return b, b.register(o.Metrics)
}

func (b *Backups) register(registry prometheus.Registerer) error {
	b.made = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "causeway_backups_total", Help: "Backups since the start, by outcome: done or failed."}, []string{"outcome"})
	if registry == nil {
		return nil
	}
	gauge := func(name, help string, value func(*Record) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			if last := b.last.Load(); last != nil {
				return value(last)
			}
			return 0
		})
	}
	for _, c := range []prometheus.Collector{b.made,
		gauge("causeway_backup_last_timestamp_seconds", "When the last backup was finished; 0: there was none.", func(r *Record) float64 { return float64(r.FinishedAt.Unix()) }),
		gauge("causeway_backup_last_bytes", "Size of the last backup.", func(r *Record) float64 { return float64(r.Bytes) }),
	} {
		if err := registry.Register(c); err != nil {
			return fmt.Errorf("register the metrics of backups: %w", err)
		}
	}
	return nil
}

// Last is the last backup that was finished; false: there was none.
func (b *Backups) Last(ctx context.Context) (Record, bool, error) {
	entry, err := b.kv.Get(ctx, lastKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Record{}, false, nil
	}
	var r Record
	if err == nil {
		err = json.Unmarshal(entry.Value(), &r)
	}
	if err != nil {
		return Record{}, false, fmt.Errorf("read when the last backup was: %w", err)
	}
	b.last.Store(&r)
	return r, true, nil
}

// Write makes a backup into w; by is who asked for it. With processed it holds
// also the requests that are stored already and only kept to be looked at.
//
// Nothing is written to w before the store is copied. ErrRunning, ErrExternal
// and *RoomError come before that.
func (b *Backups) Write(ctx context.Context, w io.Writer, by string, processed bool) (Record, error) {
	if !b.running.TryLock() {
		return Record{}, ErrRunning
	}
	defer b.running.Unlock()
	record, err := b.write(ctx, w, by, processed)
	if err != nil {
		b.made.WithLabelValues("failed").Inc()
		return Record{}, fmt.Errorf("back up: %w", err)
	}
	b.made.WithLabelValues("done").Inc()
	text, err := json.Marshal(record)
	if err == nil {
		_, err = b.kv.Put(context.WithoutCancel(ctx), lastKey, text)
	}
	if err != nil { // the backup is made all the same
		b.opt.Log.Error("when the last backup was could not be kept", "err", err)
	}
	b.last.Store(&record)
	return record, nil
}

func (b *Backups) write(ctx context.Context, w io.Writer, by string, processed bool) (Record, error) {
	if b.opt.Streams.External() {
		return Record{}, ErrExternal
	}
	record := Record{StartedAt: b.opt.Now().UTC(), By: by}
	if err := b.room(); err != nil {
		return record, err
	}
	folder, err := os.MkdirTemp(b.opt.Folder, tempNames)
	if err != nil {
		return record, err
	}
	defer os.RemoveAll(folder)
	// The store comes first: what it lacks, the streams still have.
	positions, err := b.opt.Store.Copy(ctx, folder)
	if err != nil {
		return record, err
	}
	out := newWriter(w)
	if err := out.manifest(Manifest{Format: format, Version: b.opt.Version, StartedAt: record.StartedAt}); err != nil {
		return record, err
	}
	if err := out.files(folder); err != nil {
		return record, err
	}
	if err := os.RemoveAll(folder); err != nil { // give the room back before the streams
		return record, err
	}
	after := map[stream.Name]uint64{}
	for consumer, position := range positions {
		after[stream.Name(consumer)] = position
	}
	if err := b.opt.Streams.Backup(ctx, after, processed, out); err != nil {
		return record, err
	}
	record.Bytes, err = out.end()
	record.FinishedAt = b.opt.Now().UTC()
	return record, err
}

// room refuses when the copy of the store would fill the disk.
func (b *Backups) room() error {
	need, err := b.opt.Store.Size()
	if err != nil {
		return err
	}
	free, err := b.opt.Spare()
	if err != nil {
		return err
	}
	if need > free {
		return &RoomError{need, free}
	}
	return nil
}

// Package duckdb is the store on one machine: one DuckDB file beside its
// write-ahead log, in this process.
//
// Contract, beyond that of store.Store:
//   - A commit is in the write-ahead log and fsynced before Write returns nil.
//     What was not acknowledged is not there after a crash, or is there whole.
//   - One writer at a time. Queries see the last commit, never wait for the
//     writer and never make it wait.
//   - A full or read-only disk is an error to the caller and changes nothing.
//     When DuckDB gives itself up after such an error, the file is opened
//     again by the next write or check: no restart is needed.
//   - The file belongs to one process: a second Open of it fails.
package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	engine "github.com/duckdb/duckdb-go/v2"
	"github.com/duckdb/duckdb-go/v2/mapping"
	"github.com/prometheus/client_golang/prometheus"

	"causeway/internal/store"
)

// Options of Open. Only Path is needed.
type Options struct {
	// Path of the database file. Its folder is made when missing. Besides it
	// DuckDB keeps <Path>.wal and, while a query spills, <Path>.tmp.
	Path string
	// MemoryLimit in bytes that DuckDB keeps to, loosely (facts: a limit of
	// 512 MB was seen to peak at 0.75 GB). Default 512 MiB.
	MemoryLimit int64
	// Threads that DuckDB may use. Default: the processors. With 1, writing was
	// seen to cost a fifth less of processor time and long queries took longer.
	Threads int
	Log     *slog.Logger          // default slog.Default()
	Metrics prometheus.Registerer // default: none
	Now     func() time.Time      // when an id was seen; default time.Now

	// Tests make them small.
	checkpointAt int   // bytes of write-ahead log
	fewNames     int64 // that Retain leaves alone
	knownNames   int   // remembered
}

const (
	defaultMemoryLimit = 512 << 20
	// readers bounds the connections that queries use at once; more wait.
	readers = 8
	// defaultCheckpointAt is the size of the write-ahead log at which a commit
	// moves it into the file. That commit waits for it, and after a crash the
	// log is replayed before Open returns: either is well under a second at
	// 64 MiB. DuckDB's own 16 MiB wrote a fifth fewer calls a second, a larger
	// one hardly more.
	defaultCheckpointAt = 64 << 20
)

var errClosed = errors.New("the store is closed")

// Store implements store.Store.
type Store struct {
	options Options
	log     *slog.Logger
	metrics *metrics

	writing   chan struct{} // holds one token; who has it is the writer
	analyzing chan struct{} // the like for analyses
	// seq is the last row number given out; guarded by writing. Row numbers
	// order rows of equal time, so that a page has a place to go on from.
	seq int64
	// broken: the engine cannot be trusted until the file is opened anew.
	broken    atomic.Bool
	known     idFilter // of the ids in recent; guarded by writing
	names     names
	wroteAt   atomic.Int64 // unix nanoseconds of the last commit
	retaining sync.Mutex
	tidying   sync.RWMutex // held for reading while something is written beside the writer
	// compacted is how many attributes were left by the last compaction;
	// guarded by retaining.
	compacted int64
	// kept is how many names were left by the last look for unused ones;
	// guarded by retaining.
	kept int64

	closing    context.Context // ends running queries on Close
	end        context.CancelFunc
	unregister sync.Once

	open   sync.RWMutex // held for reading while db is used
	db     *sql.DB      // nil when closed
	writer *sql.Conn
	raw    mapping.Connection // of writer: to append rows
}

var _ store.Store = (*Store)(nil)

// Open opens the database file, makes it when missing and brings an older one
// to this version's schema.
func Open(ctx context.Context, options Options) (*Store, error) {
	if options.Path == "" {
		return nil, errors.New("duckdb: Options.Path is empty")
	}
	path, err := filepath.Abs(options.Path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	options.Path = path
	if options.MemoryLimit == 0 {
		options.MemoryLimit = defaultMemoryLimit
	}
	if options.checkpointAt == 0 {
		options.checkpointAt = defaultCheckpointAt
	}
	if options.fewNames == 0 {
		options.fewNames = fewNames
	}
	if options.knownNames == 0 {
		options.knownNames = maxKnownNames
	}
	if options.Log == nil {
		options.Log = slog.Default()
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{options: options, log: options.Log, writing: make(chan struct{}, 1), analyzing: make(chan struct{}, 1)}
	s.names.room = options.knownNames
	s.closing, s.end = context.WithCancel(context.Background())
	if err := s.connect(ctx); err != nil {
		s.end()
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	if s.metrics, err = newMetrics(options.Metrics, s); err != nil {
		s.end()
		return nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), s.disconnect())
	}
	return s, nil
}

// dsn carries DuckDB's settings; extensions are never fetched from anywhere.
func (s *Store) dsn() string {
	settings := url.Values{
		"memory_limit":                 {strconv.FormatInt(s.options.MemoryLimit, 10) + "B"},
		"checkpoint_threshold":         {strconv.Itoa(s.options.checkpointAt) + "B"},
		"autoinstall_known_extensions": {"false"},
		"autoload_known_extensions":    {"false"},
		"enable_external_access":       {"false"},
		"preserve_insertion_order":     {"false"},
	}
	if s.options.Threads > 0 {
		settings.Set("threads", strconv.Itoa(s.options.Threads))
	}
	return s.options.Path + "?" + settings.Encode()
}

// connect opens the file. The caller holds open for writing, or is Open.
func (s *Store) connect(ctx context.Context) (err error) {
	connector, err := engine.NewConnector(s.dsn(), nil)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1 + readers)
	db.SetMaxIdleConns(1 + readers)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.disconnect())
		}
	}()
	s.db = db
	if s.writer, err = db.Conn(ctx); err != nil {
		return err
	}
	// The connection is this store's alone from here on, so its driver side
	// may be used outside of Raw by who holds the writing token.
	err = s.writer.Raw(func(conn any) (err error) {
		s.raw, err = connectionOf(conn.(driver.Conn))
		return err
	})
	if err != nil {
		return err
	}
	if err := migrate(ctx, s.writer); err != nil {
		return err
	}
	if _, err := s.writer.ExecContext(ctx, createStages); err != nil {
		return err
	}
	if s.seq, err = lastSeq(ctx, s.writer); err != nil {
		return err
	}
	if err := s.names.load(ctx, s.writer); err != nil {
		return err
	}
	return s.known.load(ctx, s.writer, s.raw)
}

func (s *Store) disconnect() error {
	if s.db == nil {
		return nil
	}
	var errs []error
	if s.writer != nil {
		errs = append(errs, s.writer.Close())
	}
	errs = append(errs, s.db.Close())
	s.db, s.writer, s.raw = nil, nil, mapping.Connection{}
	return errors.Join(errs...)
}

// Close ends running queries, waits for a running write and closes the file.
// It is safe to call twice.
func (s *Store) Close() error {
	s.end()
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	s.open.Lock()
	defer s.open.Unlock()
	s.unregister.Do(s.metrics.unregister)
	if err := s.disconnect(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// update runs f in a transaction of the writer: all of it or nothing, also
// when f panics.
func (s *Store) update(ctx context.Context, f func(*transaction) error) error {
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := writable(s.options.Path + ".touch"); err != nil {
		return fmt.Errorf("the disk of the store does not take writes: %w", err)
	}
	if err := s.revive(ctx); err != nil {
		return err
	}
	s.open.RLock()
	defer s.open.RUnlock()
	if s.db == nil {
		return errClosed
	}
	// Neither the end of a transaction nor its beginning may be interrupted
	// half way: what the connection is in afterwards would be unknown.
	calm := context.WithoutCancel(ctx)
	if _, err := s.writer.ExecContext(calm, "BEGIN TRANSACTION"); err != nil {
		s.distrust(err)
		return fmt.Errorf("begin: %w", err)
	}
	tx := &transaction{conn: s.writer, raw: s.raw, seq: s.seq}
	done := false
	defer func() {
		if done {
			return
		}
		tx.discard()
		if _, err := s.writer.ExecContext(calm, "ROLLBACK"); err != nil {
			s.broken.Store(true)
		}
	}()
	err := f(tx)
	if err == nil {
		err = tx.flush()
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = writable(s.options.Path + ".touch") // f took its time
	}
	if err != nil {
		s.distrust(err)
		return err
	}
	s.names.committing(&tx.names)
	if err := run(s.raw, "COMMIT"); err != nil {
		// Whether it is on disk is only known once the file is read again.
		s.broken.Store(true)
		return fmt.Errorf("commit: %w", err)
	}
	done = true
	s.seq = tx.seq
	s.names.committed(&tx.names)
	if s.known.outgrown() {
		if err := s.known.load(calm, s.writer, s.raw); err != nil {
			s.distrust(err) // all ids are looked up until it can be filled
		}
	}
	if tx.namesDropped {
		if err := s.names.load(calm, s.writer); err != nil {
			s.distrust(err) // they are looked up one by one until it can be read
		}
	}
	s.wroteAt.Store(time.Now().UnixNano())
	return nil
}

// distrust notes that an error may have left the engine unusable.
func (s *Store) distrust(err error) {
	var failure *engine.Error
	if errors.As(err, &failure) && (failure.Type == engine.ErrorTypeFatal || failure.Type == engine.ErrorTypeInternal || failure.Type == engine.ErrorTypeIO) {
		s.broken.Store(true)
	}
}

// revive opens the file anew when the engine is broken. The caller holds the
// writing token.
func (s *Store) revive(ctx context.Context) error {
	if !s.broken.Load() {
		return nil
	}
	s.open.Lock()
	defer s.open.Unlock()
	if s.closing.Err() != nil {
		return errClosed
	}
	if err := s.disconnect(); err != nil {
		s.log.WarnContext(ctx, "store: closing the failed database", "err", err)
	}
	if err := s.connect(ctx); err != nil {
		return fmt.Errorf("open the store again: %w", err)
	}
	s.broken.Store(false)
	s.log.WarnContext(ctx, "store: the database failed and was opened again", "path", s.options.Path)
	return nil
}

// lastQueries is how long Close lets running queries go on before it
// interrupts them.
const lastQueries = time.Second

// query runs a query and calls each for every row of it, until ctx ends. An
// argument of type name stands for its number.
//
// A query whose caller has gone is left to end by itself. To interrupt one can
// leave the engine with a task that nobody takes, which holds the database for
// ever: the next to open the file in this process, who may be revive, would
// wait for it without end. (duckdb/duckdb issue 25965 has the waiting.)
func (s *Store) query(ctx context.Context, text string, args []any, each func(*sql.Rows) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	args, err := s.withNumbers(ctx, args)
	if err != nil {
		return err
	}
	var mu sync.Mutex // guards gone, and what each writes to
	gone := false
	done := make(chan error, 1)
	go func() {
		done <- s.run(context.WithoutCancel(ctx), text, args, func(rows *sql.Rows) error {
			mu.Lock()
			defer mu.Unlock()
			if gone {
				return ctx.Err()
			}
			return each(rows)
		})
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		mu.Lock()
		defer mu.Unlock()
		gone = true
		return ctx.Err()
	}
}

// run runs a query to its end, or for lastQueries after Close has begun.
func (s *Store) run(ctx context.Context, text string, args []any, each func(*sql.Rows) error) (err error) {
	ctx, release, err := s.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	defer func() { s.distrust(err) }()
	rows, err := s.db.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Position returns the last stream sequence of a consumer that is stored.
func (s *Store) Position(ctx context.Context, consumer string) (uint64, error) {
	// After a failure, what is stored is only known once the file was read
	// again: a pipeline that starts over asks here first.
	if s.broken.Load() {
		if err := s.update(ctx, func(*transaction) error { return nil }); err != nil {
			return 0, fmt.Errorf("position of %s: %w", consumer, err)
		}
	}
	var sequence int64
	err := s.query(ctx, "SELECT sequence FROM positions WHERE consumer = ?", []any{consumer}, func(rows *sql.Rows) error {
		return rows.Scan(&sequence)
	})
	if err != nil {
		return 0, fmt.Errorf("position of %s: %w", consumer, err)
	}
	return uint64(sequence), nil
}

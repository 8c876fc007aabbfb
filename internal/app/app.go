// Package app builds the rooms in order, and starts, reloads and stops them.
// It is the only package that sees them all.
//
// Contract:
//   - Start returns when the doors are open, or undoes what it began.
//   - Stop closes the doors first, lets requests in flight finish, lets the
//     batch and the delivery under way finish, then closes the files.
//   - Reload either takes the whole new configuration file or keeps the old
//     configuration and says why.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"causeway/internal/api"
	"causeway/internal/auth"
	"causeway/internal/backup"
	"causeway/internal/catalog"
	"causeway/internal/deliver"
	"causeway/internal/experiment"
	"causeway/internal/ingest"
	"causeway/internal/peer"
	"causeway/internal/pipeline"
	"causeway/internal/store"
	"causeway/internal/store/duckdb"
	"causeway/internal/stream"
	"causeway/internal/tail"
	"causeway/internal/web"
)

// Options of an App; they mirror the flags of "causeway serve".
type Options struct {
	Data        string // folder of everything durable; made when missing
	ConfigFile  string // applied at start and by Reload; empty: none
	Listen      string // data routes, and the admin side unless AdminListen is set
	AdminListen string // admin API, /metrics and health on an address of their own
	// Environ reads the variables that the configuration file names.
	Environ func(string) (string, bool)

	AdminToken string // empty: kept, or made and shown on the first start
	MasterKey  string // 32 bytes in hex or base64; empty: the file in Data

	NATSURL         string // external JetStream; empty: embedded
	NATSCredentials string
	Replicas        int

	Retention             store.Retention // zero fields: the defaults of DefaultRetention
	KeepProcessed         time.Duration   // of streams; zero: 72 h
	Budget                stream.Budget   // of streams; zero fields: its defaults
	StoreMemory           int64           // bytes, DuckDB's memory limit; zero: the default of duckdb.Options
	MinFreeDisk           int64           // bytes; below it /readyz says no, below half of it nothing is accepted. Zero: 512 MiB
	RetryFor              time.Duration   // zero: 72 h (R46)
	AllowPrivateEndpoints bool
	DrainTimeout          time.Duration // for requests in flight at Stop. Zero: 20 s

	// TLSCert and TLSKey are PEM files. With them both addresses speak TLS only.
	TLSCert, TLSKey string
	TLSCheck        time.Duration // how often the files are looked at. Zero: 10 s
	BehindTLS       bool          // browsers come over TLS that a proxy ends
	// ConsoleURL is where browsers reach the console. OIDC, which needs it, is
	// the provider they may sign in with, but for its RedirectURL; nil: none.
	ConsoleURL string
	OIDC       *auth.OIDCOptions
	// MaxConnections bounds the open connections of each address that is
	// listened on, MaxConnectionsPerAddress those of one client's address. Zero:
	// 8192 and 2048.
	MaxConnections, MaxConnectionsPerAddress int
	HeaderWait                               time.Duration  // for TLS, and for the headers of a request. Zero: 10 s
	Limits                                   catalog.Limits // of destinations without their own (ingest.Options.Limits)

	// Settings are the flags that these options were made of.
	Settings []web.Setting
	Notice   string // shown above every page of the console; empty: none
	Version  string
	Log      *slog.Logger
}

// DefaultRetention is how long things are kept unless Options say otherwise.
var DefaultRetention = store.Retention{
	Events:      90 * 24 * time.Hour,
	Impressions: 90 * 24 * time.Hour,
	EventTypes:  150 * 24 * time.Hour,
	Calls:       30 * 24 * time.Hour,
	Deliveries:  30 * 24 * time.Hour,
	Telemetry:   30 * 24 * time.Hour,
	Readings:    400 * 24 * time.Hour,
	Dedup:       8 * 24 * time.Hour,
}

// App is a running Causeway.
type App struct {
	opt     Options
	log     *slog.Logger
	metrics *prometheus.Registry
	started time.Time

	streams     *stream.Streams
	store       *duckdb.Store
	catalog     *catalog.Catalog
	tail        tail.Hub
	feed        *tail.Feed // of the tail, for live streams of the API and the console
	pipeline    *pipeline.Pipeline
	deliver     *deliver.Deliver
	accounts    *auth.Accounts
	experiments *experiment.Service
	backups     *backup.Backups
	ingest      *ingest.Server
	strangers   *peer.Limiter
	api         *api.Server
	web         *web.Server
	ready       []*probe
	doors       []*door

	certificate *certificate // nil: no TLS

	draining atomic.Bool
	mu       sync.Mutex // guards stops
	stops    []stop

	// AdminToken is the token made on this start, to be shown once; empty when
	// there was one already.
	AdminToken string
	// Generated are the secrets that the configuration file left out and that
	// were made on this start, to be shown once.
	Generated []catalog.GeneratedSecret
}

// stop undoes one step of Start.
type stop struct {
	name string
	undo func() error
}

func (a *App) onStop(name string, undo func() error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stops = append(a.stops, stop{name, undo})
}

// Start builds and starts everything. On an error it stops what it started.
func Start(ctx context.Context, opt Options) (*App, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Environ == nil {
		opt.Environ = func(string) (string, bool) { return "", false }
	}
	opt.Retention = withDefaults(opt.Retention)
	if opt.MinFreeDisk == 0 {
		opt.MinFreeDisk = 512 << 20
	}
	if opt.DrainTimeout == 0 {
		opt.DrainTimeout = 20 * time.Second
	}
	opt.TLSCheck = cmp.Or(opt.TLSCheck, 10*time.Second)
	opt.HeaderWait = cmp.Or(opt.HeaderWait, 10*time.Second)
	opt.MaxConnections = cmp.Or(opt.MaxConnections, 8192)
	opt.MaxConnectionsPerAddress = cmp.Or(opt.MaxConnectionsPerAddress, 2048)
	a := &App{opt: opt, log: opt.Log, metrics: prometheus.NewRegistry(), started: time.Now()}
	a.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, step := range []func(context.Context) error{
		a.openStreams, a.openStore, a.fitStreams, a.openCatalog, a.openAccounts, a.openBackups, a.startPipeline, a.startDeliver, a.startExperiments, a.startRetention, a.openCertificate, a.openConsole, a.startProbes, a.openDoors,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, a.Stop())
		}
	}
	return a, nil
}

func withDefaults(r store.Retention) store.Retention {
	for _, f := range []struct{ field, fallback *time.Duration }{
		{&r.Events, &DefaultRetention.Events}, {&r.Impressions, &DefaultRetention.Impressions},
		{&r.EventTypes, &DefaultRetention.EventTypes}, {&r.Calls, &DefaultRetention.Calls},
		{&r.Deliveries, &DefaultRetention.Deliveries}, {&r.Telemetry, &DefaultRetention.Telemetry},
		{&r.Dedup, &DefaultRetention.Dedup},
	} {
		if *f.field == 0 {
			*f.field = *f.fallback
		}
	}
	return r
}

func (a *App) openStore(ctx context.Context) error {
	if err := os.MkdirAll(a.opt.Data, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	var err error
	a.store, err = duckdb.Open(ctx, duckdb.Options{
		Path: filepath.Join(a.opt.Data, "store.duckdb"), MemoryLimit: a.opt.StoreMemory, Log: a.log, Metrics: a.metrics,
	})
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	a.onStop("store", a.store.Close)
	return nil
}

// fitStreams looks whether the streams are those that the store was filled
// from. When they are new, because their folder was lost, they go on behind the
// store's positions; else what they take first would count as stored already.
func (a *App) fitStreams(ctx context.Context) error {
	for _, name := range []stream.Name{stream.Calls, stream.Impressions} {
		position, err := a.store.Position(ctx, string(name))
		if err != nil {
			return err
		}
		_, last, _, err := a.streams.Bounds(ctx, name)
		if err != nil {
			return err
		}
		if position <= last {
			continue
		}
		if err := a.streams.Continue(ctx, name, position); err != nil {
			return fmt.Errorf(`the store and the streams are not of the same time: see "Streams and store that do not fit" in docs/operating.md: %w`, err)
		}
		a.log.Warn("a stream was lost: it is empty, but the store was filled from it. What it held and the store does not is gone; the stream goes on behind the store's position",
			"stream", name, "position", position)
	}
	return nil
}

func (a *App) openStreams(ctx context.Context) error {
	var err error
	a.streams, err = stream.Open(ctx, stream.Options{
		Dir: filepath.Join(a.opt.Data, "streams"), URL: a.opt.NATSURL, CredentialsFile: a.opt.NATSCredentials, Replicas: a.opt.Replicas,
		Budget: a.opt.Budget, KeepProcessed: a.opt.KeepProcessed, ReserveDisk: a.opt.MinFreeDisk / 2, Log: a.log, Metrics: a.metrics,
	})
	if err != nil {
		return fmt.Errorf("open the streams: %w", err)
	}
	a.onStop("streams", a.streams.Close)
	return nil
}

func (a *App) openCatalog(ctx context.Context) error {
	masterKey, made, err := catalog.LoadMasterKey(a.opt.Data, a.opt.MasterKey)
	if err != nil {
		return err
	}
	if made {
		a.log.Info("made a master key; keep a copy of it with your backups", "file", filepath.Join(a.opt.Data, "master.key"))
	}
	kv, err := a.streams.KeyValue(ctx, "catalog")
	if err != nil {
		return fmt.Errorf("open the catalog: %w", err)
	}
	a.catalog, err = catalog.Open(ctx, catalog.Options{
		KV: kv, Audit: a.streams.AppendAudit, MasterKey: masterKey, Version: a.opt.Version, Log: a.log,
	})
	if err != nil {
		return fmt.Errorf("open the catalog: %w", err)
	}
	a.onStop("catalog", a.catalog.Close)
	if err := a.ensureAdminToken(ctx); err != nil {
		return err
	}
	if a.opt.ConfigFile == "" {
		return nil
	}
	change, err := a.Reload(ctx)
	a.Generated = change.Generated
	return err
}

// openBackups makes ready to back up. The copy of the store must leave what has
// to stay free.
func (a *App) openBackups(ctx context.Context) error {
	var err error
	a.backups, err = backup.New(ctx, backup.Options{
		Streams: a.streams, Store: a.store, Folder: a.opt.Data, Version: a.opt.Version, Log: a.log, Metrics: a.metrics,
		Spare: func() (int64, error) {
			free, err := freeBytes(a.opt.Data)
			return free - a.opt.MinFreeDisk, err
		},
	})
	if err != nil {
		return fmt.Errorf("open the backups: %w", err)
	}
	return nil
}

// ensureAdminToken sets the given token, or makes one when there is none yet.
func (a *App) ensureAdminToken(ctx context.Context) (err error) {
	if a.opt.AdminToken != "" {
		err = a.catalog.SetAdminToken(ctx, a.opt.AdminToken)
	} else {
		a.AdminToken, err = a.catalog.CreateAdminToken(ctx)
	}
	return err
}

// FindingsError says what is wrong with a configuration file.
type FindingsError struct {
	Findings []catalog.Finding
}

// Error puts each finding on a line of its own.
func (e *FindingsError) Error() string {
	text := "the configuration was not applied:"
	for _, finding := range e.Findings {
		text += "\n  " + finding.String()
	}
	return text
}

// Reload applies the configuration file. When it has findings the old
// configuration stays and the error is a *FindingsError.
func (a *App) Reload(ctx context.Context) (catalog.Change, error) {
	data, err := os.ReadFile(a.opt.ConfigFile)
	if err != nil {
		return catalog.Change{}, fmt.Errorf("read the configuration: %w", err)
	}
	doc, findings := catalog.Decode(a.opt.ConfigFile, data, a.opt.Environ)
	if len(findings) > 0 {
		return catalog.Change{}, &FindingsError{findings}
	}
	change, err := a.catalog.ApplyFile(ctx, a.opt.ConfigFile, doc)
	if err != nil {
		return change, fmt.Errorf("apply %s: %w", a.opt.ConfigFile, err)
	}
	a.log.Info("configuration applied", "file", a.opt.ConfigFile, "revision", change.Revision, "differences", len(change.Differences))
	return change, nil
}

// Configure applies a configuration that belongs to no file: the console and
// the admin API may change it from then on.
func (a *App) Configure(ctx context.Context, text []byte, actor string) error {
	doc, findings := catalog.Decode("", text, a.opt.Environ)
	if len(findings) > 0 {
		return &FindingsError{findings}
	}
	_, err := a.catalog.Apply(ctx, doc, actor, 0)
	return err
}

func (a *App) startPipeline(context.Context) error {
	var err error
	a.pipeline, err = pipeline.New(pipeline.Options{
		Snapshot: a.catalog.Snapshot, Streams: a.streams, Store: a.store, Tail: &a.tail, Metrics: a.metrics, Log: a.log,
	})
	if err != nil {
		return err
	}
	a.background("pipeline", a.pipeline.Run)
	return nil
}

func (a *App) startDeliver(context.Context) error {
	var err error
	a.deliver, err = deliver.New(deliver.Options{
		Catalog: a.catalog, Streams: a.streams, Store: a.store, Tail: &a.tail, Metrics: a.metrics, Log: a.log,
		RetryFor: a.opt.RetryFor, AllowPrivateEndpoints: a.opt.AllowPrivateEndpoints, Version: a.opt.Version,
	})
	if err != nil {
		return err
	}
	a.background("deliver", a.deliver.Run)
	return nil
}

// background runs a room's loop until Stop.
func (a *App) background(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	a.onStop(name, func() error {
		cancel()
		return <-done
	})
}

// Stop tears everything down in reverse and reports every failure. It is safe
// to call twice.
func (a *App) Stop() error {
	a.draining.Store(true)
	a.mu.Lock()
	stops := a.stops
	a.stops = nil
	a.mu.Unlock()
	var errs []error
	for i := len(stops) - 1; i >= 0; i-- {
		if err := stops[i].undo(); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", stops[i].name, err))
		}
	}
	return errors.Join(errs...)
}

// Tail is where what happens can be watched.
func (a *App) Tail() *tail.Hub { return &a.tail }

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"causeway/internal/app"
	"causeway/internal/catalog"
	"causeway/internal/stream"
)

// serveCmd runs everything.
type serveCmd struct {
	Config      string `help:"Configuration file, applied at start and on SIGHUP." type:"path" env:"CAUSEWAY_CONFIG" placeholder:"FILE"`
	Data        string `help:"Folder of everything durable." type:"path" default:"./causeway-data" env:"CAUSEWAY_DATA" placeholder:"DIR"`
	Listen      string `help:"Address of the data routes, and of the admin side unless --admin-listen is set." default:"127.0.0.1:8080" env:"CAUSEWAY_LISTEN" placeholder:"ADDR"`
	AdminListen string `help:"Address of the admin API, health and metrics." env:"CAUSEWAY_ADMIN_LISTEN" placeholder:"ADDR"`

	TLSCert                  string   `name:"tls-cert" help:"Certificate chain (PEM) for both addresses; read again when it changes and on SIGHUP." type:"path" env:"CAUSEWAY_TLS_CERT" placeholder:"FILE"`
	TLSKey                   string   `name:"tls-key" help:"Private key (PEM) of the certificate." type:"path" env:"CAUSEWAY_TLS_KEY" placeholder:"FILE"`
	BehindTLS                bool     `help:"Browsers reach the console over TLS that a proxy in front ends: its cookies are for TLS only." env:"CAUSEWAY_BEHIND_TLS"`
	MaxConnections           int      `help:"Open connections on each address; more wait." default:"8192" env:"CAUSEWAY_MAX_CONNECTIONS" placeholder:"N"`
	MaxConnectionsPerAddress int      `help:"Open connections of one client address; more are closed. Behind a proxy all clients are one." default:"2048" env:"CAUSEWAY_MAX_CONNECTIONS_PER_ADDRESS" placeholder:"N"`
	LimitRequests            int      `help:"Requests a second of each destination; 0 is no limit. Beyond it the answer is 429." default:"0" env:"CAUSEWAY_LIMIT_REQUESTS" placeholder:"N"`
	LimitCalls               int      `help:"Calls a second of each destination; 0 is no limit." default:"0" env:"CAUSEWAY_LIMIT_CALLS" placeholder:"N"`
	LimitBytes               byteSize `help:"Bytes a minute of each destination, decompressed; 0 is no limit." default:"0" env:"CAUSEWAY_LIMIT_BYTES" placeholder:"SIZE"`

	AdminToken     string `help:"Token of the admin API. Made and shown on the first start when left out." env:"CAUSEWAY_ADMIN_TOKEN" placeholder:"TOKEN"`
	AdminTokenFile string `help:"File that holds the admin token." type:"path" env:"CAUSEWAY_ADMIN_TOKEN_FILE" placeholder:"FILE"`
	MasterKey      string `help:"Key that seals secrets at rest: 32 bytes in hex or base64. Made in the data folder when left out." env:"CAUSEWAY_MASTER_KEY" placeholder:"KEY"`
	MasterKeyFile  string `help:"File that holds the master key." type:"path" env:"CAUSEWAY_MASTER_KEY_FILE" placeholder:"FILE"`

	oidcFlags

	AllowPrivateEndpoints bool `help:"Let sources send to loopback and private addresses. Link-local and metadata addresses stay refused." env:"CAUSEWAY_ALLOW_PRIVATE_ENDPOINTS"`

	NATSURL         string `name:"nats-url" help:"External NATS JetStream instead of the embedded one." env:"CAUSEWAY_NATS_URL" placeholder:"URL"`
	NATSCredentials string `name:"nats-credentials" help:"Credentials file for the external NATS." type:"path" env:"CAUSEWAY_NATS_CREDENTIALS" placeholder:"FILE"`
	NATSReplicas    int    `name:"nats-replicas" help:"Replicas of each stream on the external NATS." env:"CAUSEWAY_NATS_REPLICAS" placeholder:"N"`

	KeepEvents      time.Duration `help:"How long events are kept." default:"2160h" env:"CAUSEWAY_KEEP_EVENTS"`
	KeepImpressions time.Duration `help:"How long impressions, counts and unique keys are kept." default:"2160h" env:"CAUSEWAY_KEEP_IMPRESSIONS"`
	KeepCalls       time.Duration `help:"How long call outcomes are kept." default:"720h" env:"CAUSEWAY_KEEP_CALLS"`
	KeepDeliveries  time.Duration `help:"How long delivery attempts are kept." default:"720h" env:"CAUSEWAY_KEEP_DELIVERIES"`
	KeepProcessed   time.Duration `help:"How long processed requests stay readable for trace and reprocessing." default:"72h" env:"CAUSEWAY_KEEP_PROCESSED"`
	DedupWindow     time.Duration `help:"How long a messageId is remembered; at least 168h." default:"192h" env:"CAUSEWAY_DEDUP_WINDOW"`
	RetryFor        time.Duration `help:"How long a delivery is retried; at least 4h." default:"72h" env:"CAUSEWAY_RETRY_FOR"`

	CallsBudget       byteSize `help:"Disk for accepted calls; full and unprocessed means 503. Default 8GiB." env:"CAUSEWAY_CALLS_BUDGET" placeholder:"SIZE"`
	ImpressionsBudget byteSize `help:"Disk for accepted impressions. Default 8GiB." env:"CAUSEWAY_IMPRESSIONS_BUDGET" placeholder:"SIZE"`
	OutboundBudget    byteSize `help:"Disk for what waits for Segment, of each source. Default 2GiB." env:"CAUSEWAY_OUTBOUND_BUDGET" placeholder:"SIZE"`
	DeadBudget        byteSize `help:"Disk for dead letters. Default 1GiB." env:"CAUSEWAY_DEAD_BUDGET" placeholder:"SIZE"`
	MinFreeDisk       byteSize `help:"/readyz says no when the disk has less left." default:"512MiB" env:"CAUSEWAY_MIN_FREE_DISK" placeholder:"SIZE"`
	StoreMemory       byteSize `help:"Memory limit of the store's engine." default:"512MiB" env:"CAUSEWAY_STORE_MEMORY" placeholder:"SIZE"`

	DrainTimeout time.Duration `help:"How long requests in flight may take when stopping." default:"20s" env:"CAUSEWAY_DRAIN_TIMEOUT"`
	LogFormat    string        `help:"text, json, or auto: text on a terminal." enum:"auto,text,json" default:"auto" env:"CAUSEWAY_LOG_FORMAT"`
	LogLevel     string        `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info" env:"CAUSEWAY_LOG_LEVEL"`

	Pprof string `hidden:"" help:"Loopback address of the runtime's profiles, for work on Causeway itself." env:"CAUSEWAY_PPROF" placeholder:"ADDR"`
}

// Run serves until the context ends (SIGINT or SIGTERM), then drains.
func (c *serveCmd) Run(cli *cliContext) error {
	options, err := c.options(cli)
	if err != nil {
		return err
	}
	if c.Pprof != "" {
		end, err := serveProfiles(cli.Stderr, c.Pprof)
		if err != nil {
			return err
		}
		defer func() { _ = end() }() // the process ends with it
	}
	ownerOnly()
	running, err := app.Start(cli.Ctx, options)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	announce(cli.Stderr, running, options)
	if err := announceConsole(cli.Ctx, cli.Stderr, running); err != nil {
		options.Log.Error("the console cannot be set up yet", "err", err)
	}

	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-hangup:
			reload(cli.Ctx, running, options)
		case <-cli.Ctx.Done():
			options.Log.Info("stopping: requests in flight are finished first")
			if err := running.Stop(); err != nil {
				return fmt.Errorf("stop: %w", err)
			}
			options.Log.Info("stopped")
			return nil
		}
	}
}

// announce says where the server is, and shows new secrets once.
func announce(w io.Writer, running *app.App, options app.Options) {
	fmt.Fprintf(w, "causeway %s serves %s\n", options.Version, running.URL())
	if running.AdminAddress() != running.Address() {
		fmt.Fprintf(w, "admin API, health and metrics: %s\n", running.AdminURL())
	}
	if running.AdminToken != "" {
		fmt.Fprintf(w, "admin token, shown this once: %s\n", running.AdminToken)
	}
	showGenerated(w, running.Generated)
}

// showGenerated prints secrets that were made because the configuration left
// them out.
func showGenerated(w io.Writer, generated []catalog.GeneratedSecret) {
	if len(generated) == 0 {
		return
	}
	fmt.Fprintln(w, "made for you, shown this once:")
	for _, secret := range generated {
		fmt.Fprintf(w, "  %-48s %s\n", secret.Path, secret.Value)
	}
}

// reload reads the TLS files and the configuration file again; of what cannot
// be used the old one stays.
func reload(ctx context.Context, running *app.App, options app.Options) {
	if err := running.ReloadCertificate(); err != nil {
		options.Log.Error("SIGHUP: the certificate in use stays", "err", err)
	}
	if options.ConfigFile == "" {
		options.Log.Info("SIGHUP: there is no --config file to apply")
		return
	}
	change, err := running.Reload(ctx)
	if err != nil {
		options.Log.Error("SIGHUP: the old configuration stays", "err", err)
		return
	}
	showGenerated(os.Stderr, change.Generated)
}

func (c *serveCmd) options(cli *cliContext) (app.Options, error) {
	token, err := secretFrom(c.AdminToken, c.AdminTokenFile, "admin-token")
	if err != nil {
		return app.Options{}, err
	}
	masterKey, err := secretFrom(c.MasterKey, c.MasterKeyFile, "master-key")
	if err != nil {
		return app.Options{}, err
	}
	oidc, err := c.oidcFlags.options()
	if err != nil {
		return app.Options{}, err
	}
	if c.DedupWindow < 7*24*time.Hour {
		return app.Options{}, usageError("--dedup-window must be at least 168h (R18)")
	}
	if c.RetryFor < 4*time.Hour {
		return app.Options{}, usageError("--retry-for must be at least 4h (R46)")
	}
	for name, n := range map[string]int{"max-connections": c.MaxConnections, "max-connections-per-address": c.MaxConnectionsPerAddress} {
		if n < 1 {
			return app.Options{}, usageError("--" + name + " must be at least 1")
		}
	}
	if c.LimitRequests < 0 || c.LimitCalls < 0 {
		return app.Options{}, usageError("--limit-requests and --limit-calls must not be negative")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return app.Options{}, usageError("--tls-cert and --tls-key go together")
	}
	options := app.Options{
		Data: c.Data, ConfigFile: c.Config, Listen: c.Listen, AdminListen: c.AdminListen, Environ: cli.Environ,
		AdminToken: token, MasterKey: masterKey,
		NATSURL: c.NATSURL, NATSCredentials: c.NATSCredentials, Replicas: c.NATSReplicas,
		KeepProcessed: c.KeepProcessed, MinFreeDisk: int64(c.MinFreeDisk),
		Budget: stream.Budget{
			Calls: int64(c.CallsBudget), Impressions: int64(c.ImpressionsBudget),
			Outbound: int64(c.OutboundBudget), Dead: int64(c.DeadBudget),
		},
		StoreMemory: int64(c.StoreMemory), RetryFor: c.RetryFor, AllowPrivateEndpoints: c.AllowPrivateEndpoints,
		TLSCert: c.TLSCert, TLSKey: c.TLSKey, BehindTLS: c.BehindTLS, ConsoleURL: c.ConsoleURL, OIDC: oidc,
		MaxConnections: c.MaxConnections, MaxConnectionsPerAddress: c.MaxConnectionsPerAddress,
		Limits: catalog.Limits{
			RequestLimits:  catalog.RequestLimits{RequestsPerSecond: c.LimitRequests, BytesPerMinute: int(c.LimitBytes)},
			CallsPerSecond: c.LimitCalls,
		},
		DrainTimeout: c.DrainTimeout, Settings: cli.Settings, Version: version, Log: newLog(cli.Stderr, c.LogFormat, c.LogLevel),
	}
	options.Retention.Events = c.KeepEvents
	options.Retention.Impressions = c.KeepImpressions
	options.Retention.Calls = c.KeepCalls
	options.Retention.Deliveries = c.KeepDeliveries
	options.Retention.Dedup = c.DedupWindow
	return options, nil
}

// secretFrom takes a secret from its flag or its file, not from both.
func secretFrom(value, file, flag string) (string, error) {
	if file == "" {
		return value, nil
	}
	if value != "" {
		return "", usageError(fmt.Sprintf("--%s and --%s-file are both set; give one", flag, flag))
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read --%s-file: %w", flag, err)
	}
	secret := trimLine(string(text))
	if secret == "" {
		return "", fmt.Errorf("--%s-file: %w", flag, errors.New("the file is empty"))
	}
	return secret, nil
}

func newLog(w io.Writer, format, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: l}
	if format == "text" || format == "auto" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

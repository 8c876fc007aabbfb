package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/time/rate"

	"causeway/internal/api"
	"causeway/internal/catalog"
	"causeway/internal/ingest"
	"causeway/internal/peer"
)

// Bounds of a request and its connection. A body's time is bounded by the data
// routes themselves.
const (
	idleWait       = 2 * time.Minute  // between requests
	answerWait     = 10 * time.Minute // from the headers to the end of the answer; live views extend theirs
	maxHeaderBytes = 64 << 10         // more is answered 431
)

// A door is one address that is listened on.
type door struct {
	name     string
	listener *peer.Listener
	server   *http.Server
}

// openDoors opens the listeners last, when everything behind them runs.
func (a *App) openDoors(context.Context) error {
	var err error
	a.strangers = peer.NewStrangers()
	a.ingest, err = ingest.New(ingest.Options{
		Snapshot: a.catalog.Snapshot, Append: a.streams.Append, Tail: &a.tail, Metrics: a.metrics, Log: a.log,
		Limits: a.opt.Limits, Strangers: a.strangers,
	})
	if err != nil {
		return err
	}
	a.api, err = api.New(api.Options{
		Catalog: a.catalog, Streams: a.streams, Store: a.store, Tail: &a.tail, Accounts: a.accounts, Experiments: a.experiments, Backups: a.backups, Settings: a.settings(), Metrics: a.metrics, Log: a.log,
		Version: a.opt.Version, Started: a.started, Ready: a.Ready, Feed: a.feed, Take: a.takeTest,
		Try: func(ctx context.Context, source *catalog.Source, call json.RawMessage) api.Tried {
			tried := a.tryTest(ctx, source, call)
			return api.Tried{OK: tried.OK, Status: tried.Status, Answer: tried.Answer}
		},
	})
	if err != nil {
		return err
	}
	data, err := a.dataSide(a.ingest.Routes())
	if err != nil {
		return err
	}
	admin := a.adminSide(a.api.Routes())
	if a.opt.AdminListen == "" {
		return a.open("doors", a.opt.Listen, either(admin, a.withConsole(data)))
	}
	if err := a.open("admin door", a.opt.AdminListen, either(admin, a.withConsole(notHere))); err != nil {
		return err
	}
	return a.open("data door", a.opt.Listen, either(a.health(notHere), data))
}

// settings are the server's own as the admin API shows them.
func (a *App) settings() []api.Setting {
	var list []api.Setting
	for _, s := range a.opt.Settings {
		list = append(list, api.Setting(s))
	}
	return list
}

// notHere is the answer on an address that does not serve a path.
var notHere = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprintln(w, `{"message":"this address does not serve that path"}`)
})

// either sends admin paths to one handler and all others to the other. It is
// no ServeMux, because that answers untidy paths with a redirect, which some
// clients take for a delivery (R34).
func either(admin, data http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case strings.HasPrefix(path, "/admin/"), path == "/livez", path == "/readyz", path == "/healthz", path == "/metrics", path == "/version":
			admin.ServeHTTP(w, r)
		default:
			data.ServeHTTP(w, r)
		}
	})
}

// adminSide is what operators and scripts reach: the API, health, metrics.
func (a *App) adminSide(admin http.Handler) http.Handler {
	metrics := promhttp.HandlerFor(a.metrics, promhttp.HandlerOpts{Registry: a.metrics})
	return a.health(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/metrics":
			metrics.ServeHTTP(w, r)
		default:
			admin.ServeHTTP(w, r)
		}
	}))
}

// open listens on an address and serves it until Stop.
func (a *App) open(name, address string, handler http.Handler) error {
	plain, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("open the %s: %w", name, err)
	}
	d := &door{name: name, listener: a.capped(name, plain), server: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: a.opt.HeaderWait,
		IdleTimeout:       idleWait,
		WriteTimeout:      answerWait,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          a.serverLog(),
	}}
	serve := d.server.Serve
	if a.certificate != nil {
		d.server.TLSConfig = a.certificate.config()
		serve = func(l net.Listener) error { return d.server.ServeTLS(l, "", "") }
	}
	a.doors = append(a.doors, d)
	failed := make(chan error, 1)
	go func() { failed <- serve(d.listener) }()
	a.onStop(name, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), a.opt.DrainTimeout)
		defer cancel()
		a.api.CloseTails() // streams to watchers never end by themselves
		a.web.CloseStreams()
		err := d.server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = errors.Join(fmt.Errorf("requests were still under way after %s", a.opt.DrainTimeout), d.server.Close())
		}
		if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
	return nil
}

// capped bounds the connections of a door, counts them, and warns when they
// reach a bound.
func (a *App) capped(name string, plain net.Listener) *peer.Listener {
	labels := prometheus.Labels{"door": name}
	refused := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "causeway_connections_refused_total", Help: "Connections closed because their address had too many.", ConstLabels: labels,
	})
	warn := func(text string) func() {
		once := rate.Sometimes{Interval: time.Minute}
		return func() { once.Do(func() { a.log.Warn(text, "door", name) }) }
	}
	warnAddress := warn("an address has as many connections as one may; its new ones are closed (--max-connections-per-address)")
	listener := peer.Listen(plain, peer.Caps{
		Total: a.opt.MaxConnections, PerAddress: a.opt.MaxConnectionsPerAddress,
		Refused: func(string) { refused.Inc(); warnAddress() },
		Full:    warn("there are as many connections as there may be; new ones wait (--max-connections)"),
	})
	a.metrics.MustRegister(refused, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "causeway_connections", Help: "Open connections.", ConstLabels: labels,
	}, func() float64 { return float64(listener.Open()) }))
	return listener
}

// serverLog takes what net/http says of connections. Any scanner can bring that
// about, so it is for debugging only; a panic that no handler caught is not.
func (a *App) serverLog() *log.Logger { return log.New(serverLog{a.log}, "", 0) }

type serverLog struct{ log *slog.Logger }

// Write is one line of net/http's.
func (l serverLog) Write(line []byte) (int, error) {
	level := slog.LevelDebug
	if bytes.HasPrefix(line, []byte("http: panic")) {
		level = slog.LevelError
	}
	l.log.Log(context.Background(), level, string(bytes.TrimSpace(line)))
	return len(line), nil
}

// URL is where the data routes are served, as clients write it.
func (a *App) URL() string { return a.scheme() + a.Address() }

// AdminURL is where the admin side is served.
func (a *App) AdminURL() string { return a.scheme() + a.AdminAddress() }

func (a *App) scheme() string {
	if a.certificate != nil {
		return "https://"
	}
	return "http://"
}

// Address is where the data routes are served, with the port that was taken.
func (a *App) Address() string { return a.doors[len(a.doors)-1].listener.Addr().String() }

// AdminAddress is where the admin side is served.
func (a *App) AdminAddress() string { return a.doors[0].listener.Addr().String() }

package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// embeddedMaxPayload bounds a message of the embedded server: a destination
// body of 4 MiB fits with everything around it.
const embeddedMaxPayload = 8 << 20

// embedded is the JetStream server inside this process, and the lock that
// keeps a second process out of its folder: the server itself would not notice.
type embedded struct {
	dir    string
	listen string
	lock   *os.File
	log    *slog.Logger
	errors atomic.Int64 // what the server has logged as errors since it started
	absent atomic.Int64 // streams that have a folder and that it has not opened

	mu     sync.Mutex
	server *server.Server
}

// startEmbedded starts the server on the folder.
func startEmbedded(o Options) (*embedded, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the stream folder: %w", err)
	}
	lock, err := lockFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	e := &embedded{dir: o.Dir, listen: o.Listen, lock: lock, log: o.Log}
	if err := e.start(); err != nil {
		e.stop()
		return nil, err
	}
	return e, nil
}

// start starts a server on the folder; stop or restart ends it.
func (e *embedded) start() error {
	opts := &server.Options{
		ServerName: "causeway",
		DontListen: true,
		NoSigs:     true,
		JetStream:  true,
		StoreDir:   e.dir,
		// An acknowledged frame must survive a power cut; the server's own
		// default syncs every two minutes.
		SyncAlways: true,
		MaxPayload: embeddedMaxPayload,
		// A reader asks for megabytes at once; the server must not take that
		// for a slow consumer.
		MaxPending:    256 << 20,
		WriteDeadline: 30 * time.Second,
		// Budgets and the free disk are ours to watch. The server's own limits
		// count what streams may hold, not what they do.
		JetStreamMaxStore:  1 << 60,
		JetStreamMaxMemory: 1 << 30,
	}
	if e.listen != "" {
		host, port, err := loopback(e.listen)
		if err != nil {
			return err
		}
		opts.DontListen, opts.Host, opts.Port = false, host, port
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("make the stream server: %w", err)
	}
	e.mu.Lock()
	e.server = srv
	e.mu.Unlock()
	e.errors.Store(0)
	srv.SetLoggerV2(serverLog{e.log, &e.errors}, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(30 * time.Second) {
		return errors.New("the stream server did not start within 30 s")
	}
	if !srv.JetStreamEnabled() {
		return fmt.Errorf("the stream server could not open %s; its log says why", e.dir)
	}
	return e.count(srv)
}

// count counts the streams that have a folder and that the server does not
// have. When it cannot open one, because the disk is full, it goes on without
// it and from then on answers 404; what the stream holds stays in its folder.
func (e *embedded) count(srv *server.Server) error {
	folders, err := os.ReadDir(filepath.Join(e.dir, "jetstream", "$G", "streams"))
	if errors.Is(err, os.ErrNotExist) {
		return nil // there never was one
	}
	if err != nil {
		return fmt.Errorf("list the streams on the disk: %w", err)
	}
	state, err := srv.Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		return fmt.Errorf("list the streams of the server: %w", err)
	}
	opened := make(map[string]bool)
	for _, account := range state.AccountDetails {
		for _, stream := range account.Streams {
			opened[stream.Name] = true
		}
	}
	absent := int64(0)
	for _, folder := range folders {
		if folder.IsDir() && !strings.HasPrefix(folder.Name(), ".") && !opened[folder.Name()] {
			absent++
		}
	}
	e.absent.Store(absent)
	return nil
}

// InProcessConn dials the server that runs now; the client calls it again to
// reconnect after a restart.
func (e *embedded) InProcessConn() (net.Conn, error) { return e.running().InProcessConn() }

func (e *embedded) running() *server.Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.server
}

// stop shuts the server down and lets go of the folder.
func (e *embedded) stop() {
	e.shutdown()
	e.lock.Close()
}

func (e *embedded) shutdown() {
	if srv := e.running(); srv != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

// stopped reports whether the storage engine has stopped itself.
func (e *embedded) stopped() bool { return !e.running().JetStreamEnabled() }

// restart stops the server and starts it again.
func (e *embedded) restart() error {
	e.shutdown()
	return e.start()
}

// loopback splits a listen address and refuses what other machines could
// reach: the embedded server asks nobody for credentials.
func loopback(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("listen address of the stream server: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return "", 0, fmt.Errorf("listen address of the stream server: %q is no loopback address", host)
	}
	port, err = strconv.Atoi(text)
	if err != nil {
		return "", 0, fmt.Errorf("listen address of the stream server: port %q", text)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// lockFolder takes the folder for this process until the file is closed, by
// the process or by its death.
func lockFolder(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the stream folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("stream folder %s is in use by another process: %w", dir, err)
	}
	return f, nil
}

// freeDisk returns how many bytes an ordinary process may still write where
// dir lies.
func freeDisk(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// serverLog passes the server's log on. Its notices are about its own
// internals, so they are debug lines here.
type serverLog struct {
	log    *slog.Logger
	errors *atomic.Int64
}

func (l serverLog) at(level slog.Level, format string, v []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, fmt.Sprintf(format, v...), "part", "stream server")
	}
}

func (l serverLog) Noticef(format string, v ...any) { l.at(slog.LevelDebug, format, v) }
func (l serverLog) Warnf(format string, v ...any)   { l.at(slog.LevelWarn, format, v) }
func (l serverLog) Fatalf(format string, v ...any)  { l.Errorf(format, v...) }
func (l serverLog) Errorf(format string, v ...any) {
	l.errors.Add(1)
	l.at(slog.LevelError, format, v)
}
func (l serverLog) Debugf(format string, v ...any) { l.at(slog.LevelDebug, format, v) }
func (l serverLog) Tracef(format string, v ...any) { l.at(slog.LevelDebug, format, v) }

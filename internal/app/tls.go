package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// certificate is a pair of files that is read again when they change. A pair
// that cannot be used is reported once and the one in use stays.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	current atomic.Pointer[tls.Certificate]
	mu      sync.Mutex // guards what follows
	seen    [][]byte   // the files' contents as they were tried last
	problem error      // with those
}

// openCertificate reads the pair of files that the options name. Both doors
// serve it.
func (a *App) openCertificate(context.Context) error {
	if a.opt.TLSCert == "" && a.opt.TLSKey == "" {
		return nil
	}
	if a.opt.TLSCert == "" || a.opt.TLSKey == "" {
		return errors.New("TLS needs both files, the certificate and its key")
	}
	c := &certificate{certFile: a.opt.TLSCert, keyFile: a.opt.TLSKey, log: a.log}
	if err := c.load(); err != nil {
		return err
	}
	a.certificate = c
	a.background("certificate", func(ctx context.Context) error {
		c.watch(ctx, a.opt.TLSCheck)
		return nil
	})
	return nil
}

// watch loads the files until the context ends, and reports a problem once.
func (c *certificate) watch(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for reported := ""; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		problem := ""
		if err := c.load(); err != nil {
			problem = err.Error()
		}
		if problem != "" && problem != reported {
			c.log.Error("the TLS certificate in use stays", "err", problem)
		}
		reported = problem
	}
}

// ReloadCertificate reads the TLS files again now. On an error the certificate
// in use stays. Without TLS it does nothing.
func (a *App) ReloadCertificate() error {
	if a.certificate == nil {
		return nil
	}
	return a.certificate.load()
}

// load reads the files and uses them when they changed. Contents are compared,
// not times: links that are switched keep theirs.
func (c *certificate) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var now [][]byte
	for _, name := range []string{c.certFile, c.keyFile} {
		text, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read the TLS files: %w", err)
		}
		now = append(now, text)
	}
	if c.seen != nil && bytes.Equal(c.seen[0], now[0]) && bytes.Equal(c.seen[1], now[1]) {
		return c.problem
	}
	c.seen = now
	pair, err := tls.X509KeyPair(now[0], now[1])
	if err != nil {
		c.problem = fmt.Errorf("use the certificate %s with the key %s: %w", c.certFile, c.keyFile, err)
		return c.problem
	}
	c.problem = nil
	c.current.Store(&pair)
	c.log.Info("TLS certificate in use", "file", c.certFile, "names", pair.Leaf.DNSNames, "until", pair.Leaf.NotAfter)
	return nil
}

// config serves whatever certificate is in use when a connection is made;
// connections that are open go on.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}

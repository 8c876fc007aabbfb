package app_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"causeway/internal/app"
)

// authority signs the certificates of a test.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	serial      int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t: t, certificate: certificate, key: key, serial: 1}
}

// issue writes a new pair for 127.0.0.1 and returns its serial number.
func (a *authority) issue(certFile, keyFile string) int64 {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	a.write(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	return a.serial
}

func (a *authority) write(file string, text []byte) {
	a.t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// client trusts the authority and makes a new connection for each request
// unless it keeps them.
func (a *authority) client(keep bool) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true, DisableKeepAlives: !keep}
	a.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// logged is a log that can be read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// logger writes everything, also what is for debugging.
func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// startTLS runs a Causeway whose two addresses speak TLS.
func startTLS(t *testing.T) (r *running, a *authority, log *logged) {
	t.Helper()
	a, log = newAuthority(t), new(logged)
	folder := t.TempDir()
	r = startWith(t, func(o *app.Options) {
		o.TLSCert, o.TLSKey = filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
		a.issue(o.TLSCert, o.TLSKey)
		o.AdminListen, o.TLSCheck, o.Log = "127.0.0.1:0", 5*time.Millisecond, log.logger()
	})
	return r, a, log
}

// track sends a call and says which certificate answered, in which protocol.
func track(t *testing.T, client *http.Client, base string) (serial int64, protocol string) {
	t.Helper()
	answer, err := client.Post(base+"/v1/track", "text/plain", strings.NewReader(`{"writeKey":"destination-key","event":"A","userId":"u1"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("the call is answered %d", answer.StatusCode)
	}
	return answer.TLS.PeerCertificates[0].SerialNumber.Int64(), answer.Proto
}

func TestBothAddressesSpeakTLSAndHTTP2(t *testing.T) {
	r, a, _ := startTLS(t)
	if _, protocol := track(t, a.client(false), r.URL()); protocol != "HTTP/2.0" {
		t.Errorf("the data routes speak %s", protocol)
	}
	answer, err := a.client(false).Get(r.AdminURL() + "/livez")
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("the admin side: %v, err %v", answer, err)
	}
	answer.Body.Close()
	old := a.client(false)
	old.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS11
	if _, err := old.Get(r.URL() + "/livez"); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	plain, err := http.Get("http://" + r.Address() + "/livez")
	if err == nil {
		plain.Body.Close()
		if plain.StatusCode == http.StatusOK {
			t.Error("without TLS the health route answers 200")
		}
	}
}

func TestANewCertificateIsServedWithoutDroppingConnections(t *testing.T) {
	r, a, _ := startTLS(t)
	kept := a.client(true)
	before, _ := track(t, kept, r.URL())
	after := a.issue(r.options.TLSCert, r.options.TLSKey)
	r.eventually("the new certificate", func() bool {
		serial, _ := track(t, a.client(false), r.URL())
		return serial == after
	})
	if serial, _ := track(t, kept, r.URL()); serial != before {
		t.Error("the open connection was dropped")
	}
}

func TestABrokenCertificateKeepsTheOldOneAndIsReportedOnce(t *testing.T) {
	r, a, log := startTLS(t)
	before, _ := track(t, a.client(false), r.URL())
	a.write(r.options.TLSKey, []byte("not a key"))
	r.eventually("a line in the log", func() bool { return strings.Contains(log.String(), "the TLS certificate in use stays") })
	time.Sleep(50 * time.Millisecond) // ten more looks
	if got := strings.Count(log.String(), "the TLS certificate in use stays"); got != 1 {
		t.Errorf("reported %d times", got)
	}
	if err := r.ReloadCertificate(); err == nil {
		t.Error("SIGHUP says nothing of the broken pair")
	}
	if serial, _ := track(t, a.client(false), r.URL()); serial != before {
		t.Errorf("certificate %d is served, want the old %d", serial, before)
	}
	after := a.issue(r.options.TLSCert, r.options.TLSKey)
	if err := r.ReloadCertificate(); err != nil {
		t.Errorf("the mended pair: %v", err)
	}
	if serial, _ := track(t, a.client(false), r.URL()); serial != after {
		t.Errorf("certificate %d is served, want %d", serial, after)
	}
}

func TestAServerWithoutAUsableCertificateDoesNotStart(t *testing.T) {
	folder := t.TempDir()
	cert, key := filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	newAuthority(t).issue(cert, key)
	for name, pair := range map[string][2]string{"a missing key": {cert, ""}, "no such key": {cert, filepath.Join(folder, "none")}} {
		a, err := app.Start(t.Context(), app.Options{Data: t.TempDir(), Listen: "127.0.0.1:0", MinFreeDisk: 1, TLSCert: pair[0], TLSKey: pair[1]})
		if err == nil {
			t.Errorf("%s: it started", name)
			_ = a.Stop()
		} else if !strings.Contains(err.Error(), "TLS") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

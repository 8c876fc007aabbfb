package app_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"causeway/internal/app"
	"causeway/internal/segment/segmenttest"
)

// secretConfiguration has one secret of each kind, and a source whose write key
// Segment refuses.
const secretConfiguration = `projects:
  - name: shop
    trafficTypes: [user, anonymous]
    environments:
      - {name: production, sdkKeys: [{name: backend, type: server_side, key: SECRET-sdk}, {name: web, type: client_side, key: SECRET-web}]}
    flags:
      - {name: checkout_button, trafficType: user}
    segment:
      sources:
        - {name: good, environments: [production], identities: {user: userId}, writeKey: SECRET-write, endpoint: %[1]q}
        - {name: refused, environments: [production], identities: {user: userId}, writeKey: SECRET-refused, endpoint: %[1]q}
      destinations:
        - name: prod-events
          environment: production
          identities: {userId: [user], anonymousId: [anonymous]}
          apiKey: SECRET-destination
          webhook: {secret: SECRET-hook, signingSecret: SECRET-signing}
      listeners:
        - {name: fme, environment: production, kind: fme_webhook, secret: SECRET-listener}
`

// mark begins every secret of the run, so that a piece of one is found, too.
const (
	mark            = "SECRET-"
	secretToken     = mark + "admin-token"
	secretMasterKey = "5ec2e7000000000000000000000000000000000000000000000000000005ec2e"
)

// everything is what left the server: its log and all its answers.
type everything struct {
	*running
	log, seen logged
	watch     context.CancelFunc
}

func startWithSecrets(t *testing.T) *everything {
	t.Helper()
	e := new(everything)
	e.running = startWith(t, func(o *app.Options) {
		text, err := os.ReadFile(o.ConfigFile)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), `endpoint: "`)
		endpoint, _, _ := strings.Cut(rest, `"`)
		if err := os.WriteFile(o.ConfigFile, fmt.Appendf(nil, secretConfiguration, endpoint), 0o600); err != nil {
			t.Fatal(err)
		}
		o.AdminToken, o.MasterKey, o.Log = secretToken, secretMasterKey, e.log.logger()
	})
	// An endpoint that tells in its answer what it was asked with.
	e.fake.Respond(func(r segmenttest.Request) (segmenttest.Answer, bool) {
		if r.WriteKey != mark+"refused" {
			return segmenttest.Answer{}, false
		}
		basic := base64.StdEncoding.EncodeToString([]byte(r.WriteKey + ":"))
		return segmenttest.Answer{Status: http.StatusUnauthorized, Body: `{"message":"Basic ` + basic + " " + r.WriteKey + ` is unknown"}`}, true
	})
	return e
}

func (e *everything) configure(file, text string) {
	e.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
}

// ask sends a request and keeps all of the answer.
func (e *everything) ask(method, path, authorization, body string) (status int) {
	e.t.Helper()
	request, err := http.NewRequestWithContext(e.t.Context(), method, e.base+path, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	request.Header.Set("Authorization", authorization)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		e.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	fmt.Fprintln(&e.seen, method, strings.SplitN(path, mark, 2)[0], answer.Status, answer.Header, string(text))
	return answer.StatusCode
}

// follow keeps what the live view shows until the test ends.
func (e *everything) follow() {
	ctx, cancel := context.WithCancel(e.t.Context())
	e.watch = cancel
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.base+"/admin/v1/tail?detail=true", nil)
	if err != nil {
		e.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+secretToken)
	answer, err := http.DefaultClient.Do(request)
	if err != nil || answer.StatusCode != http.StatusOK {
		e.t.Fatalf("the live view: %v, err %v", answer, err)
	}
	go func() {
		defer answer.Body.Close()
		_, _ = io.Copy(&e.seen, answer.Body) // ends with the test
	}()
}

// TestNoSecretLeavesTheServer drives every door and every admin route with
// right, wrong and broken requests, fails deliveries and reloads, and looks for
// the secrets in all logs and answers and in the data folder.
func TestNoSecretLeavesTheServer(t *testing.T) {
	e := startWithSecrets(t)
	e.follow()
	const call = `{"messageId":"m1","type":"track","event":"A","userId":"u1","writeKey":"SECRET-destination"}`
	const impressions = `[{"f":"checkout_button","i":[{"k":"u1","t":"on","m":1767225600000,"c":7,"r":"default rule"}]}]`
	wrong := 0
	for _, body := range []string{call, `{"batch":[` + call + `],"writeKey":"SECRET-destination"}`, impressions, `{"entries":` + impressions + `,"token":"SECRET-web"}`, `{"writeKey":"SECRET-destination`, `[{"SECRET-sdk":`} {
		for _, authorization := range []string{
			"", "Basic " + base64.StdEncoding.EncodeToString([]byte("SECRET-destination:")), "Bearer SECRET-destination", "SECRET-hook", "Bearer SECRET-sdk", "SECRET-listener", "SECRET-unknown",
		} {
			for _, path := range []string{
				"/v1/track", "/v1/batch", "/v1/m", "/v1/track?writeKey=SECRET-destination", "/segment/destination", "/segment/webhook/prod-events", "/segment/webhook/SECRET-hook",
				"/hooks/fme", "/hooks/SECRET-hook", "/api/testImpressions/bulk", "/api/testImpressions/beacon", "/api/events/bulk", "/v1/projects/SECRET-unknown/settings", "/SECRET-unknown",
			} {
				if e.ask(http.MethodPost, path, authorization, body) >= 400 {
					wrong++
				}
			}
		}
	}
	if wrong < 100 {
		t.Errorf("only %d requests were refused", wrong)
	}
	e.eventually("a call at Segment", func() bool { return len(e.fake.Calls()) > 0 })
	e.eventually("a paused source", func() bool {
		e.ask(http.MethodGet, "/admin/v1/sources", "Bearer "+secretToken, "")
		return strings.Contains(e.seen.String(), "is unknown")
	})
	e.askTheAdminSide()
	e.breakTheConfiguration()
	e.watch()
	if err := e.Stop(); err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{"the log": e.log.String(), "an answer": e.seen.String()} {
		if len(text) < 1000 {
			t.Errorf("%s has only %d bytes", name, len(text))
		}
		for _, secret := range []string{mark, secretMasterKey, base64.StdEncoding.EncodeToString([]byte(mark))[:8]} {
			for _, i := range allOf(text, secret) {
				t.Errorf("%s shows a secret: …%s…", name, text[max(0, i-300):min(len(text), i+60)])
			}
		}
	}
}

// allOf is where the first few of a text stand.
func allOf(text, what string) (at []int) {
	for from := 0; len(at) < 5; {
		i := strings.Index(text[from:], what)
		if i < 0 {
			break
		}
		at = append(at, from+i)
		from += i + len(what)
	}
	return at
}

// askTheAdminSide reads every admin route, and applies what is wrong.
func (e *everything) askTheAdminSide() {
	token := "Bearer " + secretToken
	for _, path := range []string{
		environment + "/events", environment + "/event-types", environment + "/impressions", environment + "/flags", environment + "/customers/user/u1",
		environment + "/calls", environment + "/reasons", "/admin/v1/calls", "/admin/v1/trace/m1", "/admin/v1/reasons", "/admin/v1/sources", "/admin/v1/deliveries",
		"/admin/v1/dead-letters", "/admin/v1/catalog", "/admin/v1/catalog?format=yaml", "/admin/v1/projects", "/admin/v1/projects/shop", "/admin/v1/keys", "/admin/v1/audit",
		"/admin/v1/status", "/metrics", "/readyz", "/livez", "/version", "/",
	} {
		if got := e.ask(http.MethodGet, path, token, ""); got >= 500 {
			e.t.Errorf("GET %s: %d", path, got)
		}
		e.ask(http.MethodGet, path, "Bearer SECRET-guess", "")
		if !strings.Contains(path, "?") {
			e.ask(http.MethodGet, path+"?token=SECRET-guess", token, "")
		}
	}
	for _, body := range []string{
		`{"projects":[{"name":"shop","environments":[{"name":"production","sdkKeys":[{"name":"a","type":"server_side","key":["SECRET-sdk"]}]}]}]}`,
		`{"projects":[{"name":"shop","environments":[{"name":"production","sdkKeys":[{"name":"a","type":"server_side","key":" SECRET-sdk"},{"name":"b","type":"server_side","key":"SECRET-SECRET-sdk\n"}]}]}]}`,
		`{"projects":[{"name":"shop","environments":[{"name":"production"}],"segment":{"sources":[{"name":"a","environments":["production"],"writeKey":"SECRET:write","endpoint":"https://user:SECRET-password@host"}]}}]}`,
		`{"projects":"SECRET-`,
	} {
		e.ask(http.MethodPut, "/admin/v1/catalog?dryRun=true", token, body)
		e.ask(http.MethodPost, "/admin/v1/translate", token, body)
	}
	e.ask(http.MethodPost, "/admin/v1/dead-letters/replay", token, `{"dryRun":true}`)
}

// breakTheConfiguration reloads files whose secrets stand where they must not.
func (e *everything) breakTheConfiguration() {
	good, err := os.ReadFile(e.options.ConfigFile)
	if err != nil {
		e.t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"key: SECRET-sdk", "key: [SECRET-sdk]"},
		{"key: SECRET-web", "key: SECRET-sdk"}, // the same key twice
		{"writeKey: SECRET-write", `writeKey: "SECRET-write "`},
		{"apiKey: SECRET-destination", "apiKey: {value: SECRET-destination}"},
		{"{secret: SECRET-hook,", "{secret: SECRET-hook"},
	} {
		e.configure(e.options.ConfigFile, strings.Replace(string(good), change[0], change[1], 1))
		_, err := e.Reload(e.t.Context())
		if err == nil {
			e.t.Errorf("%s was accepted", change[1])
		}
		fmt.Fprintln(&e.seen, err)
	}
	changed := strings.NewReplacer(mark+"write", mark+"changed", mark+"hook", mark+"changed").Replace(string(good))
	e.configure(e.options.ConfigFile, changed)
	change, err := e.Reload(e.t.Context())
	if err != nil || len(change.Differences) == 0 {
		e.t.Errorf("a change of secrets: %v, %d differences", err, len(change.Differences))
	}
	fmt.Fprintf(&e.seen, "%+v", change)
	e.ask(http.MethodGet, "/admin/v1/audit", "Bearer "+secretToken, "")
}

// TestSecretsAreNotInTheDataFolder: what is only compared is hashed, what is
// sent is sealed. What clients wrote into their bodies is kept as it came.
func TestSecretsAreNotInTheDataFolder(t *testing.T) {
	e := startWithSecrets(t)
	if got := e.post("/api/testImpressions/bulk", "Bearer SECRET-sdk", `[{"f":"checkout_button","i":[{"k":"u1","t":"on","m":1767225600000}]}]`); got != 200 {
		t.Fatal(got)
	}
	e.eventually("a call at Segment", func() bool { return len(e.fake.Calls()) > 0 })
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(e.options.Data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return nil
		}
		files++
		text, err := os.ReadFile(path)
		for _, secret := range []string{mark, secretMasterKey} {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s holds a secret", path)
			}
		}
		return err
	})
	if err != nil || files < 5 {
		t.Errorf("%d files were looked at, err %v", files, err)
	}
}

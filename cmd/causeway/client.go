package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"causeway/internal/api"
)

// serverFlags say which server a verb talks to.
type serverFlags struct {
	Server    string `help:"Address of the server's admin side." default:"http://127.0.0.1:8080" env:"CAUSEWAY_SERVER" placeholder:"URL"`
	Token     string `help:"Admin token." env:"CAUSEWAY_TOKEN" placeholder:"TOKEN"`
	TokenFile string `help:"File that holds the admin token." type:"path" env:"CAUSEWAY_TOKEN_FILE" placeholder:"FILE"`
}

// adminClient talks to the admin API.
type adminClient struct {
	base  *url.URL
	token string
	http  *http.Client
}

// client checks the flags. It warns when the token would cross a network in
// the clear.
func (f *serverFlags) client(cli *cliContext) (*adminClient, error) {
	base, err := serverURL(f.Server)
	if err != nil {
		return nil, err
	}
	token, err := secretFrom(f.Token, f.TokenFile, "token")
	if err != nil {
		return nil, err
	}
	if token == "" {
		return nil, usageError("the admin token is missing: set --token-file, or CAUSEWAY_TOKEN. The server printed it at its first start")
	}
	if base.Scheme == "http" && !isLoopback(base.Hostname()) {
		fmt.Fprintf(cli.Stderr, "causeway: warning: %s is not encrypted; the token can be read on the way\n", f.Server)
	}
	return &adminClient{base: base, token: token, http: plainClient(0)}, nil
}

// serverURL reads an address as people write it, with or without http://.
func serverURL(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, usageError(fmt.Sprintf("%q is not a server's address; write http://HOST:PORT or https://HOST", text))
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	return base, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// plainClient follows no redirects: a credential goes where it was sent and
// nowhere else.
func plainClient(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ask is one request to the admin API.
type ask struct {
	method string // default GET
	path   string // below /admin/v1, escaped
	query  url.Values
	header http.Header
	body   []byte
}

// do sends it. Whatever is no success is an error that a person can read.
func (c *adminClient) do(ctx context.Context, a ask) (*http.Response, error) {
	if a.method == "" {
		a.method = http.MethodGet
	}
	target := c.base.String() + "/admin/v1" + a.path
	if len(a.query) > 0 {
		target += "?" + a.query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, a.method, target, bytes.NewReader(a.body))
	if err != nil {
		return nil, usageError(err.Error())
	}
	for name, values := range a.header {
		request.Header[name] = values
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("User-Agent", "causeway-cli/"+version)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.base, rootCause(err))
	}
	if response.StatusCode/100 == 2 {
		return response, nil
	}
	defer response.Body.Close()
	return nil, refusal(response)
}

// json sends a request and reads its JSON answer into value, unless nil. It
// returns the answer's header.
func (c *adminClient) json(ctx context.Context, a ask, value any) (http.Header, error) {
	response, err := c.do(ctx, a)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(value); err != nil {
		return nil, fmt.Errorf("the answer of %s cannot be read: %w", c.base, err)
	}
	return response.Header, nil
}

// rootCause takes "Get http://...: " off: the caller says it in its own words.
func rootCause(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// A refusedError is the server's problem. Asked rightly, "not found", "stale"
// and "invalid" are answers; the others mean that the verb cannot run.
type refusedError struct{ api.Problem }

func (e *refusedError) Error() string {
	return fmt.Sprintf("%s (%s, request %s)", e.Detail, e.Code, e.Instance)
}

// As lets a refusal that is an answer exit with 1.
func (e *refusedError) As(target any) bool {
	no, ok := target.(*noError)
	if !ok {
		return false
	}
	switch e.Status {
	case http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnprocessableEntity:
		if e.Code == "route_unknown" {
			return false
		}
		*no = noError(e.Detail)
		return true
	}
	return false
}

// refusal reads an answer that is no success.
func refusal(response *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20)) // what came is enough to say
	var problem api.Problem
	if err := json.Unmarshal(text, &problem); err == nil && problem.Code != "" {
		return &refusedError{problem}
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return fmt.Errorf("%s answered %s: is this Causeway's admin side? %.200q", response.Request.URL.Host, response.Status, line)
}

// printJSON writes one line of JSON, with <, > and & as they are.
func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// readInput reads a file, or standard input when it is "-".
func readInput(cli *cliContext, file string, limit int64) ([]byte, error) {
	in, err := openInput(cli, file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is over %d MiB", file, limit>>20)
	}
	return data, nil
}

package ingest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"causeway/internal/stream"
)

// Each testdata/*.txt is a list of requests and what is answered to them:
//
//	== what it shows
//	METHOD PATH
//	Header: value
//
//	body
//	--
//	STATUS
//	Header: value        (a header without a value must be absent)
//
//	body
//	++ a record that was appended, one line each
//
// They are sent over a real connection, byte for byte. In all parts
// «base64 text» is the text encoded, «repeat N text» is N times the text,
// «list N text» the same with commas. The request lines "!gzip" and "!chunked"
// say how the body travels.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts found (err %v)", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			kept := new(memory)
			server := httptest.NewServer(newServer(t, Options{Append: kept.append}).Routes())
			t.Cleanup(server.Close)
			for _, step := range strings.Split("\n"+string(text), "\n== ")[1:] {
				name, rest, _ := strings.Cut(step, "\n")
				t.Run(name, func(t *testing.T) {
					kept.records = nil
					request, answer, found := strings.Cut(expand(t, rest), "\n--\n")
					if !found {
						t.Fatal("no answer in the script")
					}
					got := send(t, server.Listener.Addr().String(), request)
					compare(t, answer, got, kept.records)
				})
			}
		})
	}
}

var macro = regexp.MustCompile(`«(\w+) ([^»]*)»`)

// expand replaces the macros.
func expand(t *testing.T, text string) string {
	t.Helper()
	return macro.ReplaceAllStringFunc(text, func(m string) string {
		parts := macro.FindStringSubmatch(m)
		if parts[1] == "base64" {
			return base64.StdEncoding.EncodeToString([]byte(parts[2]))
		}
		count, item, _ := strings.Cut(parts[2], " ")
		n, err := strconv.Atoi(count)
		if err != nil {
			t.Fatalf("%s: %v", m, err)
		}
		if parts[1] == "list" {
			return strings.TrimSuffix(strings.Repeat(item+",", n), ",")
		}
		return strings.Repeat(item, n)
	})
}

// send writes a request as it stands in a script and reads the answer.
func send(t *testing.T, address, script string) *http.Response {
	t.Helper()
	head, body, _ := strings.Cut(script, "\n\n")
	lines := strings.Split(head, "\n")
	var request bytes.Buffer
	fmt.Fprintf(&request, "%s HTTP/1.1\r\nConnection: close\r\n", lines[0])
	chunked, host := false, "Host: causeway.test"
	for _, line := range lines[1:] {
		switch {
		case line == "!gzip":
			body = zip(t, body)
			request.WriteString("Content-Encoding: gzip\r\n")
		case line == "!chunked":
			chunked = true
		case strings.HasPrefix(line, "Host:"):
			host = line
		case line != "":
			request.WriteString(line + "\r\n")
		}
	}
	request.WriteString(host + "\r\n")
	if chunked {
		half := len(body) / 2
		fmt.Fprintf(&request, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", half, body[:half], len(body)-half, body[half:])
	} else {
		fmt.Fprintf(&request, "Content-Length: %d\r\n\r\n%s", len(body), body)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	// A refused body is not read to its end, so the write may fail.
	go func() { _, _ = conn.Write(request.Bytes()) }()
	method, _, _ := strings.Cut(lines[0], " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	return response
}

// compare checks an answer and the records against the script.
func compare(t *testing.T, script string, got *http.Response, records []stream.Record) {
	t.Helper()
	script, wantRecords, _ := strings.Cut(strings.TrimRight(script, "\n"), "\n++ ")
	head, wantBody, _ := strings.Cut(script, "\n\n")
	lines := strings.Split(strings.TrimRight(head, "\n"), "\n")
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strconv.Itoa(got.StatusCode) != lines[0] {
		t.Errorf("status %d, want %s; body %s", got.StatusCode, lines[0], body)
	}
	for _, line := range lines[1:] {
		name, want, _ := strings.Cut(line, ":")
		if got := got.Header.Get(name); got != strings.TrimSpace(want) {
			t.Errorf("%s: %q, want %q", name, got, strings.TrimSpace(want))
		}
	}
	if wantBody != "" && strings.TrimSpace(string(body)) != strings.TrimSpace(wantBody) {
		t.Errorf("body %s\nwant %s", body, wantBody)
	}
	if got.StatusCode >= 300 && got.StatusCode < 400 {
		t.Error("a redirect")
	}
	if got.Header.Get("Access-Control-Allow-Origin") == "" {
		t.Error("no Access-Control-Allow-Origin")
	}
	if len(body) > 0 && got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("Content-Type %q", got.Header.Get("Content-Type"))
	}
	var gotRecords, want []string
	for _, r := range records {
		gotRecords = append(gotRecords, describe(r))
	}
	if wantRecords != "" {
		want = strings.Split(strings.TrimSpace(wantRecords), "\n++ ")
	}
	if diff := cmp.Diff(want, gotRecords); diff != "" {
		t.Errorf("records (-want +got)\n%.2000s", diff)
	}
}

var kindNames = map[stream.Kind]string{
	stream.Tracking: "tracking", stream.Destination: "destination", stream.Webhook: "webhook",
	stream.ImpressionsBulk: "impressions", stream.ImpressionCounts: "counts", stream.UniqueKeysByFlag: "keys/ss", stream.UniqueKeysByKey: "keys/cs",
	stream.Events: "events", stream.TelemetryConfig: "config", stream.TelemetryUsage: "usage",
	stream.ImpressionsWebhook: "impressions webhook", stream.ImpressionListener: "impression listener",
}

// describe writes a record as scripts do: kind, environment, then what is set.
func describe(r stream.Record) string {
	text := kindNames[r.Kind] + ", " + r.Environment
	for _, field := range [][2]string{
		{"configuration", r.Configuration}, {"scheme", r.Scheme}, {"type", r.CallType},
		{"sdk", r.SDK}, {"machine", r.MachineName}, {"ip", r.MachineIP}, {"mode", r.Mode}, {"body", string(r.Body)},
	} {
		if field[1] != "" {
			text += ", " + field[0] + " " + field[1]
		}
	}
	return text
}

func zip(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

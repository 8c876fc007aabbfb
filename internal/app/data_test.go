package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

// polled is what an SDK is told of the flags.
type polled struct {
	FF struct {
		D    []struct{ Name, Status string }
		S, T int64
	} `json:"ff"`
}

func (r *running) poll(since int64) (p polled) {
	r.t.Helper()
	request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("%s/api/splitChanges?s=1.3&since=%d&rbSince=-1", r.base, since), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer sdk-key")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		r.t.Fatalf("%d %v %s", response.StatusCode, err, body)
	}
	if err := json.Unmarshal(body, &p); err != nil {
		r.t.Fatal(err)
	}
	return p
}

// edit changes the configuration file and has it read.
func (r *running) edit(old, new string) {
	r.t.Helper()
	text, err := os.ReadFile(r.options.ConfigFile)
	if err != nil || !strings.Contains(string(text), old) {
		r.t.Fatalf("%v: %s", err, text)
	}
	if err := os.WriteFile(r.options.ConfigFile, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.Reload(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func TestAnEditOfAFlagReachesAnSDKAtItsNextPollAndARestartChangesNothing(t *testing.T) {
	r := start(t)
	if p := r.poll(-1); len(p.FF.D) != 0 || p.FF.S != p.FF.T {
		t.Errorf("a flag that is only listed is served: %+v", p)
	}
	r.edit("trafficType: user}", "trafficType: user, rollout: {on: 50, off: 50}}")
	first := r.poll(-1)
	if len(first.FF.D) != 1 || first.FF.D[0].Name != "checkout_button" {
		t.Fatalf("got %+v", first)
	}
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	r.run() // and applies the file again
	if p := r.poll(first.FF.T); len(p.FF.D) != 0 || p.FF.T != first.FF.T {
		t.Errorf("after a restart: %+v, before %+v", p, first)
	}
	r.edit(", rollout: {on: 50, off: 50}", "")
	if p := r.poll(first.FF.T); len(p.FF.D) != 1 || p.FF.D[0].Status != "ARCHIVED" || p.FF.T <= first.FF.T {
		t.Errorf("after the flag went: %+v", p)
	}
	// What SDKs send goes where it went before.
	if got := r.post("/api/events/bulk", "Bearer sdk-key", `[]`); got != http.StatusAccepted {
		t.Errorf("events: %d", got)
	}
}

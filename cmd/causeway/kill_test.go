package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const killConfiguration = `projects:
  - name: shop
    trafficTypes: [user]
    environments:
      - {name: production, sdkKeys: [{name: backend, type: server_side, key: sdk-key}]}
    segment:
      destinations:
        - {name: events, environment: production, identities: {userId: [user], anonymousId: []}, apiKey: destination-key}
`

// killed is a server in a process of its own (TestMain puts the command on the
// path), made to be killed.
type killed struct {
	t       *testing.T
	folder  string
	address string
	process *exec.Cmd
}

func (k *killed) start() {
	k.t.Helper()
	k.process = exec.Command("causeway", "serve", "--data", filepath.Join(k.folder, "data"), "--config", filepath.Join(k.folder, "causeway.yaml"), "--listen", k.address)
	k.process.Env = append(os.Environ(), "CAUSEWAY_ADMIN_TOKEN=kill-test-token")
	stderr, err := k.process.StderrPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := k.process.Start(); err != nil {
		k.t.Fatal(err)
	}
	go func() { // keep the pipe empty
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
		}
	}()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		response, err := http.Get("http://" + k.address + "/readyz")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(end) {
			k.t.Fatal("the server does not become ready")
		}
	}
}

func (k *killed) kill() {
	k.t.Helper()
	if err := k.process.Process.Kill(); err != nil {
		k.t.Fatal(err)
	}
	_ = k.process.Wait() // it was killed: that is its status
}

// send sends batches until the server is gone, and notes which messageIds were
// acknowledged.
func (k *killed) send(ctx context.Context, sender int, acknowledged *sync.Map) (sent int) {
	client := &http.Client{Timeout: 10 * time.Second}
	for n := 0; ctx.Err() == nil; n++ {
		ids := make([]string, 5)
		calls := make([]string, len(ids))
		for i := range ids {
			ids[i] = fmt.Sprintf("m-%d-%d-%d-%d", time.Now().UnixNano(), sender, n, i)
			calls[i] = fmt.Sprintf(`{"type":"track","messageId":%q,"userId":"u1","event":"A"}`, ids[i])
		}
		body := `{"writeKey":"destination-key","batch":[` + strings.Join(calls, ",") + `]}`
		for attempt := 0; attempt < 2; attempt++ { // an impatient client sends everything twice
			response, err := client.Post("http://"+k.address+"/v1/batch", "application/json", strings.NewReader(body))
			if err != nil {
				return sent
			}
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			sent += len(ids)
			if response.StatusCode == http.StatusOK {
				for _, id := range ids {
					acknowledged.Store(id, true)
				}
			}
		}
	}
	return sent
}

// stored reads every stored event's messageId through the admin API.
func (k *killed) stored() map[string]int {
	k.t.Helper()
	counts := map[string]int{}
	for cursor := ""; ; {
		request, err := http.NewRequest(http.MethodGet, "http://"+k.address+"/admin/v1/projects/shop/environments/production/events?limit=500&cursor="+cursor, nil)
		if err != nil {
			k.t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer kill-test-token")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			k.t.Fatal(err)
		}
		var page struct {
			Items      []struct{ ForeignID string }
			NextCursor string
		}
		err = json.NewDecoder(response.Body).Decode(&page)
		response.Body.Close()
		if err != nil {
			k.t.Fatal(err)
		}
		for _, item := range page.Items {
			counts[item.ForeignID]++
		}
		if cursor = page.NextCursor; cursor == "" {
			return counts
		}
	}
}

// TestKillNineUnderLoadLosesAndDoublesNothing kills the process at random
// moments and counts. CAUSEWAY_TEST_KILLS sets the rounds; it prints the counts.
func TestKillNineUnderLoadLosesAndDoublesNothing(t *testing.T) {
	rounds := 3
	if text := os.Getenv("CAUSEWAY_TEST_KILLS"); text != "" {
		if _, err := fmt.Sscan(text, &rounds); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &killed{t: t, folder: t.TempDir(), address: listener.Addr().String()}
	listener.Close()
	if err := os.WriteFile(filepath.Join(k.folder, "causeway.yaml"), []byte(killConfiguration), 0o600); err != nil {
		t.Fatal(err)
	}
	var acknowledged sync.Map
	var mu sync.Mutex
	sent := 0
	for range rounds {
		k.start()
		ctx, stop := context.WithCancel(t.Context())
		var senders sync.WaitGroup
		for i := range 8 {
			senders.Go(func() {
				n := k.send(ctx, i, &acknowledged)
				mu.Lock()
				sent += n
				mu.Unlock()
			})
		}
		time.Sleep(200*time.Millisecond + rand.N(600*time.Millisecond))
		k.kill()
		stop()
		senders.Wait()
	}
	k.start()
	defer k.kill()
	want := 0
	acknowledged.Range(func(any, any) bool { want++; return true })
	var counts map[string]int
	lost := want
	for end := time.Now().Add(30 * time.Second); lost > 0 && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		counts = k.stored()
		lost = 0
		acknowledged.Range(func(id, _ any) bool {
			if counts[id.(string)] == 0 {
				lost++
			}
			return true
		})
	}
	doubled := 0
	for _, n := range counts {
		if n > 1 {
			doubled++
		}
	}
	t.Logf("%d kills: sent %d, acknowledged %d different, stored %d, lost %d, doubled %d", rounds, sent, want, len(counts), lost, doubled)
	if want == 0 {
		t.Fatal("nothing was acknowledged; the test did not test")
	}
	if lost > 0 || doubled > 0 {
		t.Errorf("lost %d, doubled %d", lost, doubled)
	}
}

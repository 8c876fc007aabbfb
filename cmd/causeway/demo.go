package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"causeway/internal/app"
	"causeway/internal/demo"
	"causeway/internal/segment/segmenttest"
	"causeway/internal/tail"
)

// demoCmd runs a whole Causeway on a temporary folder, with an invented shop
// that sends to it and a fake Segment that it sends to.
type demoCmd struct {
	Listen string `help:"Address to serve." default:"127.0.0.1:8080" env:"CAUSEWAY_LISTEN" placeholder:"ADDR"`
	Seed   uint64 `help:"The same seed invents the same shop." default:"1" env:"CAUSEWAY_SEED" placeholder:"N"`
}

// Run plays until the context ends.
func (c *demoCmd) Run(cli *cliContext) error {
	folder, err := os.MkdirTemp("", "causeway-demo-")
	if err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	defer os.RemoveAll(folder)

	fake, err := startFake()
	if err != nil {
		return err
	}
	defer fake.Close()
	config := filepath.Join(folder, "causeway.yaml")
	if err := os.WriteFile(config, []byte(demo.Configuration("http://"+fake.Addr)), 0o600); err != nil {
		return fmt.Errorf("write the demo's configuration: %w", err)
	}
	running, err := app.Start(cli.Ctx, app.Options{
		Data: filepath.Join(folder, "data"), ConfigFile: config, Listen: c.Listen, AllowPrivateEndpoints: true,
		// The demo's log is what it prints; of the rooms only trouble is heard.
		Version: version, Log: newLog(cli.Stderr, "text", "error"), DrainTimeout: 5 * time.Second,
	})
	if err != nil {
		return fmt.Errorf("start the demo: %w", err)
	}
	c.greet(cli.Stdout, running)
	err = c.play(cli.Ctx, cli.Stdout, running)
	fmt.Fprintln(cli.Stdout, "\nstopping; the demo's data is deleted")
	if stopped := running.Stop(); err == nil {
		err = stopped
	}
	return err
}

// startFake serves the fake Segment on a free loopback port.
func startFake() (*http.Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a port for the fake Segment: %w", err)
	}
	server := &http.Server{Addr: listener.Addr().String(), Handler: segmenttest.New(segmenttest.Options{KeepCalls: 1000}), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends with Close
	return server, nil
}

func (c *demoCmd) greet(w io.Writer, running *app.App) {
	base := "http://" + running.Address()
	fmt.Fprintf(w, `Causeway %s demo: an invented shop, a fake Segment, real routes.

  open         %s
  admin token  %s

Look things up (in another shell):
  export CAUSEWAY_SERVER=%s CAUSEWAY_TOKEN=%s
  curl -H "Authorization: Bearer $CAUSEWAY_TOKEN" %s/admin/v1/projects/shop/environments/production/event-types
  curl -H "Authorization: Bearer $CAUSEWAY_TOKEN" %s/admin/v1/projects/shop/environments/production/customers/user/user-0001
  go run ./cmd/causeway tail

Send something yourself:
  curl %s/v1/track -d '{"writeKey":"%s","userId":"me","event":"Hello Causeway","properties":{"revenue":9.5}}'

Stop with Ctrl-C; everything is deleted then.

`, version, base, running.AdminToken, base, running.AdminToken, base, base, base, demo.DestinationKey)
}

// play sends the shop's history, then live traffic, and prints what happens.
func (c *demoCmd) play(ctx context.Context, w io.Writer, running *app.App) error {
	now := time.Now()
	world := demo.New(c.Seed, now)
	sender := &demo.Sender{Address: "http://" + running.Address(), Client: &http.Client{Timeout: 30 * time.Second}}
	err := world.SendHistory(ctx, sender, now, func(done, of int) {
		if done%500 == 0 || done == of {
			fmt.Fprintf(w, "history  %d of %d people, %d days\n", done, of, demo.Days)
		}
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("send the demo's history: %w", err)
	}
	watcher := running.Tail().Watch(4096)
	defer watcher.Close()
	live := make(chan error, 1)
	go func() { live <- world.Live(ctx, sender, 200*time.Millisecond) }()
	n := narrator{w: w, counts: map[string]int{}}
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case item := <-watcher.Items():
			n.hear(item)
		case <-second.C:
			n.tick()
		case err := <-live:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("send the demo's traffic: %w", err)
		}
	}
}

// narrator prints a few of the things that happen, and counts all of them.
type narrator struct {
	w       io.Writer
	counts  map[string]int
	spoken  map[tail.Kind]int // lines in this second, by kind
	seconds int
}

// hear counts an item and prints it when its kind was not much heard of in
// this second; what went wrong is always printed first.
func (n *narrator) hear(item tail.Item) {
	n.counts[string(item.Kind)+" "+item.Outcome]++
	if n.spoken == nil {
		n.spoken = map[tail.Kind]int{}
	}
	if n.spoken[item.Kind] >= 1 && (item.Outcome == "stored" || item.Outcome == "delivered") || n.spoken[item.Kind] >= 3 {
		return
	}
	n.spoken[item.Kind]++
	direction := map[tail.Kind]string{tail.Delivery: "out", tail.Refused: "refused"}[item.Kind]
	if direction == "" {
		direction = "in"
	}
	fmt.Fprintf(n.w, "%s  %-4s %-9s %s\n", item.Time.Local().Format("15:04:05"), direction, item.Outcome, item.Summary)
}

// tick prints the sum every ten seconds.
func (n *narrator) tick() {
	n.spoken = nil
	if n.seconds++; n.seconds%10 != 0 {
		return
	}
	var parts []string
	for what, count := range n.counts {
		parts = append(parts, fmt.Sprintf("%s %d", what, count))
	}
	sort.Strings(parts)
	fmt.Fprintf(n.w, "          so far: %s\n", strings.Join(parts, " · "))
}

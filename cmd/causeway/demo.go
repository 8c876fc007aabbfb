package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
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
	ownerOnly()
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
	now := time.Now()
	running, err := app.Start(cli.Ctx, app.Options{
		Data: filepath.Join(folder, "data"), Listen: c.Listen, AllowPrivateEndpoints: true,
		// The demo's log is what it prints; of the rooms only trouble is heard.
		Version: version, Log: newLog(cli.Stderr, "text", "error"), DrainTimeout: 5 * time.Second,
		Notice: "Demo: everything here is invented, and deleted when it stops.",
	})
	if err != nil {
		return fmt.Errorf("start the demo: %w", err)
	}
	if err := running.Configure(cli.Ctx, []byte(demo.Configuration("http://"+fake.Addr, now)), "demo"); err != nil {
		return errors.Join(fmt.Errorf("configure the demo: %w", err), running.Stop())
	}
	if err := c.greet(cli.Ctx, cli.Stdout, running); err != nil {
		return errors.Join(err, running.Stop())
	}
	err = c.play(cli.Ctx, cli.Stdout, running, now)
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

// Who the demo signs in.
const (
	demoEmail    = "demo@example.com"
	demoPassword = "causeway demo"
)

func (c *demoCmd) greet(ctx context.Context, w io.Writer, running *app.App) error {
	open, err := running.SignInURL(ctx, demoEmail, demoPassword)
	if err != nil {
		return fmt.Errorf("make the demo's user: %w", err)
	}
	base := "http://" + running.Address()
	fmt.Fprintf(w, `Causeway %s demo: an invented shop, a fake Segment, real routes.

  open         %s
  (signs you in, once; later: %s, password "%s")
  admin token  %s

Look things up (in another shell):
  export CAUSEWAY_SERVER=%s CAUSEWAY_TOKEN=%s
  curl -H "Authorization: Bearer $CAUSEWAY_TOKEN" %s/admin/v1/projects/shop/environments/production/event-types
  curl -H "Authorization: Bearer $CAUSEWAY_TOKEN" %s/admin/v1/projects/shop/environments/production/customers/user/user-0001
  go run ./cmd/causeway tail
  go run ./cmd/causeway results "Checkout button"

Send something yourself:
  curl %s/v1/track -d '{"writeKey":"%s","userId":"me","event":"Hello Causeway","properties":{"revenue":9.5}}'

Stop with Ctrl-C; everything is deleted then.

`, version, open, demoEmail, demoPassword, running.AdminToken, base, running.AdminToken, base, base, base, demo.DestinationKey)
	return nil
}

// play sends the shop's history, then live traffic, and prints what happens.
func (c *demoCmd) play(ctx context.Context, w io.Writer, running *app.App, now time.Time) error {
	world := demo.New(c.Seed, now)
	sender := &demo.Sender{Address: "http://" + running.Address(), Client: &http.Client{Timeout: 30 * time.Second}}
	watcher := running.Tail().Watch(1 << 16)
	defer watcher.Close()
	n := narrator{w: w, watcher: watcher, counts: map[string]int{}}

	sent := make(chan error, 1)
	go func() {
		sent <- world.SendHistory(ctx, sender, now, func(done, of int) {
			if done%1000 == 0 || done == of {
				fmt.Fprintf(w, "history  %d of %d people, %d days\n", done, of, demo.Days)
			}
		})
	}()
	if err := n.listen(ctx, sent, false); err != nil {
		return fmt.Errorf("send the demo's history: %w", err)
	}
	go func() { sent <- running.ComputeExperiments(ctx) }()
	if err := n.listen(ctx, sent, false); err != nil {
		return fmt.Errorf("compute the demo's experiments: %w", err)
	}
	go func() { sent <- world.Live(ctx, sender, 200*time.Millisecond) }()
	if err := n.listen(ctx, sent, true); err != nil {
		return fmt.Errorf("send the demo's traffic: %w", err)
	}
	return nil
}

// narrator prints a few of the things that happen, and counts all of them.
type narrator struct {
	w       io.Writer
	watcher *tail.Watcher
	counts  map[string]int
	spoken  map[tail.Kind]int // lines in this second, by kind
	seconds int
}

// listen hears what happens until the sender is done or the context ends;
// aloud, it prints.
func (n *narrator) listen(ctx context.Context, sent <-chan error, aloud bool) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case item := <-n.watcher.Items():
			n.counts[string(item.Kind)+" "+item.Outcome]++
			if aloud {
				n.say(item)
			}
		case <-second.C:
			if aloud {
				n.tick()
			}
		case err := <-sent:
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// say prints an item when not much was heard of its kind in this second.
func (n *narrator) say(item tail.Item) {
	if n.spoken == nil {
		n.spoken = map[tail.Kind]int{}
	}
	fine := item.Outcome == "stored" || item.Outcome == "delivered"
	if said := n.spoken[item.Kind]; said >= 2 || fine && said >= 1 {
		return
	}
	n.spoken[item.Kind]++
	direction, summary := "in", item.Summary
	switch item.Kind {
	case tail.Delivery:
		direction, summary = "out", item.Configuration+": "+summary
	case tail.Impression:
		summary = "impression " + summary
	}
	if runes := []rune(summary); len(runes) > 110 {
		summary = string(runes[:109]) + "…"
	}
	fmt.Fprintf(n.w, "%s  %-3s  %-9s  %s\n", item.Time.Local().Format("15:04:05"), direction, item.Outcome, summary)
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
	if missed := n.watcher.Missed(); missed > 0 {
		parts = append(parts, fmt.Sprintf("not heard %d", missed))
	}
	slices.Sort(parts)
	fmt.Fprintf(n.w, "so far:   %s\n", strings.Join(parts, " · "))
}

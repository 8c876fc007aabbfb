package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
)

// startCluster starts JetStream servers that form a cluster on loopback, each
// in a process of its own, and returns the processes by server name and the
// address to connect to.
func startCluster(t *testing.T, nodes int) (map[string]*exec.Cmd, string) {
	t.Helper()
	var ports []string
	for _, port := range freePorts(t, nodes) {
		ports = append(ports, strconv.Itoa(port))
	}
	processes := make(map[string]*exec.Cmd)
	var addresses []string
	for i, port := range ports {
		name := fmt.Sprint("n", i)
		process, out := child(t, append([]string{"node", name, t.TempDir(), port}, ports...)...)
		if !out.Scan() || !strings.HasPrefix(out.Text(), "nats://") {
			t.Fatalf("a server of the cluster did not start: %s", out.Text())
		}
		processes[name] = process
		addresses = append(addresses, out.Text())
	}
	return processes, strings.Join(addresses, ",")
}

// node is one server of a cluster, until it is killed or its parent ends.
func node(name, dir, port string, peers []string) {
	opts := &server.Options{
		ServerName: name,
		Host:       "127.0.0.1", Port: server.RANDOM_PORT,
		Cluster:   server.ClusterOpts{Name: "test", Host: "127.0.0.1"},
		JetStream: true, StoreDir: dir, MaxPayload: 8 << 20,
		NoLog: true,
	}
	opts.Cluster.Port, _ = strconv.Atoi(port)
	for _, peer := range peers {
		opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats-route", Host: "127.0.0.1:" + peer})
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		fmt.Println(err)
		return
	}
	srv.Start()
	srv.ReadyForConnections(10 * time.Second)
	fmt.Println(srv.ClientURL())
	for parent := os.Getppid(); os.Getppid() == parent; {
		time.Sleep(100 * time.Millisecond)
	}
}

// freePorts finds ports that nobody listens on.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// A client of the door: it sends each record until it is acknowledged.
type sender struct {
	acknowledged []string
	refused      int // answers that were errors, each followed by another try
	slowest      time.Duration
}

func (c *sender) run(ctx context.Context, s *Streams, name string) {
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("%s-%d", name, n)
		r := Record{Kind: Tracking, Scheme: id, Body: []byte(strings.Repeat("x", 700))}
		for {
			start := time.Now()
			err := s.Append(context.WithoutCancel(ctx), Calls, r)
			c.slowest = max(c.slowest, time.Since(start))
			if err == nil {
				break
			}
			c.refused++
		}
		c.acknowledged = append(c.acknowledged, id)
	}
}

func TestAClusterThatLosesItsLeaderLosesAndDoublesNothing(t *testing.T) {
	processes, address := startCluster(t, 3)
	s := openTest(t, Options{URL: address, AppendWait: time.Second})
	info, err := s.info(t.Context(), string(Calls))
	if err != nil || info.Config.Replicas != 3 {
		t.Fatalf("replicas %d, %v; want 3", info.Config.Replicas, err)
	}

	load, stop := context.WithCancel(t.Context())
	senders := make([]*sender, 8)
	var all sync.WaitGroup
	for i := range senders {
		senders[i] = &sender{}
		all.Go(func() { senders[i].run(load, s, fmt.Sprint("sender", i)) })
	}
	queue := outboundTest(t, s, "a")
	origin := uint64(0) // the newest that was published to an outbound stream
	all.Go(func() {
		for ; load.Err() == nil; origin++ {
			for s.PublishOutbound(t.Context(), "a", origin+1, calls(fmt.Sprint(origin+1), 2)) != nil {
			}
		}
	})
	var followed atomic.Int64 // frames a reader saw meanwhile
	all.Go(func() { followed.Store(follow(load, t, s)) })

	time.Sleep(300 * time.Millisecond)
	leader := info.Cluster.Leader
	if err := processes[leader].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waitForLeader(t, s, leader)
	time.Sleep(300 * time.Millisecond)
	stop()
	all.Wait()

	times := make(map[string]int)
	for _, f := range readAll(t, s, Calls, 0) {
		for _, r := range f.Records {
			times[r.Scheme]++
		}
	}
	acknowledged, refused, extra := 0, 0, 0
	var slowest time.Duration
	for _, c := range senders {
		acknowledged += len(c.acknowledged)
		refused += c.refused
		slowest = max(slowest, c.slowest)
		for _, id := range c.acknowledged {
			if times[id] == 0 {
				t.Errorf("%s was acknowledged and is lost", id)
			}
			extra += max(times[id]-1, 0)
		}
	}
	// A sender that was told "not available" sends again: only then may its
	// record be there once more.
	if extra > refused {
		t.Errorf("%d records too many, %d were sent again", extra, refused)
	}
	if acknowledged < 100 || followed.Load() == 0 {
		t.Errorf("%d records were acknowledged, a reader saw %d frames: the test tests nothing", acknowledged, followed.Load())
	}
	if slowest > 2*time.Second {
		t.Errorf("an append took %v, bounded to 1 s", slowest)
	}
	var outgoing []string
	for o := uint64(1); o <= origin; o++ {
		outgoing = append(outgoing, texts(calls(fmt.Sprint(o), 2))...)
	}
	if diff := cmp.Diff(outgoing, drain(t, queue)); diff != "" || origin == 0 {
		t.Errorf("calls of %d origins went out (-want +got):\n%s", origin, diff)
	}
	t.Logf("%d acknowledged, %d refused, %d sent again and there twice, slowest %v", acknowledged, refused, extra, slowest)
}

// follow reads along until ctx ends, and counts the frames.
func follow(ctx context.Context, t *testing.T, s *Streams) (frames int64) {
	r, err := s.Read(t.Context(), Calls, 0)
	if err != nil {
		t.Error(err)
		return 0
	}
	for next := uint64(1); ctx.Err() == nil; {
		got, err := r.Next(ctx, 1<<20, 100*time.Millisecond)
		if err != nil {
			continue // no leader, or the end of the test
		}
		for _, f := range got {
			if f.Sequence != next {
				t.Errorf("frame %d came when %d was due", f.Sequence, next)
			}
			next++
			frames++
		}
	}
	return frames
}

// waitForLeader waits until the stream has another leader.
func waitForLeader(t *testing.T, s *Streams, old string) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		info, err := s.info(ctx, string(Calls))
		cancel()
		if err == nil && info.Cluster != nil && info.Cluster.Leader != "" && info.Cluster.Leader != old {
			return
		}
	}
	t.Fatal("no new leader within 15 s")
}

func TestASingleExternalServerHoldsOneCopy(t *testing.T) {
	host := openTest(t, Options{Listen: "127.0.0.1:0"})
	address := host.embedded.running().ClientURL()
	for name := range host.journals { // made by a client this time
		if err := host.js.DeleteStream(t.Context(), string(name)); err != nil {
			t.Fatal(err)
		}
	}
	s := openTest(t, Options{URL: address})
	appendTest(t, s, numbered(1))
	other := openTest(t, Options{URL: address})
	r, err := other.Read(t.Context(), Calls, 1)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, func() { s.Append(context.Background(), Calls, numbered(2)) })
	start := time.Now()
	frames, err := r.Next(t.Context(), 1<<20, 5*time.Second)
	if err != nil || len(frames) != 1 || frames[0].Sequence != 2 {
		t.Errorf("%v, %v", frames, err)
	}
	if took := time.Since(start); took > pollEvery/2 {
		t.Errorf("the other node's reader slept for %v", took)
	}
}

func TestWithoutAServerAnAppendIsRefusedInTime(t *testing.T) {
	host := openTest(t, Options{Listen: "127.0.0.1:0"})
	s := openTest(t, Options{URL: host.embedded.running().ClientURL(), AppendWait: 200 * time.Millisecond})
	host.Close()
	start := time.Now()
	err := s.Append(t.Context(), Calls, numbered(1))
	if took := time.Since(start); !errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || took > 2*time.Second {
		t.Errorf("%v after %v, want ErrUnavailable within the wait", err, took)
	}
	if err := s.Health(t.Context()); err == nil {
		t.Error("healthy without a server")
	}
}

package tail

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Feed numbers what the tail publishes and keeps the newest of it in one
// place. Streams read from there at their own pace: a slow one costs no memory
// of its own and knows exactly how much it missed, and one that was cut off
// can go on where it was.
//
// The feed watches the tail while somebody listens and a little longer, so
// that publishers need not describe what nobody sees.
type Feed struct {
	hub *Hub
	max int

	mu      sync.Mutex
	readers int
	watcher *Watcher      // nil while nobody listens
	stop    chan struct{} // ends the pump of watcher
	linger  *time.Timer
	epoch   string // changes whenever the feed begins anew: numbers compare only within one
	last    uint64 // newest number given
	kept    []numbered
	changed chan struct{} // closed and replaced at each new item

	subscribers prometheus.Gauge
	lost        prometheus.Counter
}

type numbered struct {
	sequence uint64
	item     Item
}

const (
	feedKept   = 512              // items that a stream may be behind
	feedDepth  = 4096             // items that wait between tail and feed: a batch of the pipeline comes at once
	feedLinger = 30 * time.Second // how long a lone stream may be away and still resume
)

// NewFeed makes a feed for at most so many streams at once. It holds no
// resources while nobody listens.
func NewFeed(hub *Hub, maxReaders int) *Feed {
	return &Feed{
		hub: hub, max: maxReaders, changed: make(chan struct{}),
		subscribers: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "causeway_tail_subscribers", Help: "Open live streams of the admin API and the console.",
		}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "causeway_tail_lost_total", Help: "Items that slow live streams missed.",
		}),
	}
}

// Collectors are its metrics.
func (f *Feed) Collectors() []prometheus.Collector {
	return []prometheus.Collector{f.subscribers, f.lost}
}

// Join makes room for one more stream; false when all places are taken.
func (f *Feed) Join() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.readers >= f.max {
		return false
	}
	f.readers++
	f.subscribers.Set(float64(f.readers))
	if f.linger != nil {
		f.linger.Stop()
		f.linger = nil
	}
	if f.watcher == nil {
		f.begin()
	}
	return true
}

// begin starts to watch. f.mu is held.
func (f *Feed) begin() {
	var b [6]byte
	_, _ = rand.Read(b[:])
	f.epoch, f.last, f.kept = hex.EncodeToString(b[:]), 0, nil
	f.watcher, f.stop = f.hub.Watch(feedDepth), make(chan struct{})
	go f.pump(f.watcher, f.stop)
}

// Leave gives the place of a stream back.
func (f *Feed) Leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readers--
	f.subscribers.Set(float64(f.readers))
	if f.readers > 0 || f.watcher == nil {
		return
	}
	watcher := f.watcher
	f.linger = time.AfterFunc(feedLinger, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.readers == 0 && f.watcher == watcher {
			f.end()
		}
	})
}

// end stops watching. f.mu is held.
func (f *Feed) end() {
	if f.watcher != nil {
		close(f.stop)
		f.watcher.Close()
		f.watcher, f.kept = nil, nil
	}
	if f.linger != nil {
		f.linger.Stop()
		f.linger = nil
	}
}

// Close stops watching at once.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end()
}

func (f *Feed) pump(watcher *Watcher, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case item := <-watcher.Items():
			f.add(watcher, item)
		}
	}
}

func (f *Feed) add(watcher *Watcher, item Item) {
	missed := uint64(watcher.Missed())
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watcher != watcher {
		return // stopped meanwhile
	}
	f.last += missed + 1 // what the tail lost leaves a hole in the numbers
	if len(f.kept) >= 2*feedKept {
		f.kept = append(f.kept[:0:0], f.kept[len(f.kept)-feedKept+1:]...)
	}
	f.kept = append(f.kept, numbered{f.last, item})
	close(f.changed)
	f.changed = make(chan struct{})
}

// read gives what is kept after the number, how many are not, the newest
// number, and a channel that closes when there is more.
func (f *Feed) read(after uint64) (items []numbered, missed, last uint64, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := f.kept[max(0, len(f.kept)-feedKept):]
	for i := range kept {
		if kept[i].sequence > after {
			items = append(items, kept[i:]...)
			break
		}
	}
	if f.last > after {
		missed = f.last - after - uint64(len(items))
		f.lost.Add(float64(missed))
	}
	return items, missed, max(f.last, after), f.changed
}

// position is where a stream begins: after the event id it saw last, or now.
// known is false when the id is of an earlier epoch, so that nobody can say
// how much was missed.
func (f *Feed) position(lastEventID string) (after uint64, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if lastEventID == "" {
		return f.last, true
	}
	epoch, number, _ := strings.Cut(lastEventID, "-")
	after, err := strconv.ParseUint(number, 10, 64)
	if err != nil || epoch != f.epoch || after > f.last {
		return f.last, false
	}
	return after, true
}

// eventID names a number across epochs.
func (f *Feed) eventID(sequence uint64) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.epoch + "-" + strconv.FormatUint(sequence, 10)
}

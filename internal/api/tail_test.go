package api_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"causeway/internal/api"
	"causeway/internal/tail"
)

// listener reads a live stream.
type listener struct {
	t      *testing.T
	events chan event
	stop   func()
}

type event struct{ name, id, data string }

func (r *rig) listen(query string, header ...string) *listener {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	request, err := http.NewRequestWithContext(ctx, "GET", r.base+"/admin/v1/tail"+query, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	if got := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || got != "text/event-stream" || response.Header.Get("X-Accel-Buffering") != "no" {
		r.t.Fatalf("%d %v", response.StatusCode, response.Header)
	}
	l := &listener{t: r.t, events: make(chan event, 1000), stop: func() { cancel(); response.Body.Close() }}
	go func() {
		defer close(l.events)
		var e event
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				e.name = value
			case "id":
				e.id = value
			case "data":
				e.data = value
			case "":
				if e.name != "" {
					l.events <- e
				}
				e = event{}
			}
		}
	}()
	r.t.Cleanup(l.stop)
	return l
}

// next is the next event, which must come soon.
func (l *listener) next() event {
	l.t.Helper()
	select {
	case e, ok := <-l.events:
		if !ok {
			l.t.Fatal("the stream ended")
		}
		return e
	case <-time.After(5 * time.Second):
		l.t.Fatal("nothing comes")
	}
	return event{}
}

func item(n int) tail.Item {
	return tail.Item{Kind: tail.Call, Environment: "shop/production", Configuration: "events", Type: "track", Outcome: "stored", Summary: fmt.Sprintf("item %d", n), Detail: map[string]string{"payload": "deep"}}
}

func TestALiveStreamShowsWhatHappens(t *testing.T) {
	r := configured(t)
	l := r.listen("")
	r.start()
	r.track(`{"type":"track","messageId":"m1","userId":"u1","event":"Hello"}`)
	got := l.next()
	if got.name != "item" || got.id == "" || !strings.Contains(got.data, "Hello") || strings.Contains(got.data, `"detail"`) {
		t.Errorf("got %+v", got)
	}
	whole := r.listen("?detail=true")
	r.track(`{"type":"track","messageId":"m2","userId":"u1","event":"Hello"}`)
	if got := whole.next(); !strings.Contains(got.data, `"detail":{`) || !strings.Contains(got.data, "m2") {
		t.Errorf("got %+v", got)
	}
}

func TestALiveStreamGoesOnWhereItWasCutOff(t *testing.T) {
	r := newRig(t)
	first := r.listen("")
	r.tail.Publish(item(1))
	seen := first.next()
	first.stop()
	r.tail.Publish(item(2))
	r.tail.Publish(item(3))
	again := r.listen("", "Last-Event-ID", seen.id)
	for n := 2; n <= 3; n++ {
		if got := again.next(); got.name != "item" || !strings.Contains(got.data, fmt.Sprintf("item %d", n)) {
			t.Errorf("got %+v", got)
		}
	}
	// Of an id that this server never gave, nobody knows what was missed.
	strange := r.listen("", "Last-Event-ID", "0000-7")
	if got := strange.next(); got.name != "gap" || got.data != `{"missed":null}` {
		t.Errorf("got %+v", got)
	}
}

func TestALiveStreamIsToldHowManyItMissed(t *testing.T) {
	r := newRig(t)
	first := r.listen("")
	r.tail.Publish(item(0))
	seen := first.next()
	first.stop()
	const published = 2000
	for n := 1; n <= published; n++ {
		r.tail.Publish(item(n))
		if n%100 == 0 {
			time.Sleep(time.Millisecond) // the feed keeps up with the tail; the stream is away
		}
	}
	again := r.listen("", "Last-Event-ID", seen.id)
	got := again.next()
	var missed int
	if _, err := fmt.Sscanf(got.data, `{"missed":%d}`, &missed); err != nil || got.name != "gap" {
		t.Fatalf("got %+v", got)
	}
	items := 0
	for last := false; !last; items++ {
		last = strings.Contains(again.next().data, fmt.Sprintf("item %d\"", published))
	}
	if missed+items != published || missed == 0 {
		t.Errorf("%d missed and %d seen of %d", missed, items, published)
	}
}

func TestALiveStreamShowsOnlyWhatIsAskedFor(t *testing.T) {
	r := newRig(t)
	wanted := map[string]bool{
		"?kind=call": true, "?kind=delivery": false,
		"?environment=shop/production": true, "?environment=shop/staging": false,
		"?q=" + url.QueryEscape("type:track -outcome:dropped"): true,
		"?q=" + url.QueryEscape("-type:tr*"):                   false,
		"?q=" + url.QueryEscape(`"item 1"`):                    true,
		"?q=" + url.QueryEscape("ITEM"):                        true,
		"?q=" + url.QueryEscape("it*1"):                        true,
		"?q=deep":                                              true, // in the detail
		"?q=-deep":                                             false,
		"?q=" + url.QueryEscape("configuration:events environment:*/production kind:call"): true,
		"?q=nothing": false,
	}
	listeners := map[string]*listener{}
	for query := range wanted {
		listeners[query] = r.listen(query)
	}
	all := r.listen("")
	r.tail.Publish(item(1))
	all.next()
	for query, want := range wanted {
		l := listeners[query]
		if want {
			if got := l.next(); !strings.Contains(got.data, "item 1") {
				t.Errorf("%s: got %+v", query, got)
			}
			continue
		}
		select {
		case got := <-l.events:
			t.Errorf("%s: got %+v", query, got)
		default:
		}
	}
}

func TestOnlySoManyLiveStreamsAreOpenAtOnce(t *testing.T) {
	r := newRig(t, func(o *api.Options) { o.MaxStreams = 2 })
	first := r.listen("")
	r.listen("")
	got := r.get("/admin/v1/tail")
	if got.status != http.StatusServiceUnavailable || got.problem(t).Code != "too_many_streams" || got.header.Get("Retry-After") == "" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	first.stop()
	for range first.events {
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		request, _ := http.NewRequestWithContext(t.Context(), "HEAD", r.base+"/admin/v1/tail", nil)
		request.Header.Set("Authorization", "Bearer "+adminToken)
		if response, err := http.DefaultClient.Do(request); err != nil || response.StatusCode != http.StatusOK {
			t.Fatal(response, err)
		}
		if l := r.tryListen(); l {
			return
		}
		if time.Now().After(end) {
			t.Fatal("a place that was left is not given again")
		}
	}
}

// tryListen reports whether there is a place.
func (r *rig) tryListen() bool {
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	request, _ := http.NewRequestWithContext(ctx, "GET", r.base+"/admin/v1/tail", nil)
	request.Header.Set("Authorization", "Bearer "+adminToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func TestStoppingEndsTheLiveStreams(t *testing.T) {
	r := newRig(t)
	l := r.listen("")
	r.server.CloseTails()
	r.server.CloseTails()
	select {
	case _, ok := <-l.events:
		if ok {
			t.Error("something came")
		}
	case <-time.After(5 * time.Second):
		t.Error("the stream goes on")
	}
}

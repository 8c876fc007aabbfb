package e2e

import (
	"fmt"
	"io"
	"log"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/analytics-go/v3"
)

// outcomes hears from analytics-go what became of each message.
type outcomes struct {
	mu        sync.Mutex
	delivered map[string]bool
	waiting   int
	done      chan struct{} // closed when nothing is waited for
}

func (o *outcomes) Success(m analytics.Message)          { o.note(m, true) }
func (o *outcomes) Failure(m analytics.Message, _ error) { o.note(m, false) }

func (o *outcomes) note(m analytics.Message, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.delivered[goMessageID(m)] = ok
	if o.waiting--; o.waiting == 0 {
		close(o.done)
	}
}

func goMessageID(m analytics.Message) string {
	switch m := m.(type) {
	case analytics.Identify:
		return m.MessageId
	case analytics.Track:
		return m.MessageId
	case analytics.Page:
		return m.MessageId
	case analytics.Screen:
		return m.MessageId
	case analytics.Group:
		return m.MessageId
	case analytics.Alias:
		return m.MessageId
	}
	return ""
}

// sendWithGo sends with segmentio/analytics-go.
func sendWithGo(t *testing.T, host string, calls []sample) ([]string, error) {
	heard := &outcomes{delivered: map[string]bool{}, waiting: len(calls), done: make(chan struct{})}
	client, err := analytics.NewWithConfig(writeKey, analytics.Config{
		Endpoint: host, Callback: heard, BatchSize: min(len(calls), 20), Interval: 200 * time.Millisecond,
		Logger: analytics.StdLogger(log.New(io.Discard, "", 0)),
	})
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(calls))
	for i, c := range calls {
		ids[i] = fmt.Sprintf("go-%s-%d-%d", t.Name(), time.Now().UnixNano(), i)
		if c.MessageID != "" {
			ids[i] = c.MessageID
		}
		if err := client.Enqueue(goMessage(c, ids[i])); err != nil {
			return nil, err
		}
	}
	select { // closing stops retries: first hear what became of the calls
	case <-heard.done:
	case <-time.After(2 * patience):
		return nil, fmt.Errorf("the library says nothing of %d calls", heard.waiting)
	}
	if err := client.Close(); err != nil {
		return nil, err
	}
	for i, id := range ids {
		if !heard.delivered[id] {
			ids[i] = ""
		}
	}
	return ids, nil
}

// goMessage is a call in the library's words.
func goMessage(c sample, id string) analytics.Message {
	var at time.Time
	if c.Timestamp != nil {
		at = *c.Timestamp
	}
	switch c.Type {
	case "identify":
		return analytics.Identify{MessageId: id, UserId: c.UserID, AnonymousId: c.AnonymousID, Timestamp: at, Traits: c.Traits}
	case "track":
		return analytics.Track{MessageId: id, UserId: c.UserID, AnonymousId: c.AnonymousID, Timestamp: at, Event: c.Event, Properties: c.Properties}
	case "page":
		return analytics.Page{MessageId: id, UserId: c.UserID, AnonymousId: c.AnonymousID, Timestamp: at, Name: c.Name, Properties: c.Properties}
	case "screen":
		return analytics.Screen{MessageId: id, UserId: c.UserID, AnonymousId: c.AnonymousID, Timestamp: at, Name: c.Name, Properties: c.Properties}
	case "group":
		return analytics.Group{MessageId: id, UserId: c.UserID, AnonymousId: c.AnonymousID, Timestamp: at, GroupId: c.GroupID, Traits: c.Traits}
	}
	return analytics.Alias{MessageId: id, UserId: c.UserID, PreviousId: c.PreviousID, Timestamp: at}
}

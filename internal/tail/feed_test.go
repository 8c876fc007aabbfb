package tail

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestNobodyWatchesTheTailLongAfterTheLastStreamLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := new(Hub)
		f := NewFeed(hub, 1)
		f.Join()
		f.Leave()
		time.Sleep(feedLinger - time.Second)
		if !hub.Watched() {
			t.Error("a stream that comes back soon must be able to resume")
		}
		f.Join() // came back
		time.Sleep(time.Hour)
		if !hub.Watched() {
			t.Error("watched no more while a stream listens")
		}
		f.Leave()
		time.Sleep(feedLinger + time.Second)
		synctest.Wait()
		if hub.Watched() {
			t.Error("still watched")
		}
	})
}

func TestWildcards(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "A", true}, {"a", "ab", false}, {"a*", "ab", true}, {"*b", "ab", true}, {"a*c", "abc", true}, {"a*c", "ac", true},
		{"a*b*c", "aXbYc", true}, {"a*b*c", "acb", false}, {"*", "", true}, {"a*a", "a", false}, {"", "", true},
	} {
		if got := wildcard(c.pattern, c.text); got != c.want {
			t.Errorf("%q on %q: got %v", c.pattern, c.text, got)
		}
	}
}

package tail_test

import (
	"sync"
	"testing"

	"causeway/internal/tail"
)

func TestASlowWatcherLosesItemsAndIsToldHowMany(t *testing.T) {
	var hub tail.Hub
	slow, quick := hub.Watch(2), hub.Watch(10)
	defer slow.Close()
	defer quick.Close()
	for range 5 {
		hub.Publish(tail.Item{Kind: tail.Call})
	}
	if got := len(slow.Items()); got != 2 {
		t.Errorf("the slow watcher holds %d items, want 2", got)
	}
	if got := slow.Missed(); got != 3 {
		t.Errorf("the slow watcher missed %d, want 3", got)
	}
	if got := slow.Missed(); got != 0 {
		t.Errorf("asked again it missed %d, want 0", got)
	}
	if got := len(quick.Items()); got != 5 {
		t.Errorf("the quick watcher holds %d items, want 5", got)
	}
}

func TestPublishingToNobodyCostsNothingAndClosingTwiceIsFine(t *testing.T) {
	var hub tail.Hub
	hub.Publish(tail.Item{})
	w := hub.Watch(1)
	if !hub.Watched() {
		t.Error("a watcher watches, yet Watched says no")
	}
	w.Close()
	w.Close()
	if hub.Watched() {
		t.Error("nobody watches, yet Watched says yes")
	}
	hub.Publish(tail.Item{})
	if len(w.Items()) != 0 {
		t.Error("a closed watcher was given an item")
	}
}

func TestWatchersComeAndGoWhileItemsArePublished(t *testing.T) {
	var hub tail.Hub
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 200 {
				hub.Publish(tail.Item{Kind: tail.Event})
			}
		})
		group.Go(func() {
			for range 50 {
				w := hub.Watch(1)
				select {
				case <-w.Items():
				default:
				}
				w.Close()
			}
		})
	}
	group.Wait()
	if hub.Watched() {
		t.Error("every watcher closed, yet somebody watches")
	}
}

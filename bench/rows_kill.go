//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"time"
)

// The load of the row kill.
const (
	killRate  = 20_000 // calls a second
	killBatch = 10
	killAgain = 50 // requests of a round that are sent again in the next
)

// kill kills the server again and again under load, sends the end of each
// round again as an impatient client does, and then reads every event.
func (b *bench) kill() (err error) {
	s, err := b.serve("")
	if err != nil {
		return err
	}
	folder := s.folder
	defer func() { err = errors.Join(err, s.stop()) }()
	acknowledged := map[uint64]bool{}
	next := uint64(0)
	for round := range b.kills {
		if round > 0 {
			if s, err = b.again(folder, s); err != nil {
				return err
			}
		}
		l := load{
			address: s.address, request: newTemplate(s.address.String(), segmentBatch(destinationKey), killBatch), connections: 16,
			rate: killRate / killBatch, duration: time.Minute, endWithServer: true, first: next - min(next, killAgain*killBatch),
			answered: func(first uint64, status int, _ time.Time) {
				for n := first; status/100 == 2 && n < first+killBatch; n++ {
					acknowledged[n] = true
				}
			},
		}
		timer := time.AfterFunc(500*time.Millisecond+rand.N(700*time.Millisecond), func() { _ = s.process.Process.Kill() })
		o, err := l.run(b.ctx)
		timer.Stop()
		if err != nil {
			return err
		}
		next = o.next
	}
	if s, err = b.again(folder, s); err != nil {
		return err
	}
	lost, doubled, err := b.audit(s, acknowledged)
	if err != nil {
		return err
	}
	b.figure("kill", "acknowledged but lost", float64(lost), "", atMost(0), fmt.Sprintf("%d times kill -9, %s calls acknowledged", b.kills, amount(float64(len(acknowledged)), "")))
	b.figure("kill", "in the store twice", float64(doubled), "", atMost(0), fmt.Sprintf("the last %d calls of each round were sent again", killAgain*killBatch))
	return nil
}

// again starts a new process in the folder of one that was killed.
func (b *bench) again(folder string, killed *server) (*server, error) {
	killed.kill()
	s, err := b.serveAgain(folder)
	if err != nil {
		return killed, err
	}
	return s, nil
}

// audit reads every event until all acknowledged calls are there, or the store
// has stopped growing, and counts.
func (b *bench) audit(s *server, acknowledged map[uint64]bool) (lost, doubled int, err error) {
	for before := -1; ; time.Sleep(3 * time.Second) {
		counts, err := b.events(s)
		if err != nil {
			return 0, 0, err
		}
		all := 0
		lost, doubled = 0, 0
		for n := range acknowledged {
			if counts[n] == 0 {
				lost++
			}
		}
		for _, n := range counts {
			doubled += n - 1
			all += n
		}
		if lost == 0 || all == before {
			return lost, doubled, nil
		}
		before = all
	}
}

// events counts the events in the store by their call's number.
func (b *bench) events(s *server) (map[uint64]int, error) {
	counts := map[uint64]int{}
	for cursor := ""; ; {
		var page struct {
			Items      []struct{ ForeignID string }
			NextCursor string
		}
		if err := s.get(b.ctx, environment+"/events?limit=500&cursor="+url.QueryEscape(cursor), &page); err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			n, err := number(item.ForeignID)
			if err != nil {
				return nil, err
			}
			counts[n]++
		}
		if cursor = page.NextCursor; cursor == "" {
			return counts, nil
		}
	}
}

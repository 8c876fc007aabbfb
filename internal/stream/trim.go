package stream

import (
	"context"
	"fmt"
	"time"
)

const (
	// A stream that holds more than highWater of its budget drops processed
	// frames until it holds lowWater, so that an append rarely has to wait for
	// room.
	highWater, lowWater = 0.85, 0.70

	diskEvery     = 250 * time.Millisecond // how often the free disk is looked at
	journalsEvery = time.Second            // how often calls and impressions are trimmed
	outboundEvery = 2 * time.Second        // how often outbound streams are
	houseWait     = 5 * time.Second        // how long one of these may take
	reviveEvery   = 30 * time.Second       // how often a broken server is restarted
)

// Processed tells the stream that frames up to sequence are done with for
// good: they may be trimmed, by age or to make room. It never blocks; an older
// sequence than an earlier one changes nothing.
func (s *Streams) Processed(name Name, sequence uint64) {
	j, ok := s.journals[name]
	for ok {
		known := j.processed.Load()
		if sequence <= known || j.processed.CompareAndSwap(known, sequence) {
			return
		}
	}
}

// every calls do again and again until the streams close.
func (s *Streams) every(pause time.Duration, do func()) {
	s.tasks.Go(func() {
		ticker := time.NewTicker(pause)
		defer ticker.Stop()
		for {
			select {
			case <-s.closing.Done():
				return
			case <-ticker.C:
				do()
			}
		}
	})
}

// keepHouse watches the disk and trims until the streams close.
func (s *Streams) keepHouse() {
	s.watchDisk()
	s.every(diskEvery, s.watchDisk)
	s.every(journalsEvery, func() {
		for _, j := range s.journals {
			j.keepHouse()
		}
		s.revive()
	})
	s.every(outboundEvery, s.trimOutboxes)
}

// watchDisk stops everything from being accepted while the disk is nearly
// full, and drops processed frames to win room: a full disk would stop the
// storage engine, which is worse than refusing.
func (s *Streams) watchDisk() {
	if s.embedded == nil {
		return
	}
	free, err := s.options.free(s.options.Dir)
	if err != nil {
		s.log.Error("cannot tell how much of the disk is free", "err", err)
		return
	}
	low := free < s.options.ReserveDisk
	if s.diskLow.Swap(low) != low {
		s.log.Warn("free disk", "low", low, "free", free, "reserve", s.options.ReserveDisk)
	}
	if !low {
		return
	}
	ctx, cancel := context.WithTimeout(s.closing, houseWait)
	defer cancel()
	for _, j := range s.journals {
		if _, err := j.dropProcessed(ctx, s.options.ReserveDisk-free+s.options.ReserveDisk/4); err != nil {
			s.log.Error("cannot drop processed frames to win disk", "stream", j.name, "err", err)
		}
	}
}

// revive restarts the embedded server when its storage engine has stopped, or
// when it has met an error and a publish got no answer since: after a failed
// write the server holds on to the error, and a stream takes nothing more until
// then. Nothing that was acknowledged is touched.
func (s *Streams) revive() {
	s.reviving.Lock()
	defer s.reviving.Unlock()
	wait := min(reviveEvery<<min(s.revivals, 7), time.Hour) // a stream that can never be opened must not stop the others again and again
	if s.diskLow.Load() || !s.broken() || time.Since(s.revived) < wait {
		return
	}
	if s.embedded.absent.Load() > 0 && s.embedded.count(s.embedded.running()) == nil && !s.broken() {
		return // what was missing at the start was made since
	}
	s.log.Warn("restarting the embedded stream server after an error")
	s.revived = time.Now()
	s.stuck.Store(false)
	if err := s.embedded.restart(); err != nil {
		s.log.Error("cannot restart the embedded stream server", "err", err)
	}
	s.revivals++
	if absent := s.embedded.absent.Load(); absent == 0 {
		s.revivals = 0
	} else {
		s.log.Error("the embedded stream server did not open all streams; what they hold is still in their folders, and it is restarted again", "not_open", absent)
	}
}

// broken reports whether the embedded server needs a restart.
func (s *Streams) broken() bool {
	return s.embedded != nil && (s.embedded.stopped() || s.embedded.absent.Load() > 0 || s.stuck.Load() && s.embedded.errors.Load() > 0)
}

// keepHouse trims by age and by budget, and reports what the stream holds.
func (j *journal) keepHouse() {
	s := j.streams
	ctx, cancel := context.WithTimeout(s.closing, houseWait)
	defer cancel()
	state, err := s.state(ctx, string(j.name))
	if err == nil {
		j.grew(state.LastSeq)
		unprocessed := state.LastSeq - min(state.LastSeq, j.processed.Load())
		s.metrics.holds(string(j.name), state.Bytes, j.budget, unprocessed)
		if excess := float64(state.Bytes) - highWater*float64(j.budget); excess > 0 {
			_, err = j.dropProcessed(ctx, int64(float64(state.Bytes)-lowWater*float64(j.budget)))
		} else if state.Msgs > 0 && state.FirstSeq <= j.processed.Load() && time.Since(state.FirstTime) > s.options.KeepProcessed+ageSlack(s.options.KeepProcessed) {
			err = j.dropOld(ctx)
		}
	}
	if err != nil && s.closing.Err() == nil {
		s.log.Warn("cannot trim a stream now", "stream", j.name, "err", err)
	}
}

// ageSlack is how much too old frames may get, because dropping many at once
// costs as much as dropping one.
func ageSlack(keep time.Duration) time.Duration { return min(keep/20, 10*time.Minute) }

// dropOld drops processed frames that are older than Options.KeepProcessed.
func (j *journal) dropOld(ctx context.Context) error {
	horizon := time.Now().Add(-j.streams.options.KeepProcessed)
	page, err := j.streams.page(ctx, string(j.name), pageRequest{Since: &horizon, Batch: 1})
	if err != nil {
		return err
	}
	before := j.processed.Load() + 1
	if len(page) > 0 {
		before = min(before, page[0].sequence)
	}
	return j.dropBefore(ctx, before)
}

// dropBefore drops the frames below a sequence if there are any.
func (j *journal) dropBefore(ctx context.Context, before uint64) error {
	state, err := j.streams.state(ctx, string(j.name))
	if err != nil || state.Msgs == 0 || before <= state.FirstSeq {
		return err
	}
	return j.streams.purgeBefore(ctx, string(j.name), before)
}

// dropProcessed drops the oldest processed frames until about that many bytes
// are free, and returns how many it freed: less, when the rest is unprocessed.
func (j *journal) dropProcessed(ctx context.Context, bytes int64) (freed int64, err error) {
	j.trimming.Lock()
	defer j.trimming.Unlock()
	for freed < bytes {
		before, err := j.streams.state(ctx, string(j.name))
		if err != nil {
			return freed, err
		}
		cut := j.processed.Load() + 1
		if before.Msgs == 0 || cut <= before.FirstSeq {
			return freed, nil
		}
		// Frames differ in size, so this is a guess; the loop corrects it.
		average := int64(before.Bytes/before.Msgs) + 1
		cut = min(cut, before.FirstSeq+uint64((bytes-freed)/average)+1)
		if err := j.streams.purgeBefore(ctx, string(j.name), cut); err != nil {
			return freed, err
		}
		after, err := j.streams.state(ctx, string(j.name))
		if err != nil {
			return freed, err
		}
		freed += max(int64(before.Bytes)-int64(after.Bytes), 1)
		j.refusing.Store(false)
	}
	return freed, nil
}

// makeRoom is for an append that was refused: it drops processed frames at
// once and reports whether that freed anything.
func (j *journal) makeRoom(ctx context.Context, bytes int64) bool {
	freed, err := j.dropProcessed(ctx, max(bytes, int64((1-lowWater)*float64(j.budget))))
	if err != nil {
		j.streams.log.Warn("cannot make room in a stream", "stream", j.name, "err", err)
	}
	return freed > 0
}

// full says, in a sentence, that the stream refuses, or returns nil.
func (j *journal) full(ctx context.Context) error {
	state, err := j.streams.state(ctx, string(j.name))
	if err != nil {
		return fmt.Errorf("stream %s cannot be written to now: %w", j.name, err)
	}
	trimmable := state.Msgs > 0 && state.FirstSeq <= j.processed.Load()
	if !j.refusing.Load() || trimmable {
		return nil
	}
	return fmt.Errorf("stream %s holds %d of %d bytes and none of it is processed yet: see why processing lags, or raise its budget", j.name, state.Bytes, j.budget)
}

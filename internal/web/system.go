package web

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"causeway/internal/auth"
	"causeway/internal/backup"
	"causeway/internal/store"
	"causeway/internal/stream"
)

// Setting is one setting of the server and where its value comes from.
type Setting struct {
	Name  string `json:"name"`  // of the flag
	Value string `json:"value"` // "[secret]" instead of a secret
	From  string `json:"from"`  // default, flag, environment variable NAME
	Help  string `json:"help"`
}

// System is what the console shows of the process and its machine.
type System struct {
	Settings  []Setting
	Data      string // the data folder
	Retention store.Retention
	Free      func() (int64, error) // bytes of the data folder's disk; nil: not known
}

// systemPage is how the server itself is.
type systemPage struct {
	layout
	Now        time.Time
	Started    time.Time
	Go         string
	Processors int
	Goroutines int
	HeapBytes  uint64
	FromSystem uint64 // bytes that the runtime has of the operating system
	StoreBytes int64
	Free       int64 // of the disk; -1: not known
	Checks     []Check
	Streams    []systemStream
	Outgoing   []systemQueue
	Retention  []kept
	LastBackup *backup.Record // nil: there was none
	CanBackUp  bool
	// Whole says that the rest is shown: it is for admins of the server.
	Whole    bool
	Data     string
	Settings []Setting
	Modules  []*debug.Module
}

type systemStream struct {
	Name    stream.Name
	Bytes   uint64
	Frames  uint64
	Waiting uint64
	Oldest  time.Time // of those that wait; zero: none does
}

type systemQueue struct {
	Source  string
	State   string
	Waiting int
	Oldest  time.Time
}

type kept struct {
	What string
	For  time.Duration // zero: for ever
}

func systemRoutes() []route {
	return []route{{pattern: "GET /system", need: auth.See, server: true, handle: (*Server).system}}
}

func (s *Server) system(r *request) error {
	page := systemPage{
		layout: s.layout(r, "System"), Now: r.now, Started: s.Started, Go: runtime.Version(), Processors: runtime.NumCPU(), Goroutines: runtime.NumGoroutine(),
		Free: -1, Checks: s.Ready(r.Context()), Whole: r.who.May(auth.Administer, ""), CanBackUp: s.Backups != nil, Retention: retentionShown(s.System.Retention),
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	page.HeapBytes, page.FromSystem = memory.HeapAlloc, memory.Sys
	var err error
	if page.StoreBytes, err = s.Store.Size(); err != nil {
		return storeFailed(err)
	}
	if s.System.Free != nil {
		if free, err := s.System.Free(); err == nil {
			page.Free = free
		}
	}
	if page.Streams, err = s.systemStreams(r.Context()); err != nil {
		return err
	}
	if page.Outgoing, err = s.systemQueues(r.Context()); err != nil {
		return err
	}
	if page.LastBackup, err = s.lastBackup(r.Context()); err != nil {
		return err
	}
	if page.Whole {
		page.Data, page.Settings = s.System.Data, s.System.Settings
		if build, ok := debug.ReadBuildInfo(); ok {
			page.Modules = build.Deps
		}
	}
	return s.show(r, "system", page)
}

// lastBackup is the last one; nil: there was none, or none can be made.
func (s *Server) lastBackup(ctx context.Context) (*backup.Record, error) {
	if s.Backups == nil {
		return nil, nil
	}
	last, ok, err := s.Backups.Last(ctx)
	if !ok || err != nil {
		return nil, err
	}
	return &last, nil
}

// systemStreams says how much the streams hold, and since when what waits to be
// stored has waited.
func (s *Server) systemStreams(ctx context.Context) ([]systemStream, error) {
	var list []systemStream
	for _, name := range []stream.Name{stream.Calls, stream.Impressions} {
		first, last, bytes, err := s.Streams.Bounds(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("bounds of the stream %s: %w", name, err)
		}
		position, err := s.Store.Position(ctx, string(name))
		if err != nil {
			return nil, storeFailed(err)
		}
		one := systemStream{Name: name, Bytes: bytes, Frames: last + 1 - first}
		if last > position {
			one.Waiting = last - position
			// It may be stored and trimmed in this moment; then it waits no longer.
			if frame, err := s.Streams.Frame(ctx, name, position+1); err == nil {
				one.Oldest = frame.Time
			}
		}
		list = append(list, one)
	}
	return list, nil
}

func (s *Server) systemQueues(ctx context.Context) ([]systemQueue, error) {
	sources, err := s.Streams.OutboundSources(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the outbound streams: %w", err)
	}
	states, err := s.Streams.DeliveryStates(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the delivery states: %w", err)
	}
	var list []systemQueue
	for _, source := range sources {
		queue, err := s.Streams.Outbound(ctx, source)
		if err != nil {
			return nil, fmt.Errorf("open the outbound stream of %s: %w", source, err)
		}
		one := systemQueue{Source: source, State: cmp.Or(states[source].State, "not started")}
		if one.Waiting, one.Oldest, err = queue.Pending(ctx); err != nil {
			return nil, fmt.Errorf("count what waits for %s: %w", source, err)
		}
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b systemQueue) int { return cmp.Compare(a.Source, b.Source) })
	return list, nil
}

func retentionShown(r store.Retention) []kept {
	return []kept{
		{"Events", r.Events}, {"Impressions, counts, unique keys", r.Impressions}, {"The list of event types", r.EventTypes},
		{"What became of calls", r.Calls}, {"Delivery attempts", r.Deliveries}, {"SDK telemetry", r.Telemetry}, {"Remembered ids", r.Dedup},
	}
}

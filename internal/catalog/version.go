package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"causeway/internal/fme"
)

// versions remembers, by environment, which change number belongs to what is
// served, and what is served no longer. It is stored with the document, so
// that one compare-and-swap changes both and every node says the same.
type versions map[fme.EnvironmentID]*environmentVersions

type environmentVersions struct {
	// Last is the highest change number given out in the environment.
	Last     int64                      `json:"last"`
	Flags    map[string]flagVersion     `json:"flags,omitempty"`
	Segments map[string]*segmentVersion `json:"segments,omitempty"`
}

// flagVersion is what is remembered of a flag that is, or was, served.
type flagVersion struct {
	ChangeNumber int64  `json:"cn"`
	Digest       string `json:"digest,omitempty"`      // of the content; empty: the flag is gone
	TrafficType  string `json:"trafficType,omitempty"` // of a flag that is gone
}

// segmentVersion is what is remembered of a segment's keys.
type segmentVersion struct {
	ChangeNumber int64            `json:"cn"`
	Keys         string           `json:"keys,omitempty"` // digest of the keys; empty: the segment is gone
	Removed      map[string]int64 `json:"removed,omitempty"`
}

// How long the flags and keys that are gone are remembered. SDKs poll about
// every minute and cannot be told to start over: one that does not hear of a
// removal keeps what it has until it starts again. So the bounds are far
// beyond what a working SDK misses, and only keep a server from growing for
// ever.
const (
	rememberGone        = 90 * 24 * time.Hour
	rememberMany        = 24 * time.Hour // when there are more than these:
	maxGoneFlags        = 10_000         // per environment
	maxRemovedKeys      = 100_000        // per segment
	firstChangeNumber   = 1              // of what was stored without one
	noChangeNumberKnown = -1
)

// contents is what the environments of a document serve, before it has change
// numbers.
type contents map[fme.EnvironmentID]*environmentContents

type environmentContents struct {
	flags    map[string]map[string]any
	segments map[string][]string // sorted, without repeats
}

// contents lists what a document serves.
func (d *Document) contents() contents {
	all := make(contents)
	for i := range d.Projects {
		p := &d.Projects[i]
		for _, e := range p.Environments {
			id := fme.NewEnvironmentID(p.Name, e.Name)
			c := &environmentContents{flags: make(map[string]map[string]any), segments: make(map[string][]string)}
			for j := range p.Flags {
				if serving, served := p.Flags[j].In(e.Name); served {
					c.flags[p.Flags[j].Name] = p.Flags[j].content(serving, id)
				}
			}
			for _, s := range p.Segments {
				keys := s.Keys
				if here, other := s.Environments[e.Name]; other {
					keys = here.Keys
				}
				keys = slices.Clone(keys)
				slices.Sort(keys)
				c.segments[s.Name] = slices.Compact(keys)
			}
			all[id] = c
		}
	}
	return all
}

// next is what is to be remembered when these contents are served from now on
// and before them others were. Each environment's changes share one new number.
func (v versions) next(before, after contents, now time.Time) (versions, error) {
	out := make(versions)
	for id := range after {
		out[id] = v[id].clone()
	}
	for id := range v {
		out[id] = v[id].clone() // also of environments that are gone
	}
	for id, e := range out {
		was, is := cmp.Or(before[id], &environmentContents{}), cmp.Or(after[id], &environmentContents{})
		number := max(now.UnixMilli(), e.Last+1)
		changed, err := e.changeFlags(was, is, number)
		if err != nil {
			return nil, err
		}
		if e.changeSegments(was, is, number) || changed {
			e.Last = number
		}
		e.forget(now)
		if len(e.Flags)+len(e.Segments) == 0 && after[id] == nil {
			delete(out, id)
		}
	}
	return out, nil
}

func (e *environmentVersions) clone() *environmentVersions {
	if e == nil {
		return &environmentVersions{Last: noChangeNumberKnown, Flags: make(map[string]flagVersion), Segments: make(map[string]*segmentVersion)}
	}
	c := &environmentVersions{Last: e.Last, Flags: make(map[string]flagVersion, len(e.Flags)), Segments: make(map[string]*segmentVersion, len(e.Segments))}
	maps.Copy(c.Flags, e.Flags)
	for name, s := range e.Segments {
		c.Segments[name] = &segmentVersion{s.ChangeNumber, s.Keys, maps.Clone(s.Removed)}
	}
	return c
}

// changeFlags gives the new number to every flag that is served otherwise.
func (e *environmentVersions) changeFlags(was, is *environmentContents, number int64) (changed bool, err error) {
	for name, content := range is.flags {
		digest, err := digestOfContent(content)
		if err != nil {
			return false, err
		}
		if e.Flags[name].Digest != digest {
			e.Flags[name] = flagVersion{ChangeNumber: number, Digest: digest}
			changed = true
		}
	}
	for name, flag := range e.Flags {
		if is.flags[name] != nil || flag.Digest == "" {
			continue
		}
		trafficType, _ := was.flags[name]["trafficTypeName"].(string)
		e.Flags[name] = flagVersion{ChangeNumber: number, TrafficType: trafficType}
		changed = true
	}
	return changed, nil
}

// changeSegments gives the new number to every segment that has other keys,
// and remembers the keys it lost.
func (e *environmentVersions) changeSegments(was, is *environmentContents, number int64) (changed bool) {
	names := make(map[string][]string, len(is.segments))
	maps.Copy(names, is.segments)
	for name := range e.Segments {
		if _, there := names[name]; !there {
			names[name] = nil
		}
	}
	for name, keys := range names {
		s, digest := e.Segments[name], ""
		if _, there := is.segments[name]; there {
			digest = digestOfKeys(keys)
		}
		if s != nil && s.Keys == digest {
			continue
		}
		if s == nil {
			s = &segmentVersion{}
			e.Segments[name] = s
		}
		s.ChangeNumber, s.Keys = number, digest
		s.lose(was.segments[name], keys, number)
		changed = true
	}
	return changed
}

// lose remembers the keys that were there and are not.
func (s *segmentVersion) lose(was, is []string, number int64) {
	if s.Removed == nil {
		s.Removed = make(map[string]int64)
	}
	for _, key := range was {
		s.Removed[key] = number
	}
	for _, key := range is {
		delete(s.Removed, key)
	}
}

func digestOfKeys(keys []string) string {
	id := fme.NewID(keys...)
	return fmt.Sprintf("%x", id[:12])
}

// forget drops what is gone for too long, and the oldest of what is too much.
func (e *environmentVersions) forget(now time.Time) {
	for name, s := range e.Segments {
		if s.Keys == "" && s.ChangeNumber < now.Add(-rememberGone).UnixMilli() {
			delete(e.Segments, name)
			continue
		}
		since := rememberedSince(slices.Collect(maps.Values(s.Removed)), maxRemovedKeys, now)
		maps.DeleteFunc(s.Removed, func(_ string, number int64) bool { return number < since })
	}
	var gone []int64
	for _, f := range e.Flags {
		if f.Digest == "" {
			gone = append(gone, f.ChangeNumber)
		}
	}
	since := rememberedSince(gone, maxGoneFlags, now)
	maps.DeleteFunc(e.Flags, func(_ string, f flagVersion) bool { return f.Digest == "" && f.ChangeNumber < since })
}

// rememberedSince is the oldest change number that is still remembered, of
// these that belong to something gone.
func rememberedSince(gone []int64, most int, now time.Time) int64 {
	since := now.Add(-rememberGone).UnixMilli()
	if len(gone) > most {
		slices.Sort(gone)
		since = max(since, min(gone[len(gone)-most], now.Add(-rememberMany).UnixMilli()))
	}
	return since
}

// serving joins what is served with its change numbers.
func (e *environmentVersions) serving(is *environmentContents) (*Serving, error) {
	e = e.clone()
	s := &Serving{ChangeNumber: noChangeNumberKnown, Segments: make(map[string]*KeySegment, len(e.Segments))}
	for name, content := range is.flags {
		flag, err := newFlag(content, cmp.Or(e.Flags[name].ChangeNumber, firstChangeNumber))
		if err != nil {
			return nil, err
		}
		s.Flags = append(s.Flags, flag)
		s.ChangeNumber = max(s.ChangeNumber, flag.ChangeNumber)
	}
	for name, f := range e.Flags {
		if f.Digest == "" {
			s.Archived = append(s.Archived, ArchivedFlag{name, f.TrafficType, f.ChangeNumber})
			s.ChangeNumber = max(s.ChangeNumber, f.ChangeNumber)
		}
	}
	slices.SortFunc(s.Flags, func(a, b *Flag) int {
		return cmp.Or(cmp.Compare(a.ChangeNumber, b.ChangeNumber), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(s.Archived, func(a, b ArchivedFlag) int {
		return cmp.Or(cmp.Compare(a.ChangeNumber, b.ChangeNumber), cmp.Compare(a.Name, b.Name))
	})
	for name, keys := range is.segments {
		s.Segments[name] = &KeySegment{Name: name, ChangeNumber: firstChangeNumber, Keys: keys}
	}
	for name, v := range e.Segments {
		segment := s.Segments[name]
		if segment == nil {
			segment = &KeySegment{Name: name}
			s.Segments[name] = segment
		}
		segment.ChangeNumber = v.ChangeNumber
		for _, key := range slices.Sorted(maps.Keys(v.Removed)) {
			segment.Removed = append(segment.Removed, RemovedKey{key, v.Removed[key]})
		}
	}
	return s, nil
}

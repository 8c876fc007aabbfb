package storetest

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"causeway/internal/fme"
	"causeway/internal/store"
)

func (w world) analyze(e store.Exposure, q store.MetricQuery) store.MetricResult {
	keys := w.exposed(e)
	r := store.MetricResult{Arms: w.arms(e, q, keys, nil)}
	isExposed := map[string]*exposed{}
	before := e
	before.Entry = nil
	for _, x := range w.exposed(before) {
		isExposed[x.key] = &exposed{}
	}
	for i := range keys {
		isExposed[keys[i].key] = &keys[i]
	}
	frequency := map[string]int{}
	for _, ev := range w.events {
		if ev.Environment != e.Environment || ev.TrafficType != e.TrafficType || !matches(ev, q.Event) ||
			!within(ev, e.From.Add(-e.Buffer), e.To.Add(e.Buffer)) {
			continue
		}
		r.Events++
		x := isExposed[ev.Key]
		if x == nil {
			continue
		}
		r.EventsOfExposed++
		if slices.ContainsFunc(x.stays, func(s stay) bool { return !s.excluded && within(ev, s.from, s.until) }) {
			r.EventsInWindow++
		}
		for _, s := range x.stays {
			from, counts := w.countsFrom(e, q, x.key, s)
			if text, ok := textOf(ev, q.Dimension); counts && ok && from(ev) {
				frequency[text]++
			}
		}
	}
	if q.Dimension == "" {
		return r
	}
	var values []string
	for value := range frequency {
		values = append(values, value)
	}
	slices.SortFunc(values, func(a, b string) int {
		return cmp.Or(cmp.Compare(frequency[b], frequency[a]), strings.Compare(a, b))
	})
	for _, value := range values[:min(20, len(values))] {
		only := func(text string) bool { return text == value }
		r.Dimensions = append(r.Dimensions, store.DimensionArms{Value: value, Arms: w.arms(e, q, keys, only)})
	}
	if len(values) > 20 {
		others := func(text string) bool { return slices.Contains(values[20:], text) }
		r.Dimensions = append(r.Dimensions, store.DimensionArms{Value: "Others", Arms: w.arms(e, q, keys, others)})
	}
	return r
}

// countsFrom says whether a key is measured in an arm, and which of its events
// are in its time.
func (w world) countsFrom(e store.Exposure, q store.MetricQuery, key string, s stay) (in func(fme.Event) bool, counts bool) {
	if s.excluded {
		return nil, false
	}
	var after time.Time
	if q.HasDone != nil {
		done := w.firstTime(e, key, *q.HasDone, s.from, s.until)
		if done.IsZero() {
			return nil, false
		}
		if q.HasDoneBefore {
			after = done
		}
	}
	return func(ev fme.Event) bool {
		return within(ev, s.from, s.until) && (after.IsZero() || ev.Time.After(after))
	}, true
}

// arms measures each treatment; only, when set, restricts to values of the dimension.
func (w world) arms(e store.Exposure, q store.MetricQuery, keys []exposed, only func(string) bool) []store.Arm {
	arms := make([]store.Arm, len(e.Treatments))
	for i, treatment := range e.Treatments {
		a := &arms[i]
		a.Treatment = treatment
		var values []float64
		for _, x := range keys {
			for _, s := range x.stays {
				if s.treatment != treatment {
					continue
				}
				a.InTotal++
				if value, ok := w.contribution(e, q, x.key, s, only); ok {
					values = append(values, value)
				}
			}
		}
		a.N = int64(len(values))
		a.Excluded = a.InTotal - a.N
		moments(a, values)
	}
	return arms
}

// contribution is what one key contributes in one arm; false: nothing, it is
// left out.
func (w world) contribution(e store.Exposure, q store.MetricQuery, key string, s stay, only func(string) bool) (float64, bool) {
	in, counts := w.countsFrom(e, q, key, s)
	if !counts {
		return 0, false
	}
	type sum struct {
		total  float64
		events int
	}
	var all sum
	days := map[int]sum{}
	for _, ev := range w.eventsOf(e, key, q.Event) {
		if !in(ev) {
			continue
		}
		if only != nil {
			if text, ok := textOf(ev, q.Dimension); !ok || !only(text) {
				continue
			}
		}
		add := 1.0
		if q.Kind == store.MetricSum || q.Kind == store.MetricAverage {
			var ok bool
			if add, ok = numberOf(ev, q.Value); !ok {
				continue
			}
		}
		all.total += add
		all.events++
		day := days[int(max(0, ev.Time.Sub(s.first)/(24*time.Hour)))]
		day.total += add
		days[int(max(0, ev.Time.Sub(s.first)/(24*time.Hour)))] = day
	}
	limit := math.Inf(1)
	if q.Cap > 0 {
		limit = q.Cap
	}
	switch q.Kind {
	case store.MetricCount, store.MetricSum:
		if !q.CapPerDay {
			return min(all.total, limit), true
		}
		total := 0.0
		for _, day := range days {
			total += min(day.total, limit)
		}
		return total, true
	case store.MetricAverage:
		if all.events == 0 {
			return 0, false
		}
		return min(all.total/float64(all.events), limit), true
	case store.MetricRatio:
		denominators := 0
		for _, ev := range w.eventsOf(e, key, *q.Denominator) {
			if in(ev) {
				denominators++
			}
		}
		if denominators == 0 {
			return 0, false
		}
		return min(all.total/float64(denominators), limit), true
	case store.MetricPercent:
		return min(all.total, 1), true
	}
	panic("no such kind: " + q.Kind)
}

// moments fills in what an arm says of its values, in two passes.
func moments(a *store.Arm, values []float64) {
	if len(values) == 0 {
		return
	}
	n := float64(len(values))
	for _, v := range values {
		a.Sum += v
	}
	mean := a.Sum / n
	for _, v := range values {
		a.M2 += (v - mean) * (v - mean)
	}
	a.Mean = mean
	slices.Sort(values)
	a.Min, a.Max = values[0], values[len(values)-1]
	a.P50, a.P95 = quantile(values, 0.5), quantile(values, 0.95)
	if math.IsInf(a.Sum, 0) || math.IsNaN(a.Sum) || math.IsInf(a.M2, 0) || math.IsNaN(a.M2) {
		*a = store.Arm{Treatment: a.Treatment, InTotal: a.InTotal, Excluded: a.Excluded, N: a.N, Overflow: true}
	}
}

// quantile interpolates between the two nearest of sorted values.
func quantile(sorted []float64, q float64) float64 {
	place := q * float64(len(sorted)-1)
	below := int(place)
	if below+1 == len(sorted) {
		return sorted[below]
	}
	return sorted[below] + (place-float64(below))*(sorted[below+1]-sorted[below])
}

func (w world) report(e store.Exposure) store.ExposureReport {
	var r store.ExposureReport
	keys := w.exposed(e)
	days := map[time.Time][]int64{}
	for _, treatment := range e.Treatments {
		r.Arms = append(r.Arms, store.ArmExposure{Treatment: treatment})
	}
	for _, x := range keys {
		r.Keys++
		if x.several {
			r.InSeveral++
		}
		if x.changes > 1 {
			r.Excluded++
		}
		for _, s := range x.stays {
			i := slices.Index(e.Treatments, s.treatment)
			r.Arms[i].Impressions += s.impressions
			if r.FirstImpression.IsZero() || s.first.Before(r.FirstImpression) {
				r.FirstImpression = s.first
			}
			if s.lastSeen.After(r.LastSeen) {
				r.LastSeen = s.lastSeen
			}
			if s.excluded {
				r.Arms[i].Excluded++
				continue
			}
			r.Arms[i].Keys++
			day := s.first.UTC().Truncate(24 * time.Hour)
			if days[day] == nil {
				days[day] = make([]int64, len(e.Treatments))
			}
			days[day][i]++
		}
		exposedAt, did := x.stays[0].exposedFrom, false
		for _, s := range x.stays {
			if s.exposedFrom.Before(exposedAt) {
				exposedAt = s.exposedFrom
			}
		}
		for _, ev := range w.events {
			if ev.Environment != e.Environment || ev.TrafficType != e.TrafficType || ev.Key != x.key {
				continue
			}
			did = did || slices.ContainsFunc(x.stays, func(s stay) bool { return within(ev, s.from, s.until) })
			if within(ev, e.From, e.To) && ev.Time.Before(exposedAt) {
				r.EventsBefore++
			}
			if within(ev, e.From.Add(-e.Buffer), e.To.Add(e.Buffer)) {
				r.EventsOfKeys++
				if ev.ReceivedAt.Sub(ev.Time) > time.Hour {
					r.LateEvents++
				}
			}
		}
		if did {
			r.WithEvents++
		}
	}
	for day, counts := range days {
		r.Days = append(r.Days, store.ExposureDay{Day: day, Keys: counts})
	}
	slices.SortFunc(r.Days, func(a, b store.ExposureDay) int { return a.Day.Compare(b.Day) })
	r.Rules, r.Versions = w.rules(e), w.versions(e)
	return r
}

func (w world) rules(e store.Exposure) []store.RuleCount {
	keys := map[string]map[string]bool{}
	for _, i := range w.seen(e, false) {
		if slices.Contains(e.Treatments, i.Treatment) {
			if keys[i.Label] == nil {
				keys[i.Label] = map[string]bool{}
			}
			keys[i.Label][i.Key] = true
		}
	}
	var list []store.RuleCount
	for rule, of := range keys {
		list = append(list, store.RuleCount{Rule: rule, Keys: int64(len(of))})
	}
	slices.SortFunc(list, func(a, b store.RuleCount) int {
		return cmp.Or(cmp.Compare(b.Keys, a.Keys), strings.Compare(a.Rule, b.Rule))
	})
	return list
}

func (w world) versions(e store.Exposure) []store.VersionCount {
	var list []store.VersionCount
	keys := map[int64]map[string]bool{}
	for _, i := range w.seen(e, true) {
		at := slices.IndexFunc(list, func(v store.VersionCount) bool { return v.ChangeNumber == i.ChangeNumber })
		if at < 0 {
			at = len(list)
			list = append(list, store.VersionCount{ChangeNumber: i.ChangeNumber, First: i.Time, Last: i.Time})
			keys[i.ChangeNumber] = map[string]bool{}
		}
		v := &list[at]
		if i.Time.Before(v.First) {
			v.First = i.Time
		}
		if i.Time.After(v.Last) {
			v.Last = i.Time
		}
		keys[i.ChangeNumber][i.Key] = true
		v.Keys = int64(len(keys[i.ChangeNumber]))
	}
	slices.SortFunc(list, func(a, b store.VersionCount) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.ChangeNumber, b.ChangeNumber))
	})
	return list
}

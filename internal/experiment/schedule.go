package experiment

import (
	"hash/fnv"
	"time"
)

// every is how long after one calculation the next is due, by the age of the
// experiment (Harness FME, "Metric calculation schedule").
func every(age time.Duration) time.Duration {
	const day = 24 * time.Hour
	switch {
	case age < 30*time.Minute:
		return 5 * time.Minute
	case age < 12*time.Hour+30*time.Minute:
		return time.Hour
	case age < day+30*time.Minute:
		return 2 * time.Hour
	case age < 14*day:
		return day
	}
	return 7 * day
}

// due is when an experiment is to be computed next; false: never by itself.
// last are the results of the experiment as it is defined now; nil: none.
func due(plan Plan, last *Results) (time.Time, bool) {
	if last == nil {
		return plan.Start, true
	}
	if last.Final {
		return time.Time{}, false
	}
	// An experiment begins with its first exposure, not with a start that was
	// set back: until then it is looked at as often as a new one.
	age := time.Duration(0)
	if first := last.Health.Exposures.First; first != nil {
		age = last.ComputedAt.Sub(later(plan.Start, *first))
	}
	next := last.ComputedAt.Add(every(age))
	next = next.Add(jitter(plan, next.Sub(last.ComputedAt)))
	if end := plan.End.Add(plan.buffer()); !plan.End.IsZero() && next.After(end) {
		next = end
	}
	return next, true
}

// jitter spreads experiments that began together over a tenth of the interval.
func jitter(plan Plan, interval time.Duration) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(plan.Project + "/" + plan.ID))
	return interval / 10 * time.Duration(h.Sum32()%1000) / 1000
}

package app

import (
	"testing"
	"time"
)

func TestAClockThatJumpsAheadMakesNothingOld(t *testing.T) {
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	watch := watchClock(start)
	for _, step := range []struct {
		name   string
		passed time.Duration
		wall   time.Time
		want   time.Duration
	}{
		{"an ordinary hour", time.Hour, start.Add(time.Hour), 0},
		{"a clock that is a little fast", 2 * time.Hour, start.Add(2*time.Hour + time.Minute), time.Minute},
		{"a year ahead", 3 * time.Hour, start.Add(3*time.Hour + 8760*time.Hour), 8760 * time.Hour},
		{"still a year ahead", 9 * time.Hour, start.Add(9*time.Hour + 8760*time.Hour), 8760 * time.Hour},
		{"set right again", 10 * time.Hour, start.Add(10 * time.Hour), 0},
		{"set back a day", 11 * time.Hour, start.Add(-13 * time.Hour), 0},
		{"a day ahead of that", 12 * time.Hour, start.Add(12 * time.Hour), 24 * time.Hour},
	} {
		if got := watch.ahead(step.wall, step.passed); got != step.want {
			t.Errorf("%s: %s ahead, want %s", step.name, got, step.want)
		}
	}
}

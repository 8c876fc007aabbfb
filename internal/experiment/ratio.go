package experiment

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"causeway/internal/stats"
	"causeway/internal/store"
)

// ratioConcentration is the prior's weight, in keys, of the sequential
// sample-ratio check. It is the same for every experiment, for ever.
const ratioConcentration = 1000

// sampleRatio checks the sizes of one treatment and the baseline, after
// exclusions and the entry event.
func (c *conclusion) sampleRatio(index int) SampleRatio {
	treatment, report := c.plan.Treatments[index], c.ev.Exposures
	r := SampleRatio{Treatment: treatment, Tone: Neutral, State: RatioNotApplicable, Threshold: c.plan.Settings.SampleRatioThreshold, Arms: []RatioArm{}, Causes: []Suspicion{}}
	if c.plan.Baseline == "" {
		return r.because("the experiment names no baseline")
	}
	observed := []int64{exposureOf(report, c.plan.Baseline).Keys, exposureOf(report, treatment).Keys}
	shares := []float64{c.plan.Shares[c.plan.Baseline], c.plan.Shares[treatment]}
	total, meant := float64(observed[0]+observed[1]), shares[0]+shares[1]
	for i, name := range []string{c.plan.Baseline, treatment} {
		arm := RatioArm{Treatment: name, Keys: observed[i], Share: finite(float64(observed[i]) / total)}
		if len(c.plan.Shares) > 0 {
			arm.Expected = finite(shares[i] / meant)
		}
		r.Arms = append(r.Arms, arm)
	}
	switch {
	case !c.possible:
		return r.because("the experiment takes any rule and there are several, each with shares of its own")
	case len(c.plan.Shares) == 0:
		return r.because(cmp.Or(c.plan.NoShares, "nobody knows which shares were meant"))
	case c.ev.Version == nil && len(report.Versions) > 1:
		return r.because("several versions of the flag count together, and their shares may differ")
	}
	once := stats.CheckSampleRatio(observed, shares, r.Threshold)
	if !once.Ready() {
		return r.because(once.Reason)
	}
	r.Chi2, r.P = finite(once.ChiSquared), finite(once.P)
	c.lookAtRatio(&r, observed, shares)
	how := fmt.Sprintf("%s has %s of the two arms' keys, %s was meant (p %s).", treatment, percent(*r.Arms[1].Share), percent(*r.Arms[1].Expected), probability(once.P))
	if !once.Mismatch && (r.PSmallest == nil || *r.PSmallest >= r.Threshold) {
		r.State, r.Tone, r.Sentence = RatioValid, Good, "The arms have the sizes they were meant to have: "+how
		return r
	}
	r.State, r.Tone = RatioMismatch, Bad
	r.Sentence = "The arms do not have the sizes they were meant to have: " + how + " Something decides who is counted, so no metric of this treatment can be trusted."
	if !once.Mismatch {
		r.Sentence += " This look alone would not show it, an earlier one did."
	}
	r.Causes = c.suspicions(treatment, observed, shares)
	return r
}

func (r SampleRatio) because(reason string) SampleRatio {
	r.Reason, r.Sentence = reason, "The sample ratio cannot be checked: "+reason+"."
	return r
}

// lookAtRatio adds this look to those of the sequential check.
func (c *conclusion) lookAtRatio(r *SampleRatio, observed []int64, shares []float64) {
	var running stats.Running
	if c.earlier != nil {
		for _, before := range c.earlier.Health.SampleRatios {
			if before.Treatment == r.Treatment && before.PSmallest != nil {
				running = stats.Running{Looks: before.Looks, P: *before.PSmallest}
			}
		}
	}
	if now := stats.CheckSampleRatioSequentially(observed, shares, ratioConcentration); now.Ready() {
		running = running.Next(now.P, nil)
	}
	if running.Looks > 0 {
		r.Looks, r.PSmallest = running.Looks, finite(running.P)
	}
}

func exposureOf(report store.ExposureReport, treatment string) store.ArmExposure {
	for _, a := range report.Arms {
		if a.Treatment == treatment {
			return a
		}
	}
	return store.ArmExposure{Treatment: treatment}
}

// suspicions lists what makes arms uneven, that for which these data speak first.
func (c *conclusion) suspicions(treatment string, observed []int64, shares []float64) []Suspicion {
	report := c.ev.Exposures
	expected := float64(observed[0]+observed[1]) * shares[1] / (shares[0] + shares[1])
	few, lacks := treatment, expected-float64(observed[1])
	if lacks < 0 {
		few, lacks = c.plan.Baseline, -lacks
	}
	list := []Suspicion{
		{Cause: fmt.Sprintf("Impressions of %s get lost before they are sent", few),
			Evidence: fmt.Sprintf("About %s fewer keys were seen with %s than were meant.", grouped(int64(math.Round(lacks))), few),
			Check:    fmt.Sprintf("Does %s crash, redirect or leave the page before the SDK sends? Compare with the server's own log.", few)},
		{Cause: "Keys change their treatment", Check: "Does every place evaluate the flag with the same key? Is one id used for many people?"},
		{Cause: "Keys are excluded more often in one arm", Check: "Why do the attributes that decide between the rules change?"},
		{Cause: "The shares were changed while it ran", Check: "Start again with a new version of the flag, or set the start to the last change."},
		{Cause: "The fault began on one day", Check: "What was released on that day?"},
		{Cause: "Robots, or few keys with very many impressions", Check: "Look for keys that are no people: tests, monitoring, a constant."},
	}
	if share := float64(report.InSeveral) / float64(max(report.Keys, 1)); share >= severalWarns {
		list[1].Evidence = fmt.Sprintf("%s of the keys saw more than one treatment.", percent(share))
	}
	b, t := exposureOf(report, c.plan.Baseline), exposureOf(report, treatment)
	if check := stats.CheckSampleRatio([]int64{b.Excluded, t.Excluded}, shares, 0.001); check.Ready() && check.Mismatch {
		list[2].Evidence = fmt.Sprintf("%s were excluded of %s, %s of %s.", grouped(b.Excluded), b.Treatment, grouped(t.Excluded), t.Treatment)
	}
	if len(report.Versions) > 1 {
		list[3].Evidence = fmt.Sprintf("%d versions of the flag were seen.", len(report.Versions))
	}
	list[4].Evidence = c.oddDays(treatment, shares)
	if c.plan.Entry != nil {
		list = append(list, Suspicion{Cause: fmt.Sprintf("The treatment changes who does %s", c.plan.Entry.EventType),
			Evidence: "Only keys that did the entry event are in the experiment.",
			Check:    "Choose an entry event that happens before the treatment can be seen, or none."})
	}
	slices.SortStableFunc(list, func(a, b Suspicion) int { return cmp.Compare(rank(a), rank(b)) })
	return list
}

func rank(s Suspicion) int {
	if s.Evidence == "" {
		return 1
	}
	return 0
}

// oddDays says whether a mismatch is that of some days only.
func (c *conclusion) oddDays(treatment string, shares []float64) string {
	arms := c.plan.Arms()
	b, t := slices.Index(arms, c.plan.Baseline), slices.Index(arms, treatment)
	odd, checked, first := 0, 0, ""
	for _, d := range c.ev.Exposures.Days {
		if len(d.Keys) != len(arms) {
			continue
		}
		check := stats.CheckSampleRatio([]int64{d.Keys[b], d.Keys[t]}, shares, 0.001)
		if !check.Ready() {
			continue
		}
		checked++
		if check.Mismatch {
			odd++
			if first == "" {
				first = day(d.Day)
			}
		}
	}
	if odd == 0 || odd*2 > checked {
		return ""
	}
	return fmt.Sprintf("Of %d days, %s off, the first on %s.", checked, pick(int64(odd), "one is", fmt.Sprintf("%d are", odd)), first)
}

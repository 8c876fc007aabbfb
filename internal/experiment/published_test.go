package experiment

import (
	"math"
	"testing"

	"causeway/internal/store"
)

// Published data with known answers (docs/statistics.md says where from).
func TestPublishedExperimentsComeOut(t *testing.T) {
	for _, c := range []struct {
		name             string
		b, t             store.Arm
		p, pWithin       float64
		low, high, width float64 // of the interval of the difference; width 0: none published
		state            State
	}{
		// z 1.3109, p 0.18988 with pooled variance
		{"Udacity landing page", hits("off", 145274, 17489), hits("on", 145310, 17264), 0.189883, 5e-6, 0, 0, 0, Inconclusive},
		// 19.02% against 18.20%, -0.82 points, 95% from -1.33 to -0.31, p 0.0016
		{"Cookie Cats, day 7", hits("off", 44700, 8502), hits("on", 45489, 8279), 0.0016, 5e-5, -0.0133, -0.0031, 5e-5, Undesired},
		// z -1.784, p 0.07441
		{"Cookie Cats, day 1", hits("off", 44700, 20034), hits("on", 45489, 20119), 0.07441, 1e-5, 0, 0, 0, Inconclusive},
		{"Udacity free trial, gross conversion", hits("off", 17293, 3785), hits("on", 17260, 3423), 0, 1e-5, -0.0291, -0.0120, 5e-5, Undesired},
		{"Udacity free trial, net conversion", hits("off", 17293, 2033), hits("on", 17260, 1945), 0.1557, 5e-4, -0.0116, 0.0019, 5e-5, Inconclusive},
		// p below 0.00001
		{"aspirin and heart attacks", hits("off", 11034, 189), hits("on", 11037, 104), 5.67e-7, 1e-9, 0, 0, 0, Undesired},
		// t -1.8608, df 17.776, p 0.07939, 95% from -3.3654832 to 0.2054832 of group 1 minus group 2
		{"sleep", values("off", 1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4), values("on", 0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0), 0.07939, 1e-5, -3.3654832, 0.2054832, 1e-7, Inconclusive},
	} {
		t.Run(c.name, func(t *testing.T) {
			card := only(t, conclude(t, aPlan(Fixed), evidence(14, []store.Arm{c.b, c.t}), nil))
			if card.State != c.state || math.Abs(*card.P-c.p) > c.pWithin {
				t.Errorf("%s, p %v; published %v, which is %s", card.State, *card.P, c.p, c.state)
			}
			if c.width > 0 && (math.Abs(card.CI.Low-c.low) > c.width || math.Abs(card.CI.High-c.high) > c.width) {
				t.Errorf("interval %v, published %v to %v", *card.CI, c.low, c.high)
			}
		})
	}
}

func TestPublishedSampleRatiosComeOut(t *testing.T) {
	for _, c := range []struct {
		name        string
		b, t        int64
		chi2, chi2d float64
		p, pWithin  float64
		state       RatioState
	}{
		{"Cookie Cats: suspicious, but not at 0.001", 44700, 45489, 6.90, 0.005, 0.00861, 5e-6, RatioValid},
		{"Kohavi: 50.2%", 821588, 815482, 22.77, 0.005, 1.8e-6, 5e-8, RatioMismatch},
		{"Wikipedia: 600 to 400", 600, 400, 40, 1e-9, 2.54e-10, 5e-13, RatioMismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := conclude(t, aPlan(Fixed), evidence(14, []store.Arm{hits("off", c.b, c.b/5), hits("on", c.t, c.t/5)}), nil)
			ratio := r.Health.SampleRatios[0]
			if ratio.State != c.state || math.Abs(*ratio.Chi2-c.chi2) > c.chi2d || math.Abs(*ratio.P-c.p) > c.pWithin {
				t.Errorf("%s, χ² %v, p %v; published χ² %v, p %v", ratio.State, *ratio.Chi2, *ratio.P, c.chi2, c.p)
			}
			if mismatch := c.state == RatioMismatch; mismatch != (r.Recommendation.Verdict == DoNotTrust) || mismatch != (len(ratio.Causes) > 0) {
				t.Errorf("%s, but the banner says %q and %d causes are named", c.state, r.Recommendation.Sentence, len(ratio.Causes))
			}
		})
	}
}

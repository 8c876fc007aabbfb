package stats

import "math"

// The forms in which other engines publish the same or a nearby method, for who
// compares their numbers with Causeway's. No result of Causeway uses them.

// EppoRho returns the tuning as Eppo states it, in units of both arms; 0 for the
// zero tuning. Its boundary (Howard, Ramdas, McAuliffe, Sekhon 2021, "Time-uniform,
// nonparametric, nonasymptotic confidence sequences", equation 14) is
// sequentialCritical with λ = n/ρ.
func EppoRho(t Tuning) float64 {
	if rho := 1 / t.rho2; finite(rho) {
		return rho
	}
	return 0
}

// StatsigSequential is Statsig's always-valid interval and p-value (Zhao et al.
// 2019, arXiv 1905.10493).
type StatsigSequential struct {
	Tau      float64 // variance of the mixture
	Critical float64
	Sigma    float64 // by which the normal is widened for P
	P        float64 // not an e-value: less evidence is in it than in [Comparison]'s
}

// Statsig returns the method's numbers for two arms' estimates; ok is false
// when the contrast is not ready or alpha not within 0 to 1.
func Statsig(control, treatment Sample, alpha float64) (s StatsigSequential, ok bool) {
	c := Difference(control, treatment)
	if !c.usable(alpha).Ready() {
		return s, false
	}
	z := normalCritical(alpha / 2)
	s.Tau = square(z) * (control.Variance + treatment.Variance) / float64(c.N)
	s.Critical = sequentialCritical(s.Tau/square(c.SE), alpha/2)
	s.Sigma = s.Critical / z
	s.P = 2 * normalUpper(math.Abs(c.Diff/c.SE)/s.Sigma)
	return s, finite(s.Tau, s.Critical, s.Sigma, s.P)
}

// MixtureVariance is the τ² that Johari et al. 2017 recommend for values of
// variance sigma2 and an experiment that ends after truncation units per arm at
// the latest, as R's mixtureSPRT computes it; ok is false when an input has no
// meaning. With it, λ = τ²/Contrast.SE².
func MixtureVariance(alpha, sigma2, truncation float64) (tau2 float64, ok bool) {
	if !level(alpha) || !(sigma2 > 0) || !(truncation >= 1) {
		return 0, false
	}
	b := math.Sqrt(-2 * math.Log(alpha) / truncation)
	density := math.Exp(-b*b/2) / math.Sqrt(2*math.Pi)
	tau2 = sigma2 * normalUpper(b) / (density/b - normalUpper(b))
	return tau2, tau2 > 0 && finite(tau2)
}

// PooledZ is the z-test of two proportions with the pooled variance, the usual
// textbook form. ok is false unless 0 ≤ hits ≤ n, n ≥ 1 and the values vary.
func PooledZ(control, treatment Moments) (z, se, p float64, ok bool) {
	both := control.Merge(treatment)
	pooled := both.Mean * (1 - both.Mean)
	if control.N < 1 || treatment.N < 1 || !(pooled > 0) {
		return 0, 0, 0, false
	}
	se = math.Sqrt(pooled * (1/float64(control.N) + 1/float64(treatment.N)))
	z = (treatment.Mean - control.Mean) / se
	return z, se, 2 * normalUpper(math.Abs(z)), finite(z, se)
}

package experiment

import (
	"fmt"
	"math"
	"strconv"

	"causeway/internal/stats"
)

// full writes a number so that reading it back gives the same number.
func full(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// six writes a number for a person who follows the formulas.
func six(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }

// working shows how a card's numbers came about, and how to repeat them.
func (c *conclusion) working(j *judgement, family stats.Family, index int) Working {
	w := Working{Steps: []WorkingStep{}}
	if !j.comparing {
		return w
	}
	step := func(title, formula, numbers string, args ...any) {
		w.Steps = append(w.Steps, WorkingStep{title, formula, fmt.Sprintf(numbers, args...)})
	}
	s, card := c.plan.Settings, &j.card
	b, t := momentsOf(j.baseline), momentsOf(j.arm)
	step("What one key contributes", "x = "+lowered(measures[j.metric.Query.Kind]), "baseline: %d keys, mean %s; treatment: %d keys, mean %s", b.N, six(b.Mean), t.N, six(t.Mean))
	step("Variance of each mean", "w = s² / n", "baseline: %s / %d = %s; treatment: %s / %d = %s",
		six(b.Variance()), b.N, six(b.Variance()/float64(b.N)), six(t.Variance()), t.N, six(t.Variance()/float64(t.N)))
	step("Difference", "d = mean(treatment) − mean(baseline)", "%s − %s = %s", six(t.Mean), six(b.Mean), six(j.contrast.Diff))
	step("Its standard error", "SE = √(w(baseline) + w(treatment))", "%s", six(j.contrast.SE))
	now := c.compare(j.contrast, card.AlphaCI)
	if s.Method == Sequential {
		lambda := c.tuning.Lambda(j.contrast.N)
		step("Mixture", "λ = n·ρ², ρ² = (−2 ln α + ln(1 − 2 ln α)) / N*", "%d · %s = %s, for α = %s and N* = %d",
			j.contrast.N, six(c.tuning.Rho()*c.tuning.Rho()), six(lambda), short(s.Alpha), s.TunedFor)
		step("Always-valid p-value of this look", "p = min(1, √(1+λ) · exp(−λz² / (2(1+λ)))), z = d / SE", "z = %s, p = %s", six(now.Statistic), probability(now.P))
		step("Smallest p-value of all looks", "p = min over the looks", "%s after %s", probability(*card.P), things(int64(card.Looks), "look", "looks"))
		step("Critical value", "c = √((1 + 1/λ) · (ln(1+λ) − 2 ln α'))", "α' = %s: c = %s", six(card.AlphaCI), six(now.Critical))
	} else {
		step("Welch's statistic", "t = d / SE", "%s", six(now.Statistic))
		step("Degrees of freedom", "ν = (w₁ + w₂)² / (w₁²/(n₁−1) + w₂²/(n₂−1))", "%s", six(now.DF))
		step("p-value", "p = 2 · P(T(ν) > |t|)", "%s", probability(now.P))
		step("Critical value", "c = t(1 − α'/2, ν)", "α' = %s: c = %s", six(card.AlphaCI), six(now.Critical))
	}
	if s.Correction && family.Tests > 1 {
		step("Correction for the metrics of the group", "p' = Benjamini-Hochberg; α' = R·α/m where significant, else (R+1)·α/m", "m = %d, R = %d: p' = %s, α' = %s",
			family.Tests, family.Rejections, probability(family.P[index]), six(family.AlphaCI[index]))
	}
	if card.CI != nil {
		step("Interval of the difference", "d ± c · SE", "%s … %s", six(card.CI.Low), six(card.CI.High))
	}
	c.workRelative(j, now, step)
	if card.MLDEAbs != nil {
		step("Minimum likely detectable effect", "(z(1 − α/2) + z(power)) · SE", "power %s: %s", percent(s.Power), six(*card.MLDEAbs))
	}
	w.R, w.Python = c.snippets(j)
	return w
}

func (c *conclusion) workRelative(j *judgement, now stats.Comparison, step func(title, formula, numbers string, args ...any)) {
	card := &j.card
	if card.Rel == nil {
		return
	}
	step("Relative difference", "d / |mean(baseline)|", "%s / %s = %s", six(j.contrast.Diff), six(math.Abs(j.baseline.Mean)), six(*card.Rel))
	if card.RelCI != nil {
		step("Its interval (Fieller)", "the ratios ρ for which (mean(treatment) − ρ·mean(baseline))² ≤ c²·(w(treatment) + ρ²·w(baseline)), minus 1",
			"g = c²·w(baseline)/mean(baseline)² = %s, below 1: %s … %s", six(now.Relative.Baseline), six(card.RelCI.Low), six(card.RelCI.High))
	} else if card.RelUnbounded {
		step("Its interval (Fieller)", "bounded only while g = c²·w(baseline)/mean(baseline)² is below 1", "g = %s", six(now.Relative.Baseline))
	}
}

// snippets repeat a card in R and in Python. They hold numbers only: names of
// treatments and metrics come from outside and have no place in a program.
func (c *conclusion) snippets(j *judgement) (r, python string) {
	b, t, s := momentsOf(j.baseline), momentsOf(j.arm), c.plan.Settings
	r = fmt.Sprintf(`n <- c(%d, %d)                 # baseline, treatment
mean <- c(%s, %s)
variance <- c(%s, %s)
alpha <- %s
diff <- mean[2] - mean[1]
w <- variance / n
se <- sqrt(sum(w))
`, b.N, t.N, full(b.Mean), full(t.Mean), full(b.Variance()), full(t.Variance()), full(j.card.AlphaCI))
	python = fmt.Sprintf(`from math import exp, log, sqrt
from scipy.stats import t

n = (%d, %d)  # baseline, treatment
mean = (%s, %s)
variance = (%s, %s)
alpha = %s
diff = mean[1] - mean[0]
w = [v / k for v, k in zip(variance, n)]
se = sqrt(sum(w))
`, b.N, t.N, full(b.Mean), full(t.Mean), full(b.Variance()), full(t.Variance()), full(j.card.AlphaCI))
	if s.Method == Sequential {
		rho2 := full(c.tuning.Rho() * c.tuning.Rho())
		r += `lambda <- sum(n) * ` + rho2 + `
p <- min(1, sqrt(1 + lambda) * exp(-lambda * (diff / se)^2 / (2 * (1 + lambda))))  # of this look
critical <- sqrt((1 + 1 / lambda) * (log(1 + lambda) - 2 * log(alpha)))
`
		python += `lam = sum(n) * ` + rho2 + `
p = min(1, sqrt(1 + lam) * exp(-lam * (diff / se) ** 2 / (2 * (1 + lam))))  # of this look
critical = sqrt((1 + 1 / lam) * (log(1 + lam) - 2 * log(alpha)))
`
	} else {
		r += `df <- sum(w)^2 / sum(w^2 / (n - 1))
p <- 2 * pt(-abs(diff / se), df)
critical <- qt(1 - alpha / 2, df)
`
		python += `df = sum(w) ** 2 / sum(x**2 / (k - 1) for x, k in zip(w, n))
p = 2 * t.sf(abs(diff / se), df)
critical = t.ppf(1 - alpha / 2, df)
`
	}
	return r + `c(diff = diff, low = diff - critical * se, high = diff + critical * se, p = p)
`, python + `print(diff, diff - critical * se, diff + critical * se, p)
`
}

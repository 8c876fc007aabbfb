package stats

import (
	"math"
	"testing"
)

func msprt(t *testing.T, v vector) object {
	in := read[struct{ Diff, V, Tau2, Alpha float64 }](t, v.Input)
	lambda, se := in.Tau2/in.V, math.Sqrt(in.V)
	critical := sequentialCritical(lambda, in.Alpha)
	return object{
		"log_lambda": logEvidence(in.Diff/se, lambda), "p": alwaysValidP(in.Diff/se, lambda),
		"z_crit": critical, "half_width": critical * se, "ci": around(in.Diff, critical*se),
	}
}

func msprtSequence(t *testing.T, v vector) object {
	in := read[struct {
		Looks       []struct{ Diff, V float64 }
		Tau2, Alpha float64
	}](t, v.Input)
	var running Running
	var p []float64
	var ci []any
	for _, look := range in.Looks {
		lambda, se := in.Tau2/look.V, math.Sqrt(look.V)
		running = running.Next(alwaysValidP(look.Diff/se, lambda), around(look.Diff, se*sequentialCritical(lambda, in.Alpha)))
		p = append(p, running.P)
		ci = append(ci, running.CI)
	}
	return object{"running_p": p, "running_intersection_ci": ci}
}

func msprtEqualN(t *testing.T, v vector) object {
	in := read[struct {
		N                         float64 `json:"n_per_arm"`
		Sigma2, Tau2, Diff, Alpha float64
	}](t, v.Input)
	variance := 2 * in.Sigma2 / in.N
	log := logEvidence(in.Diff/math.Sqrt(variance), in.Tau2/variance)
	return object{"lambda_": math.Exp(log), "log_lambda": log, "p": alwaysValidP(in.Diff/math.Sqrt(variance), in.Tau2/variance)}
}

func msprtOptTau2(t *testing.T, v vector) object {
	in := read[struct{ Alpha, Sigma2, Truncation float64 }](t, v.Input)
	tau2, _ := MixtureVariance(in.Alpha, in.Sigma2, in.Truncation)
	return object{"tau2": tau2}
}

func asymptoticCS(t *testing.T, v vector) object {
	in := read[struct {
		N     int64
		Alpha float64
		NStar float64 `json:"n_star"`
	}](t, v.Input)
	tuning := TuneAt(in.Alpha, in.NStar)
	lambda := tuning.Lambda(in.N)
	critical := sequentialCritical(lambda, in.Alpha)
	var points []any
	for _, z := range pointsOf(t, v, "p_at_z", "z") {
		points = append(points, object{"z": z, "log_e": logEvidence(z, lambda), "p": alwaysValidP(z, lambda)})
	}
	return object{"rho": tuning.Rho(), "se_multiplier": critical, "ratio_to_z": critical / normalCritical(in.Alpha/2), "p_at_z": points}
}

func asymptoticCSOneSided(t *testing.T, v vector) object {
	in := read[struct {
		N     int64
		Alpha float64
		NStar float64 `json:"n_star"`
	}](t, v.Input)
	tuning := TuneAt(2*in.Alpha, in.NStar)
	critical, _ := tuning.OneSidedCritical(in.N, in.Alpha)
	return object{"rho": tuning.Rho(), "se_multiplier": critical}
}

func asymptoticCSPipeline(t *testing.T, v vector) object {
	in := read[struct {
		Control, Treatment sums
		Alpha              float64
		NStar              float64 `json:"n_star"`
		Relative           bool
	}](t, v.Input)
	tuning := TuneAt(in.Alpha, in.NStar)
	contrast := Difference(in.Control.moments().Sample(), in.Treatment.moments().Sample())
	s := contrast.Sequential(in.Alpha, tuning)
	if !in.Relative {
		return object{"estimate": s.Diff, "se": s.SE, "ci": s.CI, "p": s.P}
	}
	lift, se := s.Relative.Lift, contrast.LiftSE()
	return object{"estimate": lift, "se": se, "ci": around(lift, s.Critical*se), "p": alwaysValidP(lift/se, tuning.Lambda(contrast.N))}
}

func eppoCS(t *testing.T, v vector) object {
	in := read[struct {
		N     int64
		Alpha float64
		NTune float64 `json:"n_tune"`
	}](t, v.Input)
	tuning := TuneAt(in.Alpha, in.NTune)
	rho := EppoRho(tuning)
	return object{"rho": rho, "se_multiplier": sequentialCritical(float64(in.N)/rho, in.Alpha)}
}

func statsigSequential(t *testing.T, v vector) object {
	in := read[struct {
		Diff, Alpha float64
		VarT        float64 `json:"var_t"`
		VarC        float64 `json:"var_c"`
		NT          int64   `json:"n_t"`
		NC          int64   `json:"n_c"`
	}](t, v.Input)
	control, treatment := Sample{N: in.NC, Variance: in.VarC}, Sample{N: in.NT, Mean: in.Diff, Variance: in.VarT}
	s, _ := Statsig(control, treatment, in.Alpha)
	se := Difference(control, treatment).SE
	return object{"V": se * se, "tau": s.Tau, "z_star": s.Critical, "sigma": s.Sigma, "p": s.P, "ci": around(in.Diff, s.Critical*se)}
}

func sampleSizeMean(t *testing.T, v vector) object {
	in := read[struct {
		SD, Alpha, Power float64
		Effect           float64 `json:"mde_abs"`
		Ratio            float64 `json:"ratio_t_over_c"`
	}](t, v.Input)
	n := SampleSizeMean(in.SD, in.Effect, in.Ratio, in.Alpha, in.Power)
	d := DetectableEffect(0, in.SD, n.Control, n.Treatment, in.Alpha, in.Power)
	achieved, _ := Power(in.Effect, in.SD*math.Sqrt(1/float64(n.Control)+1/float64(n.Treatment)), in.Alpha)
	return object{
		"n_c": n.Control, "n_t": n.Treatment, "n_c_exact": n.ExactControl, "n_t_exact": n.ExactTreatment,
		"achieved_power_two_sided": achieved, "mde_abs_at_n": d.Absolute,
	}
}

func sampleSizeProp(t *testing.T, v vector) object {
	in := read[struct {
		P            float64 `json:"p_c"`
		Lift         float64 `json:"rel_lift"`
		Alpha, Power float64
	}](t, v.Input)
	welch := SampleSizeProportion(in.P, in.Lift, in.Alpha, in.Power, false)
	pooled := SampleSizeProportion(in.P, in.Lift, in.Alpha, in.Power, true)
	return object{
		"p_t": in.P * (1 + in.Lift), "n_per_arm_unpooled": welch.ExactControl, "n_ceil_unpooled": welch.Control,
		"n_per_arm_pooled": pooled.ExactControl, "n_ceil_pooled": pooled.Control,
	}
}

func mdeRelative(t *testing.T, v vector) object {
	in := read[struct {
		Mean             float64 `json:"mean_c"`
		N                int64   `json:"n_per_arm"`
		SD, Alpha, Power float64
	}](t, v.Input)
	k, _ := reach(in.Alpha, in.Power)
	d := DetectableEffect(in.Mean, in.SD, in.N, in.N, in.Alpha, in.Power)
	lift := DetectableLift(in.Mean, in.SD, in.N, in.Alpha, in.Power)
	return object{"k": k, "mde_abs_simple": d.Absolute, "mde_rel_simple": *d.Relative, "mde_rel_delta": *lift.Relative}
}

func degradationOneSided(t *testing.T, v vector) object {
	type arm struct {
		N         int64
		Mean, Var float64
	}
	in := read[struct {
		Control, Treatment arm
		Threshold          float64 `json:"rel_threshold"`
		Undesired          Direction
	}](t, v.Input)
	check := func(m Margin) object {
		d := CheckDegradation(Sample{N: in.Control.N, Mean: in.Control.Mean, Variance: in.Control.Var},
			Sample{N: in.Treatment.N, Mean: in.Treatment.Mean, Variance: in.Treatment.Var}, in.Undesired, in.Threshold, m, 0.05)
		return object{"t": d.Statistic, "df": d.DF, "p": d.P}
	}
	return object{"fixed_margin": check(FixedMargin), "ratio_margin": check(RatioMargin)}
}

func harnessAlertProp(t *testing.T, v vector) object {
	in := read[struct {
		P            float64 `json:"p_c"`
		Threshold    float64 `json:"rel_threshold"`
		Total        int64   `json:"n_total"`
		Checks       int
		Alpha, Power float64
	}](t, v.Input)
	d := DetectableDegradation(in.P, in.Threshold, in.Total, in.Alpha, in.Checks, in.Power)
	return object{
		"z_alpha": normalCritical(in.Alpha / float64(in.Checks)), "z_beta": -normalCritical(in.Power),
		"p_t_needed": in.P + d.Absolute, "rel_needed": *d.Relative,
	}
}

func quantileSE(t *testing.T, v vector) object {
	in := read[struct {
		N         int64
		Nu, Alpha float64
		Low       float64 `json:"y_lower"`
		High      float64 `json:"y_upper"`
	}](t, v.Input)
	low, high, _ := QuantileRanks(in.N, in.Nu, in.Alpha)
	se, _ := QuantileSE(in.Low, in.High, in.Alpha)
	return object{"rank_lower": low, "rank_upper": high, "se": se, "var_of_quantile": se * se}
}

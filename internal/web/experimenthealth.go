package web

import (
	"fmt"
	"html/template"

	"causeway/internal/experiment"
	"causeway/internal/plot"
)

// healthPage says whether an experiment can be trusted.
type healthPage struct {
	experimentHead
	Checks []healthLine
	Chart  template.HTML // exposures per day and treatment
	Total  []int64       // keys, by treatment
}

// healthLine is one check of the list.
type healthLine struct {
	Name string
	experiment.HealthCheck
}

func (s *Server) experimentHealth(r *request) error {
	_, head, err := s.openExperiment(r, "Health")
	if err != nil {
		return err
	}
	p := healthPage{experimentHead: head}
	if head.Nothing != nil {
		return s.show(r, "experimenthealth", p)
	}
	h := head.Results.Health
	p.Checks = []healthLine{
		{"Several treatments", h.Several}, {"Left out", h.Excluded}, {"Identities match", h.Identity},
		{"Before the exposure", h.Before}, {"Late", h.Late},
	}
	p.Chart, p.Total = exposureChart(h.Exposures)
	return s.show(r, "experimenthealth", p)
}

// exposureChart draws how the arms filled, by day.
func exposureChart(e experiment.Exposures) (template.HTML, []int64) {
	total := make([]int64, len(e.Arms))
	bars := plot.Bars{Arms: e.Arms, Stacked: true}
	for _, day := range e.Days {
		bars.Groups = append(bars.Groups, day.Day.UTC().Format("Jan 2"))
		values := make([]float64, len(day.Keys))
		for i, n := range day.Keys {
			values[i] = float64(n)
			if i < len(total) {
				total[i] += n
			}
		}
		bars.Values = append(bars.Values, values)
	}
	bars.Title = "Keys that were first exposed, by day and treatment"
	bars.About = fmt.Sprintf("%s on %s.", plural(e.Keys, "key"), plural(len(e.Days), "day"))
	return drawn(bars.Both()), total
}

// Expected is the number of keys that an arm was meant to have, and how far
// off it is; empty when nobody knows.
func (p healthPage) Expected(ratio experiment.SampleRatio, arm experiment.RatioArm) string {
	if arm.Expected == nil {
		return ""
	}
	all := int64(0)
	for _, a := range ratio.Arms {
		all += a.Keys
	}
	return count(int64(*arm.Expected*float64(all) + .5))
}

// Fraction writes a share that may not be known.
func (p experimentHead) Fraction(share *float64) string {
	if share == nil {
		return "–"
	}
	return plot.Percent(*share)
}

// Probability writes a p-value that may not be known.
func (p experimentHead) Probability(v *float64) string {
	if v == nil {
		return "–"
	}
	return pText(*v)
}

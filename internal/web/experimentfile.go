package web

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strconv"

	"causeway/internal/experiment"
)

// experimentFile is the results as a file: JSON whole, CSV a line for each
// metric and treatment, SVG the drawing.
func (s *Server) experimentFile(r *request) error {
	e, head, err := s.openExperiment(r, "")
	if err != nil {
		return err
	}
	if head.Nothing != nil {
		return notFound("%s was not computed yet, so there is nothing to download.", e.Spec.Name)
	}
	var body []byte
	kind := ""
	switch r.PathValue("name") {
	case "results.json":
		kind = "application/json"
		if body, err = json.MarshalIndent(head.Results, "", "  "); err != nil {
			return err
		}
	case "results.csv":
		kind = "text/csv; charset=utf-8"
		if body, err = resultsCSV(head.Results); err != nil {
			return err
		}
	case "results.svg":
		kind, body = "image/svg+xml", []byte(intervalsFile(head.Results))
	default:
		return notFound("There is results.json, results.csv and results.svg of an experiment.")
	}
	header := r.w.Header()
	header.Set("Content-Type", kind)
	header.Set("Content-Disposition", `attachment; filename="`+e.ID+"-"+r.PathValue("name")+`"`)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	r.w.WriteHeader(http.StatusOK)
	_, _ = r.w.Write(body)
	return nil
}

// resultsCSV writes a line for each metric and treatment. A text that a
// spreadsheet would take for a formula is quoted by a tab.
func resultsCSV(results *experiment.Results) ([]byte, error) {
	var b bytes.Buffer
	out := csv.NewWriter(&b)
	_ = out.Write([]string{"group", "metric", "kind", "desired", "treatment", "baseline", "state", "reason", "baseline_n", "treatment_n", "baseline_mean", "treatment_mean",
		"diff", "ci_low", "ci_high", "rel", "rel_ci_low", "rel_ci_high", "p", "p_adjusted", "alpha", "alpha_ci", "method", "computed_at"})
	for _, g := range results.Groups {
		for _, m := range g.Metrics {
			arms := map[string]experiment.Arm{}
			for _, a := range m.Arms {
				arms[a.Treatment] = a
			}
			for _, c := range m.Cards {
				line := []string{g.Name, plainCell(m.Metric), m.Kind, m.Desired, plainCell(c.Treatment), plainCell(c.Baseline), string(c.State), string(c.Reason),
					strconv.FormatInt(arms[c.Baseline].N, 10), strconv.FormatInt(arms[c.Treatment].N, 10), numberCell(arms[c.Baseline].Mean), numberCell(arms[c.Treatment].Mean)}
				line = append(line, numberCell(c.Diff))
				line = append(line, endCells(c.CI)...)
				line = append(line, numberCell(c.Rel))
				line = append(line, endCells(c.RelCI)...)
				line = append(line, numberCell(c.P), numberCell(c.PAdjusted), numberCell(&c.Alpha), numberCell(&c.AlphaCI), c.Method, results.ComputedAt.UTC().Format("2006-01-02T15:04:05Z"))
				_ = out.Write(line)
			}
		}
	}
	out.Flush()
	return b.Bytes(), out.Error()
}

func numberCell(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', -1, 64)
}

func endCells(ci *experiment.Interval) []string {
	if ci == nil {
		return []string{"", ""}
	}
	return []string{numberCell(&ci.Low), numberCell(&ci.High)}
}

// plainCell keeps a text from being run as a formula by who opens the file.
func plainCell(text string) string {
	if text != "" && (text[0] == '=' || text[0] == '+' || text[0] == '-' || text[0] == '@' || text[0] == '\t' || text[0] == '\r') {
		return "\t" + text
	}
	return text
}

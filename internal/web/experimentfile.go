package web

import (
	"encoding/json"
	"net/http"
	"strconv"
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
		kind, body = "text/csv; charset=utf-8", head.Results.CSV()
	case "results.svg":
		drawing := head.Results.Drawing()
		drawing.Alone = true
		kind, body = "image/svg+xml", []byte(drawing.SVG())
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

package api

import (
	"bytes"
	"encoding/json"
	"iter"
	"net/http"
	"slices"
	"time"

	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/playground"
	"causeway/internal/translate"
)

// translateRequest is what the playground takes: one of Destination and
// Source, and the calls.
type translateRequest struct {
	// Destination is the name of a destination, or the settings of one as in
	// the configuration file.
	Destination json.RawMessage `json:"destination"`
	Source      string          `json:"source"`
	// Environment is "project/environment": of a source that has several, and
	// of settings that are no destination yet.
	Environment string `json:"environment"`
	// Calls is any JSON that the CLI takes, or text with NDJSON in it.
	Calls json.RawMessage `json:"calls"`
}

// Bounds of the playground.
const (
	maxTranslateBytes = 4 << 20
	maxTranslateCalls = 5000
)

func (s *Server) translate(r *request) error {
	var want translateRequest
	if err := r.decode(&want, maxTranslateBytes); err != nil {
		return err
	}
	if len(want.Calls) == 0 {
		return refuse(http.StatusBadRequest, "body_invalid", "Give calls: a call, a list, a batch, or text with one call a line.")
	}
	input := []byte(want.Calls)
	if input[0] == '"' {
		var text string
		if err := json.Unmarshal(want.Calls, &text); err != nil {
			return err
		}
		input = []byte(text)
	}
	doc := s.catalog.Snapshot().Document()
	doc.Projects = slices.DeleteFunc(doc.Projects, func(p catalog.ProjectSpec) bool { return !r.who.May(auth.See, p.Name) })
	switch {
	case (len(want.Destination) > 0) == (want.Source != ""):
		return refuse(http.StatusBadRequest, "body_invalid", "Give either destination or source.")
	case want.Source != "":
		source, err := playground.SourceIn(doc, want.Source, want.Environment, s.version)
		if err != nil {
			return err
		}
		return answerResults(r, playground.TranslateImpressions(source, bytes.NewReader(input), time.Now()))
	}
	destination, err := wantedDestination(doc, want)
	if err != nil {
		return err
	}
	return answerResults(r, playground.TranslateCalls(destination, bytes.NewReader(input), time.Now()))
}

func answerResults[T any](r *request, results iter.Seq2[T, error]) error {
	out := struct {
		Results []T `json:"results"`
	}{[]T{}}
	for result, err := range results {
		if err != nil {
			return refuse(http.StatusBadRequest, "calls_unreadable", "The calls cannot be read: %v.", err)
		}
		if len(out.Results) == maxTranslateCalls {
			return refuse(http.StatusBadRequest, "too_many_calls", "More than %d calls were given. Use \"causeway translate\" for long files.", maxTranslateCalls)
		}
		out.Results = append(out.Results, result)
	}
	return r.answer(out)
}

// wantedDestination is the destination a request names, or the one whose
// settings it brings.
func wantedDestination(doc *catalog.Document, want translateRequest) (*translate.Destination, error) {
	var name string
	if json.Unmarshal(want.Destination, &name) == nil {
		return playground.DestinationIn(doc, name)
	}
	var settings map[string]json.RawMessage
	if json.Unmarshal(want.Destination, &settings) != nil {
		return nil, refuse(http.StatusBadRequest, "body_invalid", "destination is the name of a destination, or an object with the settings of one as in the configuration file.")
	}
	return playground.DestinationFrom(doc, want.Environment, settings)
}

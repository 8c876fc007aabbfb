package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"causeway/internal/catalog"
	"causeway/internal/fme"
	"causeway/internal/translate"
)

// The playground works on a configuration document and not on the catalog's
// snapshot, so that a file that was never applied, and settings that nobody
// saved, are tried out by the same code.

// DestinationIn is the translation of the destination of that name or id. An
// error is a *Problem.
func DestinationIn(doc *catalog.Document, name string) (*translate.Destination, error) {
	var names []string
	for i := range doc.Projects {
		p := &doc.Projects[i]
		for j := range p.Segment.Destinations {
			spec := &p.Segment.Destinations[j]
			if spec.Name == name || catalog.Slug(spec.Name) == name {
				return spec.Translation(p), nil
			}
			names = append(names, spec.Name)
		}
	}
	return nil, refuse(http.StatusNotFound, "destination_unknown", "There is no destination %q. The destinations are: %s.", name, listOf(names))
}

// SourceUnderTest is a source, and the environment and flags that impressions
// are taken to be of.
type SourceUnderTest struct {
	source           *translate.Source
	environment      fme.EnvironmentID
	environmentAPIID string
	flags            map[string]string // to traffic types
}

// SourceIn finds a source by name or id. environment, a name or
// "project/environment", may be empty when the source has only one. An error
// is a *Problem.
func SourceIn(doc *catalog.Document, name, environment, version string) (*SourceUnderTest, error) {
	var names []string
	for i := range doc.Projects {
		p := &doc.Projects[i]
		for j := range p.Segment.Sources {
			spec := &p.Segment.Sources[j]
			if spec.Name == name || catalog.Slug(spec.Name) == name {
				return sourceOf(p, spec, environment, version)
			}
			names = append(names, spec.Name)
		}
	}
	return nil, refuse(http.StatusNotFound, "source_unknown", "There is no source %q. The sources are: %s.", name, listOf(names))
}

func sourceOf(p *catalog.ProjectSpec, spec *catalog.SourceSpec, environment, version string) (*SourceUnderTest, error) {
	if environment == "" && len(spec.Environments) > 1 {
		return nil, refuse(http.StatusBadRequest, "environment_missing", "The source %q has several environments. Name one of them: %s.", spec.Name, listOf(spec.Environments))
	}
	s := &SourceUnderTest{
		source: spec.Translation(version),
		flags:  map[string]string{},
	}
	for _, name := range spec.Environments {
		id := fme.NewEnvironmentID(p.Name, name)
		if environment == "" || environment == name || environment == string(id) {
			s.environment = id
		}
	}
	if s.environment == "" {
		return nil, refuse(http.StatusNotFound, "environment_unknown", "The source %q has no environment %q. It has: %s.", spec.Name, environment, listOf(spec.Environments))
	}
	for _, e := range p.Environments {
		if e.Name == s.environment.Name() {
			s.environmentAPIID = e.ID
		}
	}
	for _, flag := range p.Flags {
		s.flags[flag.Name] = flag.TrafficType
	}
	return s, nil
}

// wantedDestination is the destination a request names, or the one whose
// settings it brings.
func wantedDestination(doc *catalog.Document, want translateRequest) (*translate.Destination, error) {
	var name string
	if json.Unmarshal(want.Destination, &name) == nil {
		return DestinationIn(doc, name)
	}
	var settings map[string]json.RawMessage
	if json.Unmarshal(want.Destination, &settings) != nil {
		return nil, refuse(http.StatusBadRequest, "body_invalid", "destination is the name of a destination, or an object with the settings of one as in the configuration file.")
	}
	project, environment, ok := strings.Cut(want.Environment, "/")
	if !ok {
		return nil, refuse(http.StatusBadRequest, "environment_missing", "Give environment as \"project/environment\" beside the settings: the project says which traffic types exist.")
	}
	for i := range doc.Projects {
		if doc.Projects[i].Name == project {
			return destinationFrom(&doc.Projects[i], environment, settings)
		}
	}
	return nil, refuse(http.StatusNotFound, "project_unknown", "There is no project %q.", project)
}

// destinationFrom reads settings by the rules of the configuration file, in a
// document of their own.
func destinationFrom(p *catalog.ProjectSpec, environment string, settings map[string]json.RawMessage) (*translate.Destination, error) {
	if settings == nil {
		settings = map[string]json.RawMessage{}
	}
	settings["environment"], _ = json.Marshal(environment)
	if _, named := settings["name"]; !named {
		settings["name"] = json.RawMessage(`"playground"`)
	}
	text, err := json.Marshal(map[string]any{"projects": []any{map[string]any{
		"name": p.Name, "trafficTypes": p.TrafficTypes, "environments": namedSpecs(p.Environments),
		"segment": map[string]any{"destinations": []any{settings}},
	}}})
	if err != nil {
		return nil, fmt.Errorf("encode the settings: %w", err)
	}
	tried, findings := catalog.Decode("", text, nil)
	if len(findings) > 0 {
		for i := range findings {
			f := &findings[i]
			f.Line, f.Column = 0, 0 // of a text the caller never saw
			f.Path = strings.Replace(f.Path, "projects[0].segment.destinations[0]", "destination", 1)
		}
		problem := refuse(http.StatusUnprocessableEntity, "destination_invalid", "The settings have %s. Each is listed with its place and what to do.", counted(len(findings), "finding"))
		problem.Findings = findings
		return nil, problem
	}
	return tried.Projects[0].Segment.Destinations[0].Translation(&tried.Projects[0]), nil
}

func namedSpecs(environments []catalog.EnvironmentSpec) []map[string]string {
	named := make([]map[string]string, 0, len(environments))
	for _, e := range environments {
		named = append(named, map[string]string{"name": e.Name})
	}
	return named
}

package playground

import (
	"encoding/json"
	"fmt"
	"strings"

	"causeway/internal/catalog"
	"causeway/internal/fme"
	"causeway/internal/translate"
)

// Error says that what was asked for is not in the configuration, or that
// settings are wrong.
type Error struct {
	// Code is stable: destination_unknown, source_unknown, project_unknown,
	// environment_unknown, environment_missing or destination_invalid.
	Code     string
	Text     string            // a sentence for a person
	Findings []catalog.Finding // of settings that are wrong
}

func (e *Error) Error() string { return e.Text }

func refuse(code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// DestinationIn is the translation of the destination of that name or id. An
// error is an *Error.
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
	return nil, refuse("destination_unknown", "There is no destination %q. The destinations are: %s.", name, list(names))
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
// is an *Error.
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
	return nil, refuse("source_unknown", "There is no source %q. The sources are: %s.", name, list(names))
}

func sourceOf(p *catalog.ProjectSpec, spec *catalog.SourceSpec, environment, version string) (*SourceUnderTest, error) {
	if environment == "" && len(spec.Environments) > 1 {
		return nil, refuse("environment_missing", "The source %q has several environments. Name one of them: %s.", spec.Name, list(spec.Environments))
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
		return nil, refuse("environment_unknown", "The source %q has no environment %q. It has: %s.", spec.Name, environment, list(spec.Environments))
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

// DestinationFrom is the translation of a destination that nobody saved: its
// settings as in the configuration file, in "project/environment". An error is
// an *Error.
func DestinationFrom(doc *catalog.Document, where string, settings map[string]json.RawMessage) (*translate.Destination, error) {
	project, environment, ok := strings.Cut(where, "/")
	if !ok {
		return nil, refuse("environment_missing", "Give environment as \"project/environment\" beside the settings: the project says which traffic types exist.")
	}
	for i := range doc.Projects {
		if doc.Projects[i].Name == project {
			return destinationFrom(&doc.Projects[i], environment, settings)
		}
	}
	return nil, refuse("project_unknown", "There is no project %q.", project)
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
		text := "The settings have a finding. It is listed with its place and what to do."
		if len(findings) > 1 {
			text = fmt.Sprintf("The settings have %d findings. Each is listed with its place and what to do.", len(findings))
		}
		return nil, &Error{Code: "destination_invalid", Text: text, Findings: findings}
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

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

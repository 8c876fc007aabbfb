package api

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"causeway/internal/auth"
	"causeway/internal/catalog"

	"go.yaml.in/yaml/v3"
)

// maxCatalogBytes bounds a configuration.
const maxCatalogBytes = 8 << 20

// etag names a revision of the configuration.
func etag(revision uint64) string { return `"` + strconv.FormatUint(revision, 10) + `"` }

func (s *Server) exportCatalog(r *request) error {
	format, err := r.oneOf("format", "json", "yaml")
	if err != nil {
		return err
	}
	snapshot := s.catalog.Snapshot() // the document and its revision must be of one piece
	r.w.Header().Set("ETag", etag(snapshot.Revision))
	if match := r.Header.Get("If-None-Match"); match == etag(snapshot.Revision) {
		r.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if format != "yaml" {
		return r.answer(snapshot.Document())
	}
	text, err := yaml.Marshal(snapshot.Document())
	if err != nil {
		return err
	}
	r.w.Header().Set("Content-Type", "application/yaml")
	r.w.WriteHeader(http.StatusOK)
	_, _ = r.w.Write(text)
	return nil
}

func (s *Server) applyCatalog(r *request) error {
	dryRun, err := r.flag("dryRun")
	if err != nil {
		return err
	}
	match := strings.TrimSpace(r.Header.Get("If-Match"))
	if match == "" && !dryRun {
		return refuse(http.StatusPreconditionRequired, "if_match_missing", "Send If-Match with the ETag of the configuration that this one was made from (GET /admin/v1/catalog), or * for whatever is there.")
	}
	data, err := r.body(maxCatalogBytes)
	if err != nil {
		return err
	}
	// A caller must not read the server's environment through ${NAME}: the CLI
	// fills names in before it sends.
	doc, findings := catalog.Decode("", data, nil)
	if len(findings) > 0 {
		return invalidCatalog(findings)
	}
	if dryRun {
		return s.planCatalog(r, doc, match)
	}
	current := s.catalog.Snapshot().Revision
	if !matches(match, current) {
		return s.staleCatalog(doc)
	}
	over := current
	switch {
	case match == "*":
		over = 0 // whatever is there
	case current == 0:
		over = catalog.FromEmpty
	}
	change, err := s.catalog.Apply(r.Context(), doc, actorOf(r), over)
	var invalid *catalog.InvalidError
	switch {
	case errors.As(err, &invalid):
		return invalidCatalog(invalid.Findings)
	case errors.Is(err, catalog.ErrStale):
		return s.staleCatalog(doc)
	case err != nil:
		return err
	}
	return answerChange(r, change)
}

func (s *Server) planCatalog(r *request, doc *catalog.Document, match string) error {
	if match != "" && !matches(match, s.catalog.Snapshot().Revision) {
		return s.staleCatalog(doc)
	}
	change, findings := s.catalog.Plan(doc)
	if len(findings) > 0 {
		return invalidCatalog(findings)
	}
	return answerChange(r, change)
}

// matches compares an If-Match header strongly (RFC 9110, 13.1.1).
func matches(match string, revision uint64) bool {
	if match == "*" {
		return true
	}
	return slices.ContainsFunc(strings.Split(match, ","), func(tag string) bool {
		return strings.TrimSpace(tag) == etag(revision)
	})
}

// actorOf names who made a change, for the audit log.
func actorOf(r *request) string { return r.who.Actor() + " from " + addressOf(r.Request) }

func answerChange(r *request, change catalog.Change) error {
	if change.Differences == nil {
		change.Differences = []catalog.Difference{}
	}
	r.w.Header().Set("ETag", etag(change.Revision))
	return r.answer(struct {
		Revision    uint64                    `json:"revision"`
		Differences []catalog.Difference      `json:"differences"`
		Generated   []catalog.GeneratedSecret `json:"generated"`
	}{change.Revision, change.Differences, append([]catalog.GeneratedSecret{}, change.Generated...)})
}

func invalidCatalog(findings []catalog.Finding) *Problem {
	p := refuse(http.StatusUnprocessableEntity, "catalog_invalid", "The configuration has %s and was not applied. Each is listed with its place and what to do.", counted(len(findings), "finding"))
	p.Findings = findings
	return p
}

// staleCatalog shows what applying the caller's configuration would now do.
func (s *Server) staleCatalog(doc *catalog.Document) *Problem {
	p := refuse(http.StatusPreconditionFailed, "catalog_stale", "The configuration was changed meanwhile. Read it again (GET /admin/v1/catalog), make your change again, and apply that; differences shows what yours would change now.")
	change, _ := s.catalog.Plan(doc)
	p.Differences, p.Revision = change.Differences, s.catalog.Snapshot().Revision
	return p
}

// shownProject is a project in the list.
type shownProject struct {
	Name         string   `json:"name"`
	TrafficTypes []string `json:"trafficTypes"`
	Environments []string `json:"environments"`
	Flags        int      `json:"flags"`
	Sources      []string `json:"sources"`
	Destinations []string `json:"destinations"`
	Listeners    []string `json:"listeners"`
}

func (s *Server) projects(r *request) error {
	visible := slices.DeleteFunc(s.catalog.Snapshot().Document().Projects, func(p catalog.ProjectSpec) bool {
		return !r.who.May(auth.See, p.Name)
	})
	return r.answer(listFrom(visible, "", showProject))
}

func showProject(p catalog.ProjectSpec) shownProject {
	return shownProject{
		Name: p.Name, TrafficTypes: append([]string{}, p.TrafficTypes...), Flags: len(p.Flags),
		Environments: namesOf(p.Environments, func(e catalog.EnvironmentSpec) string { return e.Name }),
		Sources:      namesOf(p.Segment.Sources, func(s catalog.SourceSpec) string { return s.Name }),
		Destinations: namesOf(p.Segment.Destinations, func(d catalog.DestinationSpec) string { return d.Name }),
		Listeners:    namesOf(p.Segment.Listeners, func(l catalog.ListenerSpec) string { return l.Name }),
	}
}

func namesOf[Spec any](specs []Spec, name func(Spec) string) []string {
	names := make([]string, 0, len(specs))
	for _, spec := range specs {
		names = append(names, name(spec))
	}
	return names
}

// project shows a project as it stands in the configuration, its secrets in
// their opaque texts.
func (s *Server) project(r *request) error {
	known, err := s.projectOf(r)
	if err != nil {
		return err
	}
	projects := s.catalog.Snapshot().Document().Projects
	i := slices.IndexFunc(projects, func(p catalog.ProjectSpec) bool { return p.Name == known.Name })
	if i < 0 { // removed a moment ago
		return refuse(http.StatusNotFound, "project_unknown", "There is no project %q.", known.Name)
	}
	return r.answer(projects[i])
}

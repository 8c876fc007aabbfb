package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"causeway/internal/catalog"
)

// keySegmentsPage lists the segments of keys of the chosen project.
type keySegmentsPage struct {
	configured
	Segments []keySegmentRow
}

type keySegmentRow struct {
	Name, URL string
	Keys      int // in the chosen environment
	Own       bool
}

func (s *Server) keySegments(r *request) error {
	return s.showKeySegments(r, http.StatusOK, form{})
}

func (s *Server) showKeySegments(r *request, status int, f form) error {
	if r.env == nil {
		return s.noEnvironment(r, "Segments of keys")
	}
	page := keySegmentsPage{configured: s.configuredPage(r, "Segments of keys", r.env.Project.Name)}
	page.Form, page.Here = f, "/key-segments"
	doc := r.snapshot.Document()
	spec, ok := doc.Project(page.Project)
	if !ok {
		return s.noEnvironment(r, "Segments of keys")
	}
	for _, segment := range spec.Segments {
		keys, own := keysIn(segment, r.env.Name)
		page.Segments = append(page.Segments, keySegmentRow{segment.Name, page.Of("key-segments", segment.Name), len(keys), own})
	}
	return s.showStatus(r, status, "keysegments", page)
}

// keysIn are the keys of a segment in an environment; own: it has its own there.
func keysIn(segment catalog.KeySegmentSpec, environment string) (keys []string, own bool) {
	if here, other := segment.Environments[environment]; other {
		return here.Keys, true
	}
	return segment.Keys, false
}

func (s *Server) addKeySegment(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	segment := catalog.KeySegmentSpec{Name: f.Value("name"), Keys: lines(f.Value("keys"))}
	_, err = s.Catalog.PutObject(r.Context(), r.PathValue("project"), segment, catalog.NoTag, r.who.Actor())
	if taken := (&configured{}); taken.stale(err, segment) {
		f.Errors["name"], err = "There is a segment of that name already.", nil
	}
	if err := f.unsaved(err, "name", "keys"); err != nil {
		return err
	}
	if f.Failed() {
		return s.showKeySegments(r, http.StatusUnprocessableEntity, f)
	}
	return s.redirect(r, s.layout(r, "").projectURL(r.PathValue("project"), "key-segments", segment.Name), "The segment is there.")
}

// lines are the lines of a text that are not blank, as they stand.
func lines(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		if line = strings.Trim(line, "\r\n"); strings.TrimSpace(line) != "" {
			list = append(list, line)
		}
	}
	return list
}

// keySegmentPage is one segment in one environment, or everywhere else.
type keySegmentPage struct {
	configured
	Segment string
	In      string // environment; empty: wherever there are no own ones
	Scopes  []scopeTab
	Own     bool // the environment has its own keys
	Keys    []string
	All     int
	Query   string
}

// scopeTab leads to what holds everywhere, or in one environment.
type scopeTab struct {
	Name, URL string
	Current   bool
	Own       bool // something is different there
}

const keysShown = 200

func (s *Server) keySegment(r *request) error {
	return s.showKeySegment(r, http.StatusOK, form{})
}

func (s *Server) showKeySegment(r *request, status int, f form) error {
	project, err := specOf(r)
	if err != nil {
		return err
	}
	segment, err := objectOf[catalog.KeySegmentSpec](project, catalog.KeySegments, "segment of keys", r.PathValue("segment"))
	if err != nil {
		return err
	}
	page := keySegmentPage{configured: s.configuredPage(r, segment.Name, project.Name), Segment: segment.Name, Query: r.URL.Query().Get("q")}
	page.Form, page.Here = f, "/projects/"+url.PathEscape(project.Name)+"/key-segments/"+url.PathEscape(segment.Name)
	page.In = scopeOf(r, project)
	page.Scopes = page.scopes(project, page.In, func(environment string) bool { _, own := segment.Environments[environment]; return own })
	keys := segment.Keys
	if page.In != "" {
		keys, page.Own = keysIn(segment, page.In)
	}
	page.All = len(keys)
	for _, key := range keys {
		if len(page.Keys) < keysShown && strings.Contains(strings.ToLower(key), strings.ToLower(page.Query)) {
			page.Keys = append(page.Keys, key)
		}
	}
	return s.showStatus(r, status, "keysegment", page)
}

// scopeOf is the environment that a page shows; empty: what holds everywhere.
func scopeOf(r *request, project *catalog.ProjectSpec) string {
	return oneOf(r, "in", project.Names(catalog.Environments)...)
}

// scopes are the tabs of a page that has something everywhere and something in
// each environment.
func (c configured) scopes(project *catalog.ProjectSpec, chosen string, own func(string) bool) []scopeTab {
	tabs := []scopeTab{{"Everywhere", c.Link(c.Here), chosen == "", false}}
	for _, name := range project.Names(catalog.Environments) {
		tabs = append(tabs, scopeTab{name, c.Link(c.Here, "in", name), chosen == name, own(name)})
	}
	return tabs
}

// changeKeySegment adds and takes away keys, so that two who do so at once
// both get what they wanted.
func (s *Server) changeKeySegment(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	name := r.PathValue("segment")
	add, take, in := lines(f.Value("keys")), lines(f.Value("remove")), ""
	_, err = s.Catalog.EditProject(r.Context(), r.PathValue("project"), r.who.Actor(), func(p *catalog.ProjectSpec) error {
		i := slices.IndexFunc(p.Segments, func(s catalog.KeySegmentSpec) bool { return s.Name == name })
		if i < 0 {
			return &catalog.UnknownObjectError{What: "segment of keys", Name: name}
		}
		segment := &p.Segments[i]
		if in = scopeOf(r, p); in == "" {
			segment.Keys = changedKeys(segment.Keys, add, take)
			return nil
		}
		if f.Value("what") == "same" {
			delete(segment.Environments, in)
			return nil
		}
		keys, _ := keysIn(*segment, in)
		if segment.Environments == nil {
			segment.Environments = map[string]catalog.KeysSpec{}
		}
		segment.Environments[in] = catalog.KeysSpec{Keys: changedKeys(keys, add, take)}
		return nil
	})
	if err := f.unsaved(err, "keys"); err != nil {
		return err
	}
	if f.Failed() {
		return s.showKeySegment(r, http.StatusUnprocessableEntity, f)
	}
	l := s.layout(r, "")
	to := l.Link("/projects/"+url.PathEscape(r.PathValue("project"))+"/key-segments/"+url.PathEscape(name), "in", in)
	return s.redirect(r, to, "Saved: "+strconv.Itoa(len(add))+" to add, "+strconv.Itoa(len(take))+" to take away.")
}

// changedKeys is a list with some added and some taken away, each once.
func changedKeys(keys, add, take []string) []string {
	gone, there := map[string]bool{}, map[string]bool{}
	for _, key := range take {
		gone[key] = true
	}
	var list []string
	for _, key := range slices.Concat(keys, add) {
		if !gone[key] && !there[key] {
			there[key] = true
			list = append(list, key)
		}
	}
	return list
}

func (s *Server) removeKeySegment(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	name := r.PathValue("segment")
	if f.confirmed(name) {
		_, err := s.Catalog.RemoveObject(r.Context(), r.PathValue("project"), catalog.KeySegments, name, catalog.AnyTag, r.who.Actor())
		if err := f.unsaved(err); err != nil {
			return err
		}
	}
	if f.Failed() {
		return s.showKeySegment(r, http.StatusUnprocessableEntity, f)
	}
	return s.redirect(r, s.layout(r, "").Link("/key-segments"), "The segment "+name+" is removed.")
}

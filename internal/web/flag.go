package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"causeway/internal/catalog"
	"causeway/internal/fme"
)

// flagsPage lists the flags of the chosen project, as they are served in the
// chosen environment.
type flagsPage struct {
	configured
	Flags []flagRow
}

type flagRow struct {
	Name, URL, TrafficType string
	Served, Killed, Other  bool // Other: something is different in this environment
	Rule                   string
}

func (s *Server) flags(r *request) error {
	if r.env == nil {
		return s.noEnvironment(r, "Flags")
	}
	page := flagsPage{configured: s.configuredPage(r, "Flags", r.env.Project.Name)}
	doc := r.snapshot.Document()
	spec, ok := doc.Project(page.Project)
	if !ok {
		return s.noEnvironment(r, "Flags")
	}
	for i := range spec.Flags {
		f := &spec.Flags[i]
		serving, served := f.In(r.env.Name)
		_, other := f.Environments[r.env.Name]
		page.Flags = append(page.Flags, flagRow{
			Name: f.Name, URL: page.Of("flags", f.Name), TrafficType: f.TrafficType, Served: served, Other: other,
			Killed: served && *serving.WithDefaults().Killed, Rule: ruleOf(serving, served),
		})
	}
	return s.show(r, "flags", page)
}

// ruleOf is what a flag is served with, in a line.
func ruleOf(spec catalog.ServingSpec, served bool) string {
	if !served {
		return "known, not served"
	}
	if len(spec.Definition) > 0 {
		return "a definition of its own"
	}
	full := spec.WithDefaults()
	var parts []string
	for _, treatment := range full.Treatments {
		if n := full.Rollout[treatment]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d%%", treatment, n))
		}
	}
	rule := strings.Join(parts, " · ")
	if *full.TrafficAllocation < 100 {
		rule += fmt.Sprintf(", to %d%% of keys", *full.TrafficAllocation)
	}
	return rule
}

// flagPage is the form of a flag, everywhere or in one environment.
type flagPage struct {
	configured
	Flag       string // empty: a new one
	In         string // environment; empty: everywhere
	Scopes     []scopeTab
	Types      []option
	Treatments []treatmentRow
	Everywhere catalog.ServingSpec // what holds where an environment says nothing
	Served     bool                // in this scope
	Killed     bool
	Rule       string
	// Definition is what SDKs of the environment are served, word for word.
	Definition   json.RawMessage
	ChangeNumber int64
}

// treatmentRow is one row of the form.
type treatmentRow struct{ Name, Percent, Config string }

// How a flag is served, as the form says it.
const (
	serveRollout    = "rollout"
	serveDefinition = "definition"
)

var flagFields = []string{"name", "trafficType", "treatments", "defaultTreatment", "rollout", "trafficAllocation", "configurations", "sets", "definition"}

func (s *Server) newFlag(r *request) error {
	return s.showFlag(r, http.StatusOK, catalog.FlagSpec{}, configured{})
}

// flagOf is the flag that the path names, as configured.
func flagOf(r *request) (catalog.FlagSpec, error) {
	project, err := specOf(r)
	if err != nil {
		return catalog.FlagSpec{}, err
	}
	return objectOf[catalog.FlagSpec](project, catalog.Flags, "flag", r.PathValue("flag"))
}

func (s *Server) flag(r *request) error {
	flag, err := flagOf(r)
	if err != nil {
		return err
	}
	return s.showFlag(r, http.StatusOK, flag, configured{Tag: catalog.TagOf(flag)})
}

// showFlag shows the form of a flag; entered has what was entered and is wrong.
func (s *Server) showFlag(r *request, status int, flag catalog.FlagSpec, entered configured) error {
	project, err := specOf(r)
	if err != nil {
		return err
	}
	title := flag.Name
	if title == "" {
		title = "New flag"
	}
	page := flagPage{configured: s.configuredPage(r, title, project.Name), Flag: r.PathValue("flag")}
	page.Form, page.Tag, page.Stale, page.Gone = entered.Form, entered.Tag, entered.Stale, entered.Gone
	page.Here = "/projects/" + url.PathEscape(project.Name) + "/new-flag"
	if page.Flag != "" {
		page.Here = "/projects/" + url.PathEscape(project.Name) + "/flags/" + url.PathEscape(page.Flag)
		page.In = scopeOf(r, project)
		page.Scopes = page.scopes(project, page.In, func(environment string) bool { _, own := flag.Environments[environment]; return own })
	}
	spec := flag.ServingSpec
	if page.In != "" {
		spec, page.Everywhere = flag.Environments[page.In], flag.ServingSpec.WithDefaults()
	}
	if page.Form.Values == nil {
		page.Form.Values = flagValues(flag, spec, page.In != "")
	}
	if page.Form.Errors == nil {
		page.Form.Errors = map[string]string{}
	}
	for _, name := range project.TrafficTypes {
		page.Types = append(page.Types, option{name, name, page.Form.Value("trafficType") == name})
	}
	page.Treatments = treatmentRows(page.Form)
	effective, served := flag.In(page.In)
	page.Served, page.Rule = served, ruleOf(effective, served)
	page.Killed = served && *effective.WithDefaults().Killed
	if here, ok := r.snapshot.Environment(fme.NewEnvironmentID(project.Name, page.In)); ok {
		i := slices.IndexFunc(here.Serving.Flags, func(f *catalog.Flag) bool { return f.Name == flag.Name })
		if i >= 0 {
			page.Definition, page.ChangeNumber = here.Serving.Flags[i].Definition, here.Serving.Flags[i].ChangeNumber
		}
	}
	return s.showStatus(r, status, "flag", page)
}

// flagValues fills the form from a flag.
func flagValues(flag catalog.FlagSpec, spec catalog.ServingSpec, inEnvironment bool) url.Values {
	v := url.Values{"name": {flag.Name}, "trafficType": {flag.TrafficType}, "sets": {strings.Join(spec.Sets, ", ")}, "defaultTreatment": {spec.DefaultTreatment}}
	switch {
	case len(spec.Definition) > 0:
		v.Set("serve", serveDefinition)
		v.Set("definition", prettyJSON(spec.Definition))
	case len(spec.Treatments)+len(spec.Rollout)+len(spec.Configurations) > 0, !inEnvironment && (spec.Killed != nil || spec.TrafficAllocation != nil || spec.DefaultTreatment != ""):
		v.Set("serve", serveRollout)
	}
	if spec.TrafficAllocation != nil {
		v.Set("trafficAllocation", strconv.Itoa(*spec.TrafficAllocation))
	}
	for name, truth := range map[string]*bool{"killed": spec.Killed, "impressionsDisabled": spec.ImpressionsDisabled} {
		if truth != nil {
			v.Set(name, strconv.FormatBool(*truth))
		}
	}
	names := spec.Treatments
	if len(names) == 0 {
		names = flag.ServingSpec.WithDefaults().Treatments
	}
	for _, name := range names {
		percent := ""
		if n, ok := spec.Rollout[name]; ok {
			percent = strconv.Itoa(n)
		}
		v["treatment"] = append(v["treatment"], name)
		v["percent"] = append(v["percent"], percent)
		v["config"] = append(v["config"], spec.Configurations[name])
	}
	return v
}

// treatmentRows are the rows of the form, with room for two more.
func treatmentRows(f form) []treatmentRow {
	at := func(name string, i int) string {
		if list := f.Values[name]; i < len(list) {
			return list[i]
		}
		return ""
	}
	var rows []treatmentRow
	for i := range f.Values["treatment"] {
		if row := (treatmentRow{at("treatment", i), at("percent", i), at("config", i)}); row != (treatmentRow{}) {
			rows = append(rows, row)
		}
	}
	return append(rows, treatmentRow{}, treatmentRow{})
}

// servingEntered reads the form; base is what holds everywhere, for the form of
// an environment.
func servingEntered(f *form, base *catalog.ServingSpec) catalog.ServingSpec {
	spec := catalog.ServingSpec{DefaultTreatment: strings.TrimSpace(f.Value("defaultTreatment")), Sets: listed(f.Value("sets"))}
	if f.Value("serve") == "" && base == nil {
		return catalog.ServingSpec{} // known, not served
	}
	if text := strings.TrimSpace(f.Value("trafficAllocation")); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			f.Errors["trafficAllocation"] = "Write a whole number from 0 to 100."
		}
		spec.TrafficAllocation = &n
	}
	spec.Killed, spec.ImpressionsDisabled = truthEntered(f, "killed"), truthEntered(f, "impressionsDisabled")
	if f.Value("serve") != serveRollout {
		return spec
	}
	for _, row := range treatmentRows(*f) {
		name := strings.TrimSpace(row.Name)
		if name == "" {
			if row.Percent != "" || row.Config != "" {
				f.Errors["treatments"] = "A row has a percentage or a configuration and no name."
			}
			continue
		}
		spec.Treatments = append(spec.Treatments, name)
		if text := strings.TrimSuffix(strings.TrimSpace(row.Percent), "%"); text != "" {
			n, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil {
				f.Errors["rollout"] = "The percentage of " + name + " is no whole number."
			}
			if spec.Rollout == nil {
				spec.Rollout = map[string]int{}
			}
			spec.Rollout[name] = n
		}
		if row.Config != "" {
			if spec.Configurations == nil {
				spec.Configurations = map[string]string{}
			}
			spec.Configurations[name] = row.Config
		}
	}
	if base != nil && slices.Equal(spec.Treatments, base.WithDefaults().Treatments) {
		spec.Treatments = nil // as everywhere
	}
	return spec
}

// truthEntered reads yes, no or nothing.
func truthEntered(f *form, name string) *bool {
	if text := f.Value(name); text == "true" || text == "false" {
		truth := text == "true"
		return &truth
	}
	return nil
}

// saveFlag saves the flag of the path in one scope, or a new one.
func (s *Server) saveFlag(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	project, err := specOf(r)
	if err != nil {
		return err
	}
	entered := configured{Form: f, Tag: f.Value("tag")}
	flag, seen, in := catalog.FlagSpec{Name: strings.TrimSpace(f.Value("name"))}, catalog.NoTag, ""
	if name := r.PathValue("flag"); name != "" {
		there, _ := project.Object(catalog.Flags, name)
		flag, _ = there.(catalog.FlagSpec)
		flag.Name, seen, in = name, entered.Tag, scopeOf(r, project)
	}
	if in == "" {
		flag.TrafficType = f.Value("trafficType")
		flag.ServingSpec = servingEntered(&f, nil)
	} else {
		flag.Environments = maps.Clone(flag.Environments)
		if flag.Environments == nil {
			flag.Environments = map[string]catalog.ServingSpec{}
		}
		flag.Environments[in] = servingEntered(&f, &flag.ServingSpec)
	}
	if f.Value("serve") == serveDefinition && !f.Failed() {
		flag = withDefinition(&f, flag, in)
	}
	if in != "" && isSame(flag.Environments[in]) {
		delete(flag.Environments, in)
	}
	if !f.Failed() {
		_, err := s.Catalog.PutObject(r.Context(), project.Name, flag, seen, r.who.Actor())
		entered.Form = f
		if entered.stale(err, flag) {
			if seen == catalog.NoTag {
				entered = configured{Form: f}
				entered.Form.Errors["name"] = "There is a flag of that name already."
			}
			return s.showFlag(r, http.StatusConflict, flag, entered)
		}
		if err := f.unsaved(err, flagFields...); err != nil {
			return err
		}
	}
	if entered.Form = f; f.Failed() {
		return s.showFlag(r, http.StatusUnprocessableEntity, flag, entered)
	}
	l := s.layout(r, "")
	to := "/projects/" + url.PathEscape(project.Name) + "/flags/" + url.PathEscape(flag.Name)
	return s.redirect(r, l.Link(to, "in", in), "Saved. SDKs get it at their next poll.")
}

// isSame reports whether an environment says nothing of its own.
func isSame(spec catalog.ServingSpec) bool {
	text, err := json.Marshal(spec)
	return err == nil && string(text) == "{}"
}

// withDefinition reads the definition that was entered, through the decoder of
// the file, so that the same is wrong with it here and there.
func withDefinition(f *form, flag catalog.FlagSpec, in string) catalog.FlagSpec {
	text := strings.TrimSpace(f.Value("definition"))
	if !json.Valid([]byte(text)) || !strings.HasPrefix(text, "{") {
		f.Errors["definition"] = "This is no JSON object. Paste the definition of one flag, from { to }."
		return flag
	}
	only, err := json.Marshal(map[string]json.RawMessage{"definition": json.RawMessage(strings.ReplaceAll(text, "${", "$${"))})
	if err != nil {
		f.Errors["definition"] = "This cannot be read as JSON."
		return flag
	}
	object, found := catalog.DecodeObject(catalog.Flags, flag.Name, only)
	f.findings(found, flagFields)
	if read, ok := object.(catalog.FlagSpec); ok && len(found) == 0 {
		if in == "" {
			flag.Definition = read.Definition
		} else {
			spec := flag.Environments[in]
			spec.Definition = read.Definition
			flag.Environments[in] = spec
		}
	}
	return flag
}

// killFlag kills a flag or brings it back, everywhere or in one environment.
func (s *Server) killFlag(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	name, killed, in := r.PathValue("flag"), f.Value("killed") == "true", ""
	_, err = s.Catalog.EditProject(r.Context(), r.PathValue("project"), r.who.Actor(), func(p *catalog.ProjectSpec) error {
		i := slices.IndexFunc(p.Flags, func(f catalog.FlagSpec) bool { return f.Name == name })
		if i < 0 {
			return &catalog.UnknownObjectError{What: "flag", Name: name}
		}
		flag := &p.Flags[i]
		if in = scopeOf(r, p); in == "" {
			flag.Killed = &killed
			return nil
		}
		if flag.Environments == nil {
			flag.Environments = map[string]catalog.ServingSpec{}
		}
		spec := flag.Environments[in]
		spec.Killed = &killed
		flag.Environments[in] = spec
		return nil
	})
	if err := f.unsaved(err); err != nil {
		return err
	}
	if f.Failed() {
		return refuse(http.StatusUnprocessableEntity, "Not saved", "%s", f.Error)
	}
	what, where := "brought back", "everywhere"
	if killed {
		what = "killed: every key gets the default treatment"
	}
	if in != "" {
		where = "in " + in
	}
	l := s.layout(r, "")
	to := l.Link("/projects/"+url.PathEscape(r.PathValue("project"))+"/flags/"+url.PathEscape(name), "in", in)
	return s.redirect(r, to, fmt.Sprintf("%s is %s, %s. SDKs get it at their next poll.", name, what, where))
}

func (s *Server) removeFlag(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	flag, err := flagOf(r)
	if err != nil {
		return err
	}
	if f.confirmed(flag.Name) {
		_, err := s.Catalog.RemoveObject(r.Context(), r.PathValue("project"), catalog.Flags, flag.Name, catalog.AnyTag, r.who.Actor())
		if err := f.unsaved(err); err != nil {
			return err
		}
	}
	if f.Failed() {
		f.Values = nil
		return s.showFlag(r, http.StatusUnprocessableEntity, flag, configured{Form: f, Tag: catalog.TagOf(flag)})
	}
	return s.redirect(r, s.layout(r, "").Link("/flags"), "The flag "+flag.Name+" is removed. SDKs stop seeing it at their next poll.")
}

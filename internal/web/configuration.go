package web

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/playground"
	"causeway/internal/trace"
	"causeway/internal/translate"
)

// configurationPage is the form of one source, destination or listener, with
// what it takes to connect it.
type configurationPage struct {
	layout
	Project string
	Kind    catalog.ObjectKind
	Name    string // empty: it is new
	ID      string
	Back    string // the project's page
	Action  string // where the form goes
	File    string // the configuration's; then nothing is saved here
	CanSave bool
	Form    form

	// Tag and Seen are the version that the person began with.
	Tag, Seen string
	Stale     []staleField
	Removed   bool // by somebody else meanwhile

	Environments, TrafficTypes []string
	UserIDs, AnonymousIDs      []string // as many choices as are offered

	EventType, Value         *playground.PathCheck
	Confirm                  bool // a second Save saves although the path loses everything
	PageResult, ScreenResult exampleName
	Lines                    []playground.Line
	Tracks                   int  // calls that the picker looked at
	Invented                 bool // the picker's call is none that came
	Preview                  *playground.Preview
	Last                     int
	YAML                     string

	Connect  *connection
	Tested   *tested
	Enabling *enabling
}

// exampleName is what a page's or screen's name becomes.
type exampleName struct {
	Name string
	OK   bool
}

// staleField is a setting that somebody else changed meanwhile.
type staleField struct{ Setting, Was, Is, Yours string }

// objectKind is the list that the path means.
func objectKind(r *request) (catalog.ObjectKind, error) {
	kind := catalog.ObjectKind(r.PathValue("kind"))
	if !slices.Contains(catalog.ObjectKinds, kind) {
		return "", notFound("A project has sources, destinations and listeners for Segment, and no %q.", cutText(string(kind), 40))
	}
	return kind, nil
}

// openForm makes the page of the object that the path names, or of a new one.
func (s *Server) openForm(r *request) (*configurationPage, catalog.Object, error) {
	kind, err := objectKind(r)
	if err != nil {
		return nil, nil, err
	}
	spec, err := projectSpec(r)
	if err != nil {
		return nil, nil, err
	}
	p := &configurationPage{
		layout: s.layout(r, ""), Project: spec.Name, Kind: kind, Tag: catalog.NoTag, File: s.Catalog.File(), Last: 100,
		TrafficTypes: spec.TrafficTypes, Form: form{Errors: map[string]string{}},
	}
	for _, e := range spec.Environments {
		p.Environments = append(p.Environments, e.Name)
	}
	p.Back, p.Action = segmentURL(p.layout, spec.Name), segmentURL(p.layout, spec.Name, string(kind))
	p.CanSave = p.May(auth.Change) && p.File == ""
	object := newObject(kind)
	if id := r.PathValue("name"); id != "" {
		there, ok := spec.Segment.Object(kind, id)
		if !ok {
			return nil, nil, notFound("There is no %s %q in the project %s. It may have been removed.", one(kind), cutText(id, 80), spec.Name)
		}
		object = there
		p.see(there)
	}
	p.Title = p.heading()
	return p, object, nil
}

// see makes an object the version that the person began with.
func (p *configurationPage) see(object catalog.Object) {
	v := fieldsOf(object)
	p.Name = v.Get("name")
	p.ID = catalog.Slug(p.Name)
	p.Action = segmentURL(p.layout, p.Project, string(p.Kind), p.ID)
	p.Tag = catalog.TagOf(object)
	seen, err := catalog.EncodeObject(catalog.WithoutSecrets(object))
	if err == nil { // texts, lists and booleans always marshal
		p.Seen = string(seen)
	}
}

func (p *configurationPage) heading() string {
	if p.Name == "" {
		return "New " + one(p.Kind)
	}
	return p.Name
}

func one(kind catalog.ObjectKind) string { return strings.TrimSuffix(string(kind), "s") }

func (s *Server) newConfiguration(r *request) error {
	p, object, err := s.openForm(r)
	if err != nil {
		return err
	}
	p.Form.Values = fieldsOf(object)
	if len(p.Environments) > 0 && r.env != nil {
		p.Form.Values.Set("environment", r.env.Name)
		p.Form.Values.Set("environments", r.env.Name)
	}
	return s.showConfiguration(r, http.StatusOK, p, object)
}

func (s *Server) configuration(r *request) error {
	p, object, err := s.openForm(r)
	if err != nil {
		return err
	}
	p.Form.Values = fieldsOf(object)
	return s.showConfiguration(r, http.StatusOK, p, object)
}

// saveConfiguration takes the form: to save it, to preview it, or to change a
// field by a button.
func (s *Server) saveConfiguration(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	p, there, err := s.openForm(r)
	var gone *problem
	if errors.As(err, &gone) && gone.status == http.StatusNotFound && f.Value("tag") != "" && r.PathValue("name") != "" {
		return s.removedMeanwhile(r, f)
	}
	if err != nil {
		return err
	}
	p.Form = f
	f.apply(f.Value("fix"))
	object := p.Form.objectFrom(there, p.TrafficTypes)
	if p.Name == "" {
		object = named(object, strings.TrimSpace(f.Value("name")))
	}
	if f.Value("do") == "yaml" || f.Value("do") == "preview" || f.Value("fix") != "" || f.Value("do") == "check" {
		return s.reconsider(r, p, there, object)
	}
	if err := s.Catalog.CheckEditable(); err != nil {
		p.YAML = yamlOf(object)
		p.Form.Error = "Nothing was saved: " + err.Error() + ". The text to paste is below."
		return s.showConfiguration(r, http.StatusConflict, p, object)
	}
	return s.save(r, p, there, object)
}

// reconsider shows the form again with what a button asked for.
func (s *Server) reconsider(r *request, p *configurationPage, there, object catalog.Object) error {
	status := http.StatusOK
	p.keepSeen()
	if p.Form.Value("do") == "preview" {
		if err := s.preview(r, p, there, object); err != nil {
			return err
		}
		if p.Form.Failed() {
			status = http.StatusUnprocessableEntity
		}
	}
	if p.Form.Value("do") == "yaml" {
		p.YAML = yamlOf(object)
	}
	return s.showConfiguration(r, status, p, object)
}

// keepSeen keeps the version that the form was made from, whatever is there now.
func (p *configurationPage) keepSeen() {
	if tag := p.Form.Value("tag"); tag != "" {
		p.Tag, p.Seen = tag, p.Form.Value("seen")
	}
}

// save puts the object and shows what to do next, or the form again.
func (s *Server) save(r *request, p *configurationPage, there, object catalog.Object) error {
	p.keepSeen()
	if p.Form.Failed() {
		return s.showConfiguration(r, http.StatusUnprocessableEntity, p, object)
	}
	if destination, ok := object.(catalog.DestinationSpec); ok && destination.Track.Enabled && p.Form.Value("anyway") != "true" {
		calls, err := s.recent(r, p, destination.Name)
		if err != nil {
			return err
		}
		if check := playground.CheckEventType(destination.Track.EventType, destination.RepairNames, calls); check.Wrong() {
			p.Confirm = true
			return s.showConfiguration(r, http.StatusUnprocessableEntity, p, object)
		}
	}
	change, err := s.Catalog.PutObject(r.Context(), p.Project, object, p.Tag, r.who.Actor())
	var invalid *catalog.InvalidError
	var stale *catalog.StaleObjectError
	switch {
	case errors.As(err, &invalid):
		p.Form.find(invalid.Findings)
		return s.showConfiguration(r, http.StatusUnprocessableEntity, p, object)
	case errors.As(err, &stale):
		p.differs(stale.Now, object)
		return s.showConfiguration(r, http.StatusConflict, p, object)
	case err != nil:
		return err
	}
	to := segmentURL(p.layout, p.Project, string(p.Kind), catalog.Slug(fieldsOf(object).Get("name")))
	if len(change.Generated) == 0 {
		return s.redirect(r, to, "Saved.")
	}
	return s.showGenerated(r, p.Kind, fieldsOf(object).Get("name"), change.Generated, "Saved. Copy the secrets now: they are shown this once.")
}

// showGenerated shows an object as it is now, with secrets that were made a
// moment ago.
func (s *Server) showGenerated(r *request, kind catalog.ObjectKind, name string, made []catalog.GeneratedSecret, notice string) error {
	r.snapshot = s.Catalog.Snapshot()
	r.SetPathValue("name", catalog.Slug(name))
	p, object, err := s.openForm(r)
	if err != nil {
		return err
	}
	p.Form.Values = fieldsOf(object)
	p.Notice = notice
	p.Connect = s.connect(r, p, object, made)
	return s.showConfiguration(r, http.StatusOK, p, object)
}

// differs shows what somebody else changed, and goes on from there with what
// was entered.
func (p *configurationPage) differs(now, yours catalog.Object) {
	seen, _ := catalog.DecodeObject(p.Kind, p.Name, []byte(p.Seen))
	if now == nil {
		p.Removed, p.Tag, p.Seen = true, catalog.NoTag, ""
		p.Form.Error = "Somebody else removed it meanwhile. Saving again adds it anew, with new secrets."
		return
	}
	if p.Name == "" {
		p.Form.Errors["name"] = "There is one of this name already. Choose another name, or open that one."
		return
	}
	mine := map[string]string{}
	for _, d := range catalog.CompareObjects(seen, catalog.WithoutSecrets(yours)) {
		mine[d.Path] = string(d.After)
	}
	for _, d := range catalog.CompareObjects(seen, catalog.WithoutSecrets(now)) {
		field := staleField{Setting: d.Path, Was: string(d.Before), Is: string(d.After), Yours: "as it was"}
		if text, ok := mine[d.Path]; ok {
			field.Yours = text
		}
		p.Stale = append(p.Stale, field)
	}
	if len(p.Stale) == 0 {
		p.Stale = []staleField{{Setting: "secrets", Was: "as you saw them", Is: "rotated or replaced", Yours: "not touched by this form"}}
	}
	p.Form.Error = "Somebody else changed it meanwhile, so nothing was saved. What you entered is still here; saving again puts it over theirs."
	p.see(now)
}

// removedMeanwhile answers a form whose object is gone: with the form, as a
// new one.
func (s *Server) removedMeanwhile(r *request, f form) error {
	r.SetPathValue("name", "")
	p, object, err := s.openForm(r)
	if err != nil {
		return err
	}
	p.Form = f
	object = named(p.Form.objectFrom(object, p.TrafficTypes), f.Value("name"))
	p.differs(nil, object)
	return s.showConfiguration(r, http.StatusConflict, p, object)
}

// recent are the newest calls of a destination that the stream still holds.
// Who may not see people gets none.
func (s *Server) recent(r *request, p *configurationPage, name string) ([]translate.Call, error) {
	if name == "" || !r.who.May(auth.SeePeople, p.Project) {
		return nil, nil
	}
	rooms := trace.Rooms{Snapshot: r.snapshot, Streams: s.Streams, Store: s.Store, Visible: func(project string) bool {
		return r.who.May(auth.SeePeople, project)
	}}
	kept, err := rooms.Recent(r.Context(), catalog.Slug(name), p.Last)
	if err != nil {
		return nil, storeFailed(err)
	}
	calls := make([]translate.Call, len(kept))
	for i := range kept {
		calls[i] = kept[i].Call
	}
	return calls, nil
}

// preview runs what was entered over the newest calls.
func (s *Server) preview(r *request, p *configurationPage, there, object catalog.Object) error {
	after, ok := object.(catalog.DestinationSpec)
	if !ok || p.Form.Failed() {
		return nil
	}
	if n := p.Form.number("last"); n > 0 {
		p.Last = min(n, 1000)
	}
	if _, found := s.Catalog.CheckObject(p.Project, object); len(found) > 0 {
		p.Form.find(found)
		return nil
	}
	calls, err := s.recent(r, p, p.Name)
	if err != nil {
		return err
	}
	spec, err := projectSpec(r)
	if err != nil {
		return err
	}
	before := there.(catalog.DestinationSpec)
	p.Preview = playground.Compare(before.Translation(spec), after.Translation(spec), calls, 5)
	return nil
}

// showConfiguration fills in what the page says of the settings in the form.
func (s *Server) showConfiguration(r *request, status int, p *configurationPage, object catalog.Object) error {
	if p.Form.Errors == nil {
		p.Form.Errors = map[string]string{}
	}
	if destination, ok := object.(catalog.DestinationSpec); ok {
		if err := s.explainPaths(r, p, destination); err != nil {
			return err
		}
		p.UserIDs = offered(destination.Identities.UserID, p.TrafficTypes)
		p.AnonymousIDs = offered(destination.Identities.AnonymousID, p.TrafficTypes)
	}
	if p.Connect == nil && p.Name != "" {
		p.Connect = s.connect(r, p, object, nil)
	}
	if p.Connect != nil {
		var err error
		if p.Connect.Health, err = s.health(r, p.Kind, p.ID); err != nil {
			return err
		}
	}
	return s.showStatus(r, status, "configuration", p)
}

// offered are the choices of an identity: those there are and two more.
func offered(chosen, trafficTypes []string) []string {
	n := min(len(chosen)+2, max(len(trafficTypes), len(chosen)))
	return append(slices.Clone(chosen), make([]string, n-len(chosen))...)
}

// explainPaths says what the paths find in calls that came, and lays one out
// to pick from.
func (s *Server) explainPaths(r *request, p *configurationPage, d catalog.DestinationSpec) error {
	calls, err := s.recent(r, p, p.Name)
	if err != nil {
		return err
	}
	if r.who.May(auth.SeePeople, p.Project) { // others are told nothing of calls
		eventType := playground.CheckEventType(d.Track.EventType, d.RepairNames, calls)
		value := playground.CheckValue(d.Track.Value, calls)
		p.EventType, p.Value = &eventType, &value
	}
	if p.Lines, p.Tracks = playground.Picker(calls); p.Tracks == 0 {
		p.Invented = true
		p.Lines, _ = playground.Picker(playground.Samples(r.now))
	}
	p.PageResult.Name, p.PageResult.OK = translate.Templated(d.Pages.Template, "signup", d.RepairNames)
	p.ScreenResult.Name, p.ScreenResult.OK = translate.Templated(d.Screens.Template, "signup", d.RepairNames)
	return nil
}

// removeConfiguration takes one away, when its name was typed.
func (s *Server) removeConfiguration(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	p, object, err := s.openForm(r)
	if err != nil {
		return err
	}
	if strings.TrimSpace(f.Value("confirm")) != p.Name {
		p.Form = form{Values: fieldsOf(object), Errors: map[string]string{"confirm": fmt.Sprintf("Type the name, %s, to remove it.", p.Name)}}
		return s.showConfiguration(r, http.StatusUnprocessableEntity, p, object)
	}
	_, err = s.Catalog.RemoveObject(r.Context(), p.Project, p.Kind, p.Name, f.Value("tag"), r.who.Actor())
	var stale *catalog.StaleObjectError
	if errors.As(err, &stale) {
		p.Form = form{Values: fieldsOf(object), Error: "Somebody else changed it meanwhile, so it was not removed. This is how it is now.", Errors: map[string]string{}}
		return s.showConfiguration(r, http.StatusConflict, p, object)
	}
	if err != nil {
		return err
	}
	return s.redirect(r, p.Back, fmt.Sprintf("The %s %s was removed.", one(p.Kind), p.Name))
}

// yamlOf is an object as it stands in a configuration file, its secrets left
// out: those in the file stay.
func yamlOf(object catalog.Object) string {
	text, err := catalog.EncodeObjectYAML(catalog.WithoutSecrets(object))
	if err != nil {
		return "" // texts, lists and booleans always marshal
	}
	return string(text)
}

package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/playground"
	"causeway/internal/segment"
	"causeway/internal/trace"
	"causeway/internal/translate"
)

// The routes of single objects of a project: sources, destinations, listeners.

const segmentPath = "/admin/v1/projects/{project}/segment"

var segmentRoutes = []route{
	{method: "GET", pattern: segmentPath + "/{kind}", need: auth.See, handle: (*Server).objects},
	{method: "GET", pattern: segmentPath + "/{kind}/{name}", need: auth.See, handle: (*Server).object},
	{method: "PUT", pattern: segmentPath + "/{kind}/{name}", need: auth.Change, query: []string{"dryRun"}, handle: (*Server).putObject},
	{method: "DELETE", pattern: segmentPath + "/{kind}/{name}", need: auth.Change, handle: (*Server).removeObject},
	{method: "POST", pattern: segmentPath + "/{kind}/{name}/rotate", need: auth.Change, handle: (*Server).rotateObject},
	{method: "POST", pattern: segmentPath + "/{kind}/{name}/end-rotation", need: auth.Change, handle: (*Server).endObjectRotation},
	{method: "POST", pattern: segmentPath + "/{kind}/{name}/preview", need: auth.SeePeople, query: []string{"last"}, handle: (*Server).previewObject},
	{method: "POST", pattern: segmentPath + "/{kind}/{name}/test", need: auth.Change, handle: (*Server).testObject},
}

// shownObject is an object with its id and the tag of this version of it.
type shownObject struct {
	Name     string          `json:"name"`
	ID       string          `json:"id"`
	Tag      string          `json:"tag"`
	Settings json.RawMessage `json:"settings"`
}

// kindOf reads which list the path means.
func kindOf(r *request) (catalog.ObjectKind, error) {
	if r.kind != "" {
		return r.kind, nil
	}
	kind := catalog.ObjectKind(r.path["kind"])
	if !slices.Contains(catalog.ObjectKinds, kind) {
		return "", refuse(http.StatusNotFound, "kind_unknown", "A project has sources, destinations and listeners, no %q.", string(kind))
	}
	return kind, nil
}

// projectSpec is the project the path names, as it stands in the configuration.
func (s *Server) projectSpec(r *request) (*catalog.ProjectSpec, error) {
	p, ok := s.catalog.Export().Project(r.path["project"])
	if !ok {
		return nil, unknownObject(&catalog.UnknownObjectError{What: "project", Name: r.path["project"]})
	}
	return p, nil
}

func unknownObject(e *catalog.UnknownObjectError) *Problem {
	p := refuse(http.StatusNotFound, e.What+"_unknown", "There is no %s %q. GET /admin/v1/projects lists what there is.", e.What, e.Name)
	p.cause = e
	return p
}

// objectOf is the object the path names.
func (s *Server) objectOf(r *request) (*catalog.ProjectSpec, catalog.ObjectKind, catalog.Object, error) {
	kind, err := kindOf(r)
	if err != nil {
		return nil, "", nil, err
	}
	p, err := s.projectSpec(r)
	if err != nil {
		return nil, "", nil, err
	}
	object, ok := p.Object(kind, r.path["name"])
	if !ok {
		return nil, "", nil, unknownObject(&catalog.UnknownObjectError{What: strings.TrimSuffix(string(kind), "s"), Name: r.path["name"]})
	}
	return p, kind, object, nil
}

func tagOf(object catalog.Object) string { return `"` + catalog.TagOf(object) + `"` }

// settingsFor are an object's settings as the caller may see them: secrets, in
// their opaque texts, only for who may change them.
func settingsFor(r *request, object catalog.Object) (json.RawMessage, error) {
	if !r.who.May(auth.Change, r.path["project"]) {
		object = catalog.WithoutSecrets(object)
	}
	return catalog.EncodeObject(object)
}

func (s *Server) objects(r *request) error {
	kind, err := kindOf(r)
	if err != nil {
		return err
	}
	p, err := s.projectSpec(r)
	if err != nil {
		return err
	}
	items := []shownObject{}
	for _, name := range p.Names(kind) {
		object, _ := p.Object(kind, name)
		settings, err := settingsFor(r, object)
		if err != nil {
			return err
		}
		items = append(items, shownObject{Name: name, ID: catalog.Slug(name), Tag: catalog.TagOf(object), Settings: settings})
	}
	return r.answer(list[shownObject]{Items: items})
}

func (s *Server) object(r *request) error {
	_, _, object, err := s.objectOf(r)
	if err != nil {
		return err
	}
	settings, err := settingsFor(r, object)
	if err != nil {
		return err
	}
	r.w.Header().Set("ETag", tagOf(object))
	return r.answer(settings)
}

// seenTag is the version that a change was made from: If-Match with a tag or *,
// or If-None-Match: * for one that must be new.
func (r *request) seenTag() (string, error) {
	if r.Header.Get("If-None-Match") == "*" {
		return catalog.NoTag, nil
	}
	match := strings.TrimSpace(r.Header.Get("If-Match"))
	switch {
	case match == "":
		return "", refuse(http.StatusPreconditionRequired, "if_match_missing", "Send If-Match with the ETag that the change was made from (GET this path), or * for whatever is there; for a new one, If-None-Match: *.")
	case match == "*":
		return catalog.AnyTag, nil
	}
	return strings.Trim(match, `"`), nil
}

func (s *Server) putObject(r *request) error {
	kind, err := kindOf(r)
	if err != nil {
		return err
	}
	dryRun, err := r.flag("dryRun")
	if err != nil {
		return err
	}
	object, err := r.decodeObject(kind)
	if err != nil {
		return err
	}
	project := r.path["project"]
	if dryRun {
		change, findings := s.catalog.CheckObject(project, object)
		if len(findings) > 0 {
			return invalidObject(findings)
		}
		return answerChange(r, change)
	}
	seen, err := r.seenTag()
	if err != nil {
		return err
	}
	change, err := s.catalog.PutObject(r.Context(), project, object, seen, actorOf(r))
	if err != nil {
		return objectProblem(err)
	}
	return answerChange(r, change)
}

// decodeObject reads the body as the settings of the object that the path names.
func (r *request) decodeObject(kind catalog.ObjectKind) (catalog.Object, error) {
	data, err := r.body(1 << 20)
	if err != nil {
		return nil, err
	}
	object, findings := catalog.DecodeObject(kind, r.path["name"], data)
	if len(findings) > 0 {
		return nil, invalidObject(findings)
	}
	return object, nil
}

func (s *Server) removeObject(r *request) error {
	kind, err := kindOf(r)
	if err != nil {
		return err
	}
	seen, err := r.seenTag()
	if err != nil {
		return err
	}
	if _, err := s.catalog.RemoveObject(r.Context(), r.path["project"], kind, r.path["name"], seen, actorOf(r)); err != nil {
		return objectProblem(err)
	}
	r.w.WriteHeader(http.StatusNoContent)
	return nil
}

func invalidObject(findings []catalog.Finding) *Problem {
	p := refuse(http.StatusUnprocessableEntity, "settings_invalid", "The settings have %s and were not saved. Each is listed with its place and what to do.", counted(len(findings), "finding"))
	p.Findings = findings
	return p
}

// objectProblem makes answers of what can be wrong with changing an object.
func objectProblem(err error) error {
	var invalid *catalog.InvalidError
	var unknown *catalog.UnknownObjectError
	var stale *catalog.StaleObjectError
	switch {
	case errors.As(err, &invalid):
		return invalidObject(invalid.Findings)
	case errors.As(err, &unknown):
		return unknownObject(unknown)
	case errors.As(err, &stale):
		return refuse(http.StatusPreconditionFailed, "object_stale", "Nothing was changed: %v. Read it again (GET this path), make your change again, and send that.", stale)
	}
	return err
}

// keyOf names the credential of an object that "secret" in the body means.
func (s *Server) keyOf(r *request, secret string) (catalog.KeyRef, error) {
	_, kind, object, err := s.objectOf(r)
	if err != nil {
		return catalog.KeyRef{}, err
	}
	switch o := object.(type) {
	case catalog.DestinationSpec:
		switch secret {
		case "apiKey":
			return catalog.KeyRef{Kind: "destination", Name: o.Name}, nil
		case "webhook.secret":
			return catalog.KeyRef{Kind: "webhook", Name: o.Name}, nil
		}
		return catalog.KeyRef{}, refuse(http.StatusBadRequest, "body_invalid", "secret is apiKey or webhook.secret, not %q.", secret)
	case catalog.ListenerSpec:
		if secret == "" || secret == "secret" {
			return catalog.KeyRef{Kind: "listener", Name: o.Name}, nil
		}
		return catalog.KeyRef{}, refuse(http.StatusBadRequest, "body_invalid", "A listener has one secret, named secret.")
	}
	return catalog.KeyRef{}, refuse(http.StatusBadRequest, "not_rotatable", "The write key of %s is Segment's to make. PUT the source with a new writeKey.", string(kind))
}

func (s *Server) rotateObject(r *request) error {
	var want struct {
		Secret  string `json:"secret"`
		Overlap bool   `json:"overlap"`
	}
	if err := r.decode(&want, 64<<10); err != nil {
		return err
	}
	ref, err := s.keyOf(r, want.Secret)
	if err != nil {
		return err
	}
	made, err := s.catalog.RotateKey(r.Context(), ref, want.Overlap, actorOf(r))
	if err != nil {
		return unknownKey(err)
	}
	return r.answer(made)
}

func (s *Server) endObjectRotation(r *request) error {
	var want struct {
		Secret string `json:"secret"`
	}
	if err := r.decode(&want, 64<<10); err != nil {
		return err
	}
	ref, err := s.keyOf(r, want.Secret)
	if err != nil {
		return err
	}
	if err := s.catalog.EndRotation(r.Context(), ref, actorOf(r)); err != nil {
		return unknownKey(err)
	}
	r.w.WriteHeader(http.StatusNoContent)
	return nil
}

// Bounds of a preview.
const (
	previewCalls    = 100
	previewMost     = 1000
	previewExamples = 5
)

// previewObject runs changed settings of a destination over its newest calls.
func (s *Server) previewObject(r *request) error {
	last, err := r.number("last", previewCalls, previewMost)
	if err != nil {
		return err
	}
	p, kind, object, err := s.objectOf(r)
	if err != nil {
		return err
	}
	there, ok := object.(catalog.DestinationSpec)
	if !ok {
		return refuse(http.StatusBadRequest, "no_preview", "Only destinations have a preview: %s take no calls.", string(kind))
	}
	r.path["name"] = there.Name // the path may have its id
	changed, err := r.decodeObject(kind)
	if err != nil {
		return err
	}
	if _, findings := s.catalog.CheckObject(p.Name, changed); len(findings) > 0 {
		return invalidObject(findings)
	}
	rooms := trace.Rooms{Snapshot: s.catalog.Snapshot(), Streams: s.streams, Store: s.store, Visible: r.may(auth.SeePeople)}
	kept, err := rooms.Recent(r.Context(), catalog.Slug(there.Name), last)
	if err != nil {
		return err
	}
	calls := make([]translate.Call, len(kept))
	for i := range kept {
		calls[i] = kept[i].Call
	}
	after := changed.(catalog.DestinationSpec)
	return r.answer(playground.Compare(there.Translation(p), after.Translation(p), calls, previewExamples))
}

// Tried is what came of a test.
type Tried struct {
	OK     bool `json:"ok"`
	Status int  `json:"status"` // 0: there was no answer
	// Answer is the beginning of what was answered, or why nothing was.
	Answer     string          `json:"answer"`
	TookMillis int64           `json:"tookMillis"`
	MessageID  string          `json:"messageId"`
	Call       json.RawMessage `json:"call"` // that was sent
}

// testObject sends an impression where a source sends, or gives a call to a
// destination's door.
func (s *Server) testObject(r *request) error {
	_, _, object, err := s.objectOf(r)
	if err != nil {
		return err
	}
	snapshot, began := s.catalog.Snapshot(), time.Now()
	var tried Tried
	switch o := object.(type) {
	case catalog.SourceSpec:
		source, ok := snapshot.Source(o.Name)
		if !ok || s.try == nil {
			return cannotTest()
		}
		sent, err := playground.TestImpression(source, began)
		if err != nil {
			return err
		}
		tried = s.try(r.Context(), source, sent.Call)
		tried.MessageID, tried.Call = sent.MessageID, sent.Call
	case catalog.DestinationSpec:
		destination, ok := snapshot.Destination(o.Name)
		if !ok || s.take == nil {
			return cannotTest()
		}
		call := playground.TestCall(destination.Translate, began)
		tried.Status, tried.Answer = s.take(r.Context(), destination, call)
		tried.OK, tried.Call = tried.Status == http.StatusOK, call
		tried.MessageID = translate.At(segment.Item{JSON: call}, "messageId").Text()
	default:
		return refuse(http.StatusBadRequest, "no_test", "Sources and destinations can be tested. To test a listener, let its sender send.")
	}
	tried.TookMillis = time.Since(began).Milliseconds()
	s.accounts.Record(r.Context(), actorOf(r), auth.TestSent, r.path["kind"]+" "+r.path["name"], "")
	return r.answer(tried)
}

func cannotTest() *Problem {
	p := refuse(http.StatusServiceUnavailable, "test_unavailable", "The test cannot be made at present. Try again in a moment.")
	p.retryAfter = 5 * time.Second
	return p
}

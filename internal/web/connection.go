package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/playground"
	"causeway/internal/reason"
	"causeway/internal/segment"
	"causeway/internal/trace"
	"causeway/internal/translate"
)

// connection is what the other side needs in order to reach a configuration.
type connection struct {
	Health  health
	Secrets []secretField
	// URL is where a webhook or listener sends; TrackURL and DestinationURL are
	// where the API key is presented.
	URL, TrackURL, DestinationURL string
	Curl                          string
	Catalog                       string // Segment's page of the destination
	Fresh                         bool   // secrets are shown now
	Signed                        bool   // a signing secret is set
}

// secretField is a credential that the configuration gives out.
type secretField struct {
	Which, Label string
	Value        string // only on the answer that made it
	Hint         string
	Previous     string // hint of the one before, while a rotation is under way
	Rotatable    bool
}

// segmentCatalog is the page of Segment's app on which a workspace adds the
// destination Split.
const segmentCatalog = "https://app.segment.com/goto-my-workspace/destinations/catalog/split"

// connect says how to reach an object. made are secrets to show this once.
func (s *Server) connect(r *request, p *configurationPage, object catalog.Object, made []catalog.GeneratedSecret) *connection {
	base, id := s.base(r), catalog.Slug(p.Name)
	c := &connection{Fresh: len(made) > 0}
	value := func(kind string) string {
		for _, m := range made {
			if m.Kind() == kind {
				return m.Value
			}
		}
		return ""
	}
	add := func(kind, which, label string) string {
		field := secretField{Which: which, Label: label, Value: value(kind)}
		for _, key := range s.Catalog.Keys() {
			if key.Kind == kind && key.Name == p.Name {
				field.Hint, field.Previous = key.Hint, key.Previous
				field.Rotatable = s.Catalog.Rotatable(key.KeyRef)
			}
		}
		c.Secrets = append(c.Secrets, field)
		if field.Value != "" {
			return field.Value
		}
		return "$KEY"
	}
	switch o := object.(type) {
	case catalog.DestinationSpec:
		key := add("destination", "apiKey", "API key")
		add("webhook", "webhook.secret", "Webhook secret")
		c.DestinationURL, c.TrackURL, c.URL = base+"/segment/destination", base+"/v1/track", base+"/segment/webhook/"+id
		c.Catalog, c.Signed = segmentCatalog, !o.Webhook.SigningSecret.IsZero()
		c.Curl = fmt.Sprintf("curl -u '%s:' %s -H 'Content-Type: application/json' \\\n  -d '{\"userId\":\"me\",\"event\":\"Hello Causeway\",\"properties\":{\"revenue\":9.5}}'", key, c.TrackURL)
	case catalog.ListenerSpec:
		key := add("listener", "secret", "Secret")
		c.URL = base + "/hooks/" + id
		c.Curl = fmt.Sprintf("curl -H 'Authorization: %s' %s -H 'Content-Type: application/json' -d @impressions.json", key, c.URL)
	}
	return c
}

// keyRef is the credential that a form means.
func (p *configurationPage) keyRef(which string) (catalog.KeyRef, bool) {
	kinds := map[string]string{"destinations apiKey": "destination", "destinations webhook.secret": "webhook", "listeners secret": "listener"}
	kind, ok := kinds[string(p.Kind)+" "+which]
	return catalog.KeyRef{Kind: kind, Name: p.Name}, ok
}

// rotateSecret makes a new secret beside the old one, or ends the old one.
func (s *Server) rotateSecret(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	p, _, err := s.openForm(r)
	if err != nil {
		return err
	}
	ref, ok := p.keyRef(f.Value("secret"))
	if !ok {
		return refuse(http.StatusBadRequest, "Not a secret", "%s gives out no secret of that name. Open its page again.", p.Name)
	}
	if f.Has("do", "end") {
		if err := s.Catalog.EndRotation(r.Context(), ref, r.who.Actor()); err != nil {
			return err
		}
		return s.redirect(r, p.Action, "Ended: only the new one works now.")
	}
	made, err := s.Catalog.RotateKey(r.Context(), ref, !f.Has("do", "now"), r.who.Actor())
	if err != nil {
		return err
	}
	notice := "This is the new one, shown this once. The old one works beside it until you end it."
	if f.Has("do", "now") {
		notice = "This is the new one, shown this once. The old one no longer works."
	}
	return s.showGenerated(r, p.Kind, p.Name, []catalog.GeneratedSecret{made}, notice)
}

// tested is what came of a test.
type tested struct {
	Tried
	Took      time.Duration
	Call      json.RawMessage
	MessageID string
	Trace     string // address of its trace; empty: it goes out
	Outcome   reason.Outcome
	Steps     []trace.Step // of its way in; empty: it was not stored in time
}

// testConfiguration sends a test and shows what came of it.
func (s *Server) testConfiguration(r *request) error {
	p, object, err := s.openForm(r)
	if err != nil {
		return err
	}
	p.Form.Values = fieldsOf(object)
	if p.Tested, err = s.test(r, p); err != nil {
		return err
	}
	s.Accounts.Record(r.Context(), r.who.Actor(), auth.TestSent, string(p.Kind)+" "+p.Name, "")
	return s.showConfiguration(r, http.StatusOK, p, object)
}

func (s *Server) test(r *request, p *configurationPage) (*tested, error) {
	began := time.Now()
	unable := refuse(http.StatusServiceUnavailable, "The test cannot be made", "Try again in a moment, or send one yourself with the curl line.")
	switch p.Kind {
	case catalog.Sources:
		source, ok := r.snapshot.Source(p.ID)
		if !ok || s.Try == nil {
			return nil, unable
		}
		sent, err := playground.TestImpression(source, began)
		if err != nil {
			return &tested{Tried: Tried{Answer: err.Error()}}, nil
		}
		return &tested{Tried: s.Try(r.Context(), source, sent.Call), Took: time.Since(began), Call: sent.Call, MessageID: sent.MessageID}, nil
	case catalog.Destinations:
		destination, ok := r.snapshot.Destination(p.ID)
		if !ok || s.Take == nil {
			return nil, unable
		}
		call := playground.TestCall(destination.Translate, began)
		t := &tested{Call: call, MessageID: translate.At(segment.Item{JSON: call}, "messageId").Text()}
		t.Status, t.Answer = s.Take(r.Context(), destination, call)
		t.OK, t.Took = t.Status == http.StatusOK, time.Since(began)
		if !p.May(auth.SeePeople) {
			return t, nil
		}
		t.Trace = p.Link("/trace/" + t.MessageID)
		return t, s.follow(r, t)
	}
	return nil, refuse(http.StatusBadRequest, "Nothing to test", "A listener is tested by what sends to it: let it send, or use the curl line.")
}

// followFor is how long a person waits to see a test call stored.
const followFor = 2 * time.Second

// follow waits until what the door took is stored, and says how it got there.
func (s *Server) follow(r *request, t *tested) error {
	if !t.OK {
		return nil
	}
	rooms := trace.Rooms{Snapshot: r.snapshot, Streams: s.Streams, Store: s.Store}
	for end := time.Now().Add(followFor); time.Now().Before(end); {
		found, err := rooms.Find(r.Context(), t.MessageID)
		if err != nil {
			return storeFailed(err)
		}
		if len(found.Copies) > 0 {
			t.Outcome, t.Steps = found.Copies[0].Outcome, found.Copies[0].Steps
			return nil
		}
		select {
		case <-r.Context().Done():
			return r.Context().Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

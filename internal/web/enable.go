package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/segment/publicapi"
)

// enabling is what Causeway would do, or did, in a Segment workspace with a
// token that somebody gave for this.
type enabling struct {
	Region, Token string // the token is in the page and nowhere else
	Error         string
	Workspace     string
	Sources       []publicapi.Source // to choose from, for a destination
	Steps         []publicapi.Request
	Then          string   // what changes here
	Done          []string // sentences, once it was done
}

// What is made in a workspace, by its slug in Segment's catalog.
const (
	httpAPISource      = "http-api"
	webhookDestination = "actions-webhook"
)

// enableWithSegment shows what would be made in a workspace, and on a second
// press makes it. The token is used for these requests and forgotten.
func (s *Server) enableWithSegment(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	p, object, err := s.openForm(r)
	if err != nil {
		return err
	}
	p.Form.Values, p.Connect = fieldsOf(object), s.connect(r, p, object, nil)
	e := &enabling{Region: f.Value("region"), Token: strings.TrimSpace(f.Value("token"))}
	p.Enabling = e
	if err := s.canEnable(p); err != nil {
		return err
	}
	if e.Token == "" {
		e.Error = "Paste a Public API token of the workspace."
		return s.showConfiguration(r, http.StatusUnprocessableEntity, p, object)
	}
	client, err := s.PublicAPI(e.Region, e.Token)
	if err == nil && f.Value("do") == "go" {
		err = s.enable(r, p, client, f.Value("source"))
		e.Token = "" // a second time is another decision
	} else if err == nil {
		err = s.planEnabling(r.Context(), p, client)
	}
	status := http.StatusOK
	if err != nil {
		// What Segment answered is a sentence for the person who asked.
		e.Error, status = strings.ToUpper(err.Error()[:1])+err.Error()[1:], http.StatusBadGateway
	}
	if len(e.Done) > 0 {
		r.snapshot = s.Catalog.Snapshot()
		enabling := p.Enabling
		if p, object, err = s.openForm(r); err != nil {
			return err
		}
		p.Form.Values, p.Enabling = fieldsOf(object), enabling
	}
	return s.showConfiguration(r, status, p, object)
}

// canEnable refuses what could not be finished here: a secret that stands in a
// file cannot be replaced.
func (s *Server) canEnable(p *configurationPage) error {
	switch p.Kind {
	case catalog.Sources:
		return s.Catalog.CheckEditable()
	case catalog.Destinations:
		if !s.Catalog.Rotatable(catalog.KeyRef{Kind: "webhook", Name: p.Name}) {
			return s.Catalog.CheckEditable()
		}
		return nil
	}
	return refuse(http.StatusBadRequest, "Not for listeners", "Segment has nothing to do with listeners.")
}

// planEnabling asks Segment what there is and says what would be made.
func (s *Server) planEnabling(ctx context.Context, p *configurationPage, client *publicapi.Client) (err error) {
	e := p.Enabling
	if e.Workspace, err = client.Workspace(ctx); err != nil {
		return err
	}
	if p.Kind == catalog.Sources {
		kind, err := client.SourceKind(ctx, httpAPISource)
		if err != nil {
			return err
		}
		e.Steps = []publicapi.Request{publicapi.CreateSource(sourceSlug(p), kind)}
		e.Then = "The write key of the new source becomes the write key here."
		return nil
	}
	if e.Sources, err = client.Sources(ctx); err != nil {
		return err
	}
	kind, action, err := webhookKind(ctx, client)
	if err != nil {
		return err
	}
	e.Steps = []publicapi.Request{
		publicapi.CreateDestination("(the source you choose)", destinationTitle(p), kind),
		publicapi.CreateWebhook("(the new destination)", action, p.Connect.URL, "(a new webhook secret)"),
	}
	e.Then = "A new webhook secret is made for it here. The present one goes on working until you end it."
	return nil
}

func sourceSlug(p *configurationPage) string { return "causeway-" + p.ID }

func destinationTitle(p *configurationPage) string { return "Causeway " + p.Name }

// webhookKind finds the webhook destination and its action that sends.
func webhookKind(ctx context.Context, client *publicapi.Client) (kind publicapi.Kind, action string, err error) {
	kind, err = client.DestinationKind(ctx, webhookDestination)
	if err != nil {
		return kind, "", err
	}
	for _, a := range kind.Actions {
		if a.Slug == "send" || len(kind.Actions) == 1 {
			return kind, a.ID, nil
		}
	}
	return kind, "", fmt.Errorf("the webhook destination in Segment's catalog has no action that sends; set it up by hand instead")
}

// enable makes it so.
func (s *Server) enable(r *request, p *configurationPage, client *publicapi.Client, source string) error {
	if p.Kind == catalog.Sources {
		return s.makeSource(r, p, client)
	}
	return s.makeWebhook(r, p, client, source)
}

func (s *Server) makeSource(r *request, p *configurationPage, client *publicapi.Client) error {
	ctx, e := r.Context(), p.Enabling
	kind, err := client.SourceKind(ctx, httpAPISource)
	if err != nil {
		return err
	}
	made, err := client.MakeSource(ctx, publicapi.CreateSource(sourceSlug(p), kind))
	if err != nil {
		return err
	}
	e.Done = append(e.Done, fmt.Sprintf("The source %s was made in Segment.", made.Title()))
	s.Accounts.Record(ctx, r.who.Actor(), auth.MadeInSegment, "source "+made.Slug, "for "+p.Name)
	if len(made.WriteKeys) == 0 {
		return fmt.Errorf("the new source came without a write key; copy one from its settings in Segment into the form below")
	}
	_, err = s.Catalog.Edit(ctx, r.who.Actor(), func(doc *catalog.Document) error {
		spec, ok := doc.Project(p.Project)
		if !ok {
			return &catalog.UnknownObjectError{What: "project", Name: p.Project}
		}
		i := slices.IndexFunc(spec.Segment.Sources, func(s catalog.SourceSpec) bool { return s.Name == p.Name })
		if i < 0 {
			return &catalog.UnknownObjectError{What: "source", Name: p.Name}
		}
		spec.Segment.Sources[i].WriteKey = catalog.NewSecret(made.WriteKeys[0])
		return nil
	})
	if err != nil {
		return fmt.Errorf("the new source's write key could not be saved here (%w); copy it from Segment into the form below", err)
	}
	e.Done = append(e.Done, "Its write key is the write key here now.")
	return nil
}

func (s *Server) makeWebhook(r *request, p *configurationPage, client *publicapi.Client, source string) error {
	ctx, e := r.Context(), p.Enabling
	kind, action, err := webhookKind(ctx, client)
	if err != nil {
		return err
	}
	if source == "" {
		return fmt.Errorf("choose the Segment source whose calls are to come here")
	}
	destination, err := client.MakeDestination(ctx, publicapi.CreateDestination(source, destinationTitle(p), kind))
	if err != nil {
		return err
	}
	e.Done = append(e.Done, fmt.Sprintf("The destination %s was made in Segment.", destinationTitle(p)))
	s.Accounts.Record(ctx, r.who.Actor(), auth.MadeInSegment, "destination "+destination, "for "+p.Name)
	secret, err := s.Catalog.RotateKey(ctx, catalog.KeyRef{Kind: "webhook", Name: p.Name}, true, r.who.Actor())
	if err == nil {
		err = client.MakeWebhook(ctx, publicapi.CreateWebhook(destination, action, p.Connect.URL, secret.Value))
	}
	if err != nil {
		return fmt.Errorf("the new destination sends nothing yet: %w Add a mapping to it in Segment by hand, or remove it there and try again", err)
	}
	e.Done = append(e.Done, "It sends every identify, group, track, page and screen call to the webhook, with a secret of its own. The secret before works on until you end it.")
	return nil
}

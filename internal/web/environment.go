package web

import (
	"net/http"
	"net/url"
	"slices"

	"causeway/internal/catalog"
)

// environmentPage is one environment with its SDK keys.
type environmentPage struct {
	configured
	Spec  catalog.EnvironmentSpec
	Keys  []sdkKey
	Types []option
}

// sdkKey is an SDK key without its value.
type sdkKey struct {
	Name, Type, Hint string
	Rotatable        bool // it does not stand in the file that the configuration comes from
}

func (s *Server) environment(r *request) error {
	return s.showEnvironment(r, http.StatusOK, form{}, nil)
}

func (s *Server) showEnvironment(r *request, status int, f form, key *made) error {
	project, err := specOf(r)
	if err != nil {
		return err
	}
	spec, err := objectOf[catalog.EnvironmentSpec](project, catalog.Environments, "environment", r.PathValue("environment"))
	if err != nil {
		return err
	}
	page := environmentPage{configured: s.configuredPage(r, spec.Name, project.Name), Spec: spec}
	page.Form, page.Made = f, key
	page.Here = "/projects/" + url.PathEscape(project.Name) + "/environments/" + url.PathEscape(spec.Name)
	page.Types = []option{
		{catalog.ServerSide, "server side: servers; gets flags and segments", f.Value("type") != catalog.ClientSide},
		{catalog.ClientSide, "client side: browsers and apps; gets no segments", f.Value("type") == catalog.ClientSide},
	}
	for _, k := range s.Catalog.Keys() {
		if k.Kind == "sdk" && k.Project == project.Name && k.Environment == spec.Name {
			page.Keys = append(page.Keys, sdkKey{k.Name, k.Type, k.Hint, page.CanChange})
		}
	}
	return s.showStatus(r, status, "environment", page)
}

// editEnvironment changes the environment of the path.
func (s *Server) editEnvironment(r *request, f *form, fields []string, edit func(*catalog.EnvironmentSpec)) (catalog.Change, error) {
	name := r.PathValue("environment")
	change, err := s.Catalog.EditProject(r.Context(), r.PathValue("project"), r.who.Actor(), func(p *catalog.ProjectSpec) error {
		i := slices.IndexFunc(p.Environments, func(e catalog.EnvironmentSpec) bool { return e.Name == name })
		if i < 0 {
			return &catalog.UnknownObjectError{What: "environment", Name: name}
		}
		edit(&p.Environments[i])
		return nil
	})
	return change, f.unsaved(err, fields...)
}

func (s *Server) environmentURL(r *request) string {
	return s.layout(r, "").projectURL(r.PathValue("project"), "environments", r.PathValue("environment"))
}

func (s *Server) saveEnvironment(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	if _, err := s.editEnvironment(r, &f, []string{"id"}, func(e *catalog.EnvironmentSpec) { e.ID = f.Value("id") }); err != nil {
		return err
	}
	if f.Failed() {
		return s.showEnvironment(r, http.StatusUnprocessableEntity, f, nil)
	}
	return s.redirect(r, s.environmentURL(r), "Saved.")
}

// addSDKKey has a key made and shows it this once.
func (s *Server) addSDKKey(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	change, err := s.editEnvironment(r, &f, []string{"name", "type"}, func(e *catalog.EnvironmentSpec) {
		e.SDKKeys = append(e.SDKKeys, catalog.SDKKeySpec{Name: f.Value("name"), Type: f.Value("type")})
	})
	if err != nil {
		return err
	}
	if f.Failed() || len(change.Generated) == 0 {
		return s.showEnvironment(r, http.StatusUnprocessableEntity, f, nil)
	}
	r.snapshot = s.Catalog.Snapshot()
	return s.showEnvironment(r, http.StatusOK, form{}, madeSDKKey(change.Generated[0]))
}

func madeSDKKey(g catalog.GeneratedSecret) *made {
	return &made{"This is the SDK key " + g.Name + ". Copy it now: it is not shown again.", g.Value}
}

func (s *Server) rotateSDKKey(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	key, err := s.Catalog.RotateKey(r.Context(), catalog.KeyRef{
		Kind: "sdk", Project: r.PathValue("project"), Environment: r.PathValue("environment"), Name: f.Value("name"),
	}, false, r.who.Actor())
	if unknown, ok := err.(*catalog.UnknownKeyError); ok {
		return notFound("Nothing was changed: %v.", unknown)
	}
	if err := f.unsaved(err); err != nil {
		return err
	}
	r.snapshot = s.Catalog.Snapshot()
	return s.showEnvironment(r, http.StatusOK, form{}, madeSDKKey(key))
}

func (s *Server) revokeSDKKey(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	if _, err := s.editEnvironment(r, &f, nil, func(e *catalog.EnvironmentSpec) {
		e.SDKKeys = slices.DeleteFunc(e.SDKKeys, func(k catalog.SDKKeySpec) bool { return k.Name == f.Value("name") })
	}); err != nil {
		return err
	}
	if f.Failed() {
		return s.showEnvironment(r, http.StatusUnprocessableEntity, f, nil)
	}
	return s.redirect(r, s.environmentURL(r), "The SDK key "+f.Value("name")+" works no longer.")
}

func (s *Server) removeEnvironment(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	name := r.PathValue("environment")
	if f.confirmed(name) {
		_, err := s.Catalog.RemoveObject(r.Context(), r.PathValue("project"), catalog.Environments, name, catalog.AnyTag, r.who.Actor())
		if err := f.unsaved(err); err != nil {
			return err
		}
	}
	if f.Failed() {
		return s.showEnvironment(r, http.StatusUnprocessableEntity, f, nil)
	}
	return s.redirect(r, "/projects/"+url.PathEscape(r.PathValue("project")), "The environment "+name+" is removed.")
}

// credentialsPage lists the credentials of a project that Causeway gives out.
type credentialsPage struct {
	configured
	Keys []credential
}

type credential struct {
	catalog.Key
	What, URL string
}

// credentials lists those of the project that is chosen.
func (s *Server) credentials(r *request) error {
	if r.env == nil {
		return s.noEnvironment(r, "Keys")
	}
	project := r.env.Project.Name
	page := credentialsPage{configured: s.configuredPage(r, "Keys", project)}
	for _, k := range s.Catalog.Keys() {
		if k.Project != project {
			continue
		}
		one := credential{Key: k, URL: page.Link("/integrations")}
		switch k.Kind {
		case "sdk":
			one.What, one.URL = "SDK key", page.projectURL(project, "environments", k.Environment)
		case "destination":
			one.What = "API key of a destination"
		case "webhook":
			one.What = "webhook secret of a destination"
		case "listener":
			one.What = "secret of a listener"
		}
		page.Keys = append(page.Keys, one)
	}
	return s.show(r, "credentials", page)
}

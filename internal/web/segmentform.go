package web

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"causeway/internal/catalog"
	"causeway/internal/translate"
)

// The endpoints of Segment that the form offers by name (R45).
const (
	endpointUS = catalog.DefaultEndpoint
	endpointEU = "https://events.eu1.segmentapis.com"
)

// fieldsOf fills a form with the settings of an object. Secrets are never in it.
func fieldsOf(object catalog.Object) url.Values {
	v := url.Values{}
	flag := func(name string, on bool) {
		if on {
			v.Set(name, "true")
		}
	}
	number := func(name string, n int) {
		if n > 0 {
			v.Set(name, strconv.Itoa(n))
		}
	}
	switch o := object.(type) {
	case catalog.SourceSpec:
		v.Set("name", o.Name)
		v["environments"] = o.Environments
		for trafficType, identity := range o.Identities {
			v.Set("identity."+trafficType, identity)
		}
		v.Set("endpoint", o.Endpoint)
		if o.Endpoint != endpointUS && o.Endpoint != endpointEU && o.Endpoint != "" {
			v.Set("endpoint", "own")
			v.Set("ownEndpoint", o.Endpoint)
		}
		v.Set("event", o.Event)
		flag("sendControl", o.SendControl)
		v.Set("defaultTrafficType", o.DefaultTrafficType)
	case catalog.DestinationSpec:
		v.Set("name", o.Name)
		v.Set("environment", o.Environment)
		v["userId"], v["anonymousId"] = o.Identities.UserID, o.Identities.AnonymousID
		flag("identify", o.Identify)
		flag("track", o.Track.Enabled)
		v.Set("eventType", o.Track.EventType)
		v.Set("value", o.Track.Value)
		flag("pages", o.Pages.Enabled)
		v.Set("pageTemplate", o.Pages.Template)
		flag("screens", o.Screens.Enabled)
		v.Set("screenTemplate", o.Screens.Template)
		v.Set("groupTrafficType", o.GroupTrafficType)
		flag("repairNames", o.RepairNames)
		flag("acceptOwnEcho", o.AcceptOwnEcho)
		number("callsPerSecond", o.Limits.CallsPerSecond)
		number("requestsPerSecond", o.Limits.RequestsPerSecond)
		number("bytesPerMinute", o.Limits.BytesPerMinute)
	case catalog.ListenerSpec:
		v.Set("name", o.Name)
		v.Set("environment", o.Environment)
		v.Set("listenerKind", o.Kind)
		number("requestsPerSecond", o.Limits.RequestsPerSecond)
		number("bytesPerMinute", o.Limits.BytesPerMinute)
	}
	return v
}

// objectFrom is an object with what was entered in a form; what the form does
// not have is as it is. What cannot be read is wrong in the form.
func (f *form) objectFrom(object catalog.Object, trafficTypes []string) catalog.Object {
	text := func(name string) string { return strings.TrimSpace(f.Value(name)) }
	switch o := object.(type) {
	case catalog.SourceSpec:
		o.Environments = f.Values["environments"]
		o.Identities = map[string]string{}
		for _, trafficType := range trafficTypes {
			if identity := f.Value("identity." + trafficType); identity != "" {
				o.Identities[trafficType] = identity
			}
		}
		if o.Endpoint = f.Value("endpoint"); o.Endpoint == "own" {
			if o.Endpoint = text("ownEndpoint"); o.Endpoint == "" {
				f.Errors["endpoint"] = "Write the address of your own endpoint, as https://host or https://host/path."
			}
		}
		if key := text("writeKey"); key != "" {
			o.WriteKey = catalog.NewSecret(key)
		}
		o.Event, o.SendControl, o.DefaultTrafficType = text("event"), f.Has("sendControl", "true"), f.Value("defaultTrafficType")
		return o
	case catalog.DestinationSpec:
		o.Environment = f.Value("environment")
		o.Identities = catalog.IdentitiesSpec{UserID: chosen(f.Values["userId"]), AnonymousID: chosen(f.Values["anonymousId"])}
		o.Identify = f.Has("identify", "true")
		o.Track = catalog.TrackSpec{Enabled: f.Has("track", "true"), EventType: text("eventType"), Value: text("value")}
		o.Pages = catalog.NamedSpec{Enabled: f.Has("pages", "true"), Template: text("pageTemplate")}
		o.Screens = catalog.NamedSpec{Enabled: f.Has("screens", "true"), Template: text("screenTemplate")}
		o.GroupTrafficType = f.Value("groupTrafficType")
		o.RepairNames, o.AcceptOwnEcho = f.Has("repairNames", "true"), f.Has("acceptOwnEcho", "true")
		switch secret := text("signingSecret"); {
		case f.Has("dropSigning", "true"):
			o.Webhook.SigningSecret = catalog.Secret{}
		case secret != "":
			o.Webhook.SigningSecret = catalog.NewSecret(secret)
		}
		o.Limits = catalog.Limits{RequestLimits: f.requestLimits(), CallsPerSecond: f.number("callsPerSecond")}
		return o
	case catalog.ListenerSpec:
		o.Environment, o.Kind, o.Limits = f.Value("environment"), f.Value("listenerKind"), f.requestLimits()
		return o
	}
	return object
}

func (f *form) requestLimits() catalog.RequestLimits {
	return catalog.RequestLimits{RequestsPerSecond: f.number("requestsPerSecond"), BytesPerMinute: f.number("bytesPerMinute")}
}

// number reads a whole number; empty is 0.
func (f *form) number(name string) int {
	text := strings.TrimSpace(f.Value(name))
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 1<<30 {
		f.Errors[name] = "Write a whole number, or leave it empty for no limit."
	}
	return n
}

// chosen are the options that were chosen, in order.
func chosen(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
}

// find puts findings to the fields that they are about.
func (f *form) find(findings []catalog.Finding) {
	for _, finding := range findings {
		text := findingText(finding)
		if finding.Path == "writeKey" && strings.HasSuffix(finding.Message, "is missing") {
			text = "Paste the write key of the source in Segment."
		}
		if field := fieldOf(finding.Path); field != "" {
			if f.Errors[field] == "" {
				f.Errors[field] = text
			}
			continue
		}
		f.Error = strings.TrimSpace(f.Error + " " + text)
	}
}

// fieldOf is the field of a path within an object's settings.
func fieldOf(path string) string {
	for _, field := range [][2]string{
		{"environments", "environments"}, {"environment", "environment"}, {"identities.userId", "userId"}, {"identities.anonymousId", "anonymousId"},
		{"identities", "identities"}, {"track.eventType", "eventType"}, {"track.value", "value"}, {"pages.template", "pageTemplate"},
		{"screens.template", "screenTemplate"}, {"webhook.signingSecret", "signingSecret"}, {"limits.requestsPerSecond", "requestsPerSecond"},
		{"limits.bytesPerMinute", "bytesPerMinute"}, {"limits.callsPerSecond", "callsPerSecond"}, {"kind", "listenerKind"},
		{"name", "name"}, {"writeKey", "writeKey"}, {"endpoint", "endpoint"}, {"event", "event"}, {"defaultTrafficType", "defaultTrafficType"},
		{"groupTrafficType", "groupTrafficType"},
	} {
		if rest, ok := strings.CutPrefix(path, field[0]); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return field[1]
		}
	}
	return ""
}

// presets are the wordings of the sources that names of pages and screens can
// follow (R1).
var presets = []struct{ Value, Label, Page, Screen string }{
	{"harness", "Harness docs", translate.DefaultPageTemplate, translate.DefaultScreenTemplate},
	{"segment", "Segment catalog", "viewed_{name}_page", "viewed_{name}_screen"},
}

// apply changes the form as a button that is no Save asks: "setting=value".
func (f *form) apply(fix string) {
	setting, value, _ := strings.Cut(fix, "=")
	switch setting {
	case "eventType", "value":
		f.Values.Set(setting, value)
	case "repairNames":
		f.Values.Set(setting, "true")
	case "preset":
		for _, preset := range presets {
			if preset.Value == value {
				f.Values.Set("pageTemplate", preset.Page)
				f.Values.Set("screenTemplate", preset.Screen)
			}
		}
	}
}

// newObject is an object of a kind as a file without keys gives it.
func newObject(kind catalog.ObjectKind) catalog.Object {
	object, _ := catalog.DecodeObject(kind, "", []byte("{}"))
	return object
}

// named is an object with that name.
func named(object catalog.Object, name string) catalog.Object {
	switch o := object.(type) {
	case catalog.SourceSpec:
		o.Name = name
		return o
	case catalog.DestinationSpec:
		o.Name = name
		return o
	case catalog.ListenerSpec:
		o.Name = name
		return o
	}
	return object
}

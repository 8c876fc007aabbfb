package catalog

// Document is the configuration file: everything an administrator configures.
// docs/configuration.md explains every key; a test holds the two together.
//
// A Document is plain data. Decode makes one from a file and reports what is
// wrong with it; Catalog.Apply makes it so. Its JSON and YAML forms are the
// configuration file itself, with secrets in their opaque texts (see Secret)
// and "${" written as "$${", so that Decode reads back what was written.
type Document struct {
	Projects []ProjectSpec `json:"projects" yaml:"projects"`

	// source says where each path stood in the file; nil for a document that
	// was not decoded. Findings of the checks take their line from it.
	source *source
}

// ProjectSpec is a project: environments that share flags and traffic types.
type ProjectSpec struct {
	Name         string            `json:"name" yaml:"name"`
	TrafficTypes []string          `json:"trafficTypes" yaml:"trafficTypes"` // all that exist; data never makes one (R19)
	Environments []EnvironmentSpec `json:"environments" yaml:"environments"`
	Flags        []FlagSpec        `json:"flags" yaml:"flags"`
	Segments     []KeySegmentSpec  `json:"segments,omitempty" yaml:"segments,omitempty"` // lists of keys; not Segment
	Attributes   []AttributeSpec   `json:"attributes,omitempty" yaml:"attributes,omitempty"`
	Metrics      []MetricSpec      `json:"metrics,omitempty" yaml:"metrics,omitempty"`
	Experiments  []ExperimentSpec  `json:"experiments,omitempty" yaml:"experiments,omitempty"`
	Segment      SegmentSpec       `json:"segment" yaml:"segment"`
}

// EnvironmentSpec is an environment of a project.
type EnvironmentSpec struct {
	Name    string       `json:"name" yaml:"name"`
	ID      string       `json:"id" yaml:"id"` // sent to Segment as environmentId; empty: left out (X17)
	SDKKeys []SDKKeySpec `json:"sdkKeys" yaml:"sdkKeys"`
}

// SDKKeySpec is a key that Split SDKs present.
type SDKKeySpec struct {
	Name   string        `json:"name" yaml:"name"` // unique in its environment
	Type   string        `json:"type" yaml:"type"` // ServerSide or ClientSide
	Key    Secret        `json:"key" yaml:"key"`   // at least 4 characters; left out: generated
	Limits RequestLimits `json:"limits,omitzero" yaml:"limits,omitempty"`
}

// The types of SDK keys.
const (
	ServerSide = "server_side"
	ClientSide = "client_side"
)

// FlagSpec is a feature flag. Its name and traffic type are enough to send its
// impressions on (R44); Split SDKs are served it in the environments where the
// file says anything of what to serve.
type FlagSpec struct {
	Name        string `json:"name" yaml:"name"`
	TrafficType string `json:"trafficType" yaml:"trafficType"`
	// What is served, unless an environment says otherwise.
	ServingSpec `yaml:",inline"`
	// Environments has, by the environment's name, what is different there.
	Environments map[string]ServingSpec `json:"environments,omitempty" yaml:"environments,omitempty"`
}

// ServingSpec is what SDKs are served of a flag. What is left out (an empty
// list or mapping counts as left out) is that of the flag where this is an
// environment's, and otherwise has its default.
type ServingSpec struct {
	Treatments       []string       `json:"treatments,omitempty" yaml:"treatments,omitempty"`             // default: on, off
	DefaultTreatment string         `json:"defaultTreatment,omitempty" yaml:"defaultTreatment,omitempty"` // default: the last treatment
	Rollout          map[string]int `json:"rollout,omitempty" yaml:"rollout,omitempty"`                   // percent by treatment; default: all the default treatment
	// TrafficAllocation is the percentage of keys that the rollout is for; the
	// others get the default treatment. Default 100.
	TrafficAllocation *int  `json:"trafficAllocation,omitempty" yaml:"trafficAllocation,omitempty"`
	Killed            *bool `json:"killed,omitempty" yaml:"killed,omitempty"` // true: every key gets the default treatment
	// Configurations has a text for each treatment, which SDKs give out with it.
	Configurations      map[string]string `json:"configurations,omitempty" yaml:"configurations,omitempty"`
	Sets                []string          `json:"sets,omitempty" yaml:"sets,omitempty"` // flag sets
	ImpressionsDisabled *bool             `json:"impressionsDisabled,omitempty" yaml:"impressionsDisabled,omitempty"`
	// Definition is what is served word for word, instead of Treatments and Rollout.
	Definition Definition `json:"definition,omitempty" yaml:"definition,omitempty"`
}

// KeySegmentSpec is a segment in the words of feature management: a named list
// of keys, which definitions refer to. It has nothing to do with Segment.
type KeySegmentSpec struct {
	Name string   `json:"name" yaml:"name"` // unique in its project
	Keys []string `json:"keys" yaml:"keys"`
	// Environments has, by the environment's name, the keys there instead of Keys.
	Environments map[string]KeysSpec `json:"environments,omitempty" yaml:"environments,omitempty"`
}

// KeysSpec is the keys of a segment in one environment.
type KeysSpec struct {
	Keys []string `json:"keys" yaml:"keys"`
}

// SegmentSpec is the project's traffic with Segment, both ways, and with
// whoever else sends impressions.
type SegmentSpec struct {
	Sources      []SourceSpec      `json:"sources" yaml:"sources"`           // FME to Segment
	Destinations []DestinationSpec `json:"destinations" yaml:"destinations"` // Segment to FME
	Listeners    []ListenerSpec    `json:"listeners" yaml:"listeners"`       // impressions from elsewhere
}

// The Segment identities that keys map to and from.
const (
	UserID      = "userId"
	AnonymousID = "anonymousId"
)

// SourceSpec sends the impressions of some environments to a Segment source (R40 to R47).
type SourceSpec struct {
	Name               string            `json:"name" yaml:"name"` // unique per server, as the id made from it
	Environments       []string          `json:"environments" yaml:"environments"`
	Identities         map[string]string `json:"identities" yaml:"identities"` // traffic type to UserID or AnonymousID
	WriteKey           Secret            `json:"writeKey" yaml:"writeKey"`     // of the Segment source; sealed at rest
	Endpoint           string            `json:"endpoint" yaml:"endpoint"`     // "" is DefaultEndpoint
	Event              string            `json:"event" yaml:"event"`           // "" is translate.DefaultTrackEvent
	SendControl        bool              `json:"sendControl" yaml:"sendControl"`
	DefaultTrafficType string            `json:"defaultTrafficType" yaml:"defaultTrafficType"` // of flags not in the catalog; "" is none
}

// DefaultEndpoint is Segment's US address (R45).
const DefaultEndpoint = "https://api.segment.io"

// DestinationSpec takes Segment calls into an environment (R1 to R22).
type DestinationSpec struct {
	Name             string         `json:"name" yaml:"name"` // unique per server, as the id made from it
	Environment      string         `json:"environment" yaml:"environment"`
	Identities       IdentitiesSpec `json:"identities" yaml:"identities"`
	Identify         bool           `json:"identify" yaml:"identify"` // also group (R12)
	Track            TrackSpec      `json:"track" yaml:"track"`
	Pages            NamedSpec      `json:"pages" yaml:"pages"`
	Screens          NamedSpec      `json:"screens" yaml:"screens"`
	GroupTrafficType string         `json:"groupTrafficType" yaml:"groupTrafficType"` // "" is none (R12)
	RepairNames      bool           `json:"repairNames" yaml:"repairNames"`           // R6
	AcceptOwnEcho    bool           `json:"acceptOwnEcho" yaml:"acceptOwnEcho"`       // R16
	APIKey           Secret         `json:"apiKey" yaml:"apiKey"`                     // also the write key of the tracking routes; left out: generated
	// PreviousAPIKey is the key before the last rotation, good until it is ended.
	PreviousAPIKey Secret      `json:"previousApiKey,omitzero" yaml:"previousApiKey,omitempty"`
	Webhook        WebhookSpec `json:"webhook" yaml:"webhook"`
	Limits         Limits      `json:"limits,omitzero" yaml:"limits,omitempty"` // zero fields: those of the server
}

// IdentitiesSpec maps Segment identities to traffic types, in order (R3).
type IdentitiesSpec struct {
	UserID      []string `json:"userId" yaml:"userId"`
	AnonymousID []string `json:"anonymousId" yaml:"anonymousId"`
}

// TrackSpec says what becomes of track calls.
type TrackSpec struct {
	Enabled   bool   `json:"enabled" yaml:"enabled"`
	EventType string `json:"eventType" yaml:"eventType"` // path of the event's name (R6, R7)
	Value     string `json:"value" yaml:"value"`         // path of the event's value; "" is none (R8)
}

// NamedSpec says what becomes of page or screen calls.
type NamedSpec struct {
	Enabled  bool   `json:"enabled" yaml:"enabled"`
	Template string `json:"template" yaml:"template"` // contains {name} (R1)
}

// WebhookSpec is the destination's webhook route, which is always there.
type WebhookSpec struct {
	Secret Secret `json:"secret" yaml:"secret"` // left out: generated
	// PreviousSecret is the secret before the last rotation, good until it is ended.
	PreviousSecret Secret `json:"previousSecret,omitzero" yaml:"previousSecret,omitempty"`
	SigningSecret  Secret `json:"signingSecret" yaml:"signingSecret"` // key of X-Signature; left out: no signature wanted
}

// ListenerSpec takes impressions that others collected.
type ListenerSpec struct {
	Name        string `json:"name" yaml:"name"` // unique per server, as the id made from it
	Environment string `json:"environment" yaml:"environment"`
	Kind        string `json:"kind" yaml:"kind"`     // FMEWebhook or ImpressionListener
	Secret      Secret `json:"secret" yaml:"secret"` // left out: generated
	// PreviousSecret is the secret before the last rotation, good until it is ended.
	PreviousSecret Secret        `json:"previousSecret,omitzero" yaml:"previousSecret,omitempty"`
	Limits         RequestLimits `json:"limits,omitzero" yaml:"limits,omitempty"`
}

// The kinds of listeners.
const (
	FMEWebhook         = "fme_webhook"         // Harness FME's outgoing impressions webhook
	ImpressionListener = "impression_listener" // Split Synchronizer or Proxy
)

// The choices of the keys that take one of a few texts.
var (
	sdkKeyTypes   = []string{ServerSide, ClientSide}
	listenerKinds = []string{FMEWebhook, ImpressionListener}
	identityNames = []string{UserID, AnonymousID}
)

// A defaulter has defaults for keys that a file leaves out. Decode calls it
// before it reads a mapping's keys.
type defaulter interface{ setDefaults() }

func (d *DestinationSpec) setDefaults() {
	d.Identify = true
	d.Track.setDefaults()
	d.Pages = NamedSpec{Enabled: true, Template: defaultPageTemplate}
	d.Screens = NamedSpec{Enabled: true, Template: defaultScreenTemplate}
}

func (t *TrackSpec) setDefaults() { *t = TrackSpec{Enabled: true, EventType: defaultEventTypePath} }

func (s *SourceSpec) setDefaults() {
	s.Endpoint, s.Event = DefaultEndpoint, defaultTrackEvent
}

// A named thing keeps its identity between two documents by its name: its
// secrets are kept and its differences are shown under it.
type named interface{ specName() string }

func (p ProjectSpec) specName() string     { return p.Name }
func (e EnvironmentSpec) specName() string { return e.Name }
func (k SDKKeySpec) specName() string      { return k.Name }
func (f FlagSpec) specName() string        { return f.Name }
func (s KeySegmentSpec) specName() string  { return s.Name }
func (s SourceSpec) specName() string      { return s.Name }
func (d DestinationSpec) specName() string { return d.Name }
func (l ListenerSpec) specName() string    { return l.Name }

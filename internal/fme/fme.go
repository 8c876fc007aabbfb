// Package fme holds the words of feature management as Harness FME (formerly
// Split) uses them: environment, traffic type, key, flag, treatment,
// impression, event, attribute, and the wire forms of the Split SDKs.
//
// Pure: no I/O, no clock. Of ours it imports the reason codes only.
package fme

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strings"
	"time"
)

// EnvironmentID names an environment across projects: "project/environment".
// Names hold no slash (the catalog checks that), so it splits back.
type EnvironmentID string

// NewEnvironmentID joins the two names.
func NewEnvironmentID(project, environment string) EnvironmentID {
	return EnvironmentID(project + "/" + environment)
}

// Project is the project's name.
func (id EnvironmentID) Project() string {
	project, _, _ := strings.Cut(string(id), "/")
	return project
}

// Name is the environment's name within its project.
func (id EnvironmentID) Name() string {
	_, name, _ := strings.Cut(string(id), "/")
	return name
}

// SourceSegment and SourceSplit are the values of Event.Source: where an event
// came from (R20; Harness FME shows "Segment" for integration events).
const (
	SourceSegment = "Segment"
	SourceSplit   = "Split"
)

// Event is something that a key did, as FME stores it (R20).
type Event struct {
	// ID is what makes two deliveries of one event the same event (R18). It is
	// zero for events of the Split SDKs, which carry nothing to tell them apart.
	ID ID `json:"-"`

	Environment EnvironmentID `json:"-"`
	TrafficType string        `json:"trafficType"`
	Key         string        `json:"key"`
	EventType   string        `json:"eventType"`
	Value       *float64      `json:"value"` // nil: none (R8)
	Time        time.Time     `json:"time"`  // UTC, microseconds
	// Properties is one JSON object of scalars, in document order (R9).
	Properties    json.RawMessage `json:"properties"`
	Source        string          `json:"source"`
	ForeignID     string          `json:"foreignId"` // Segment's messageId, cut at 100 code points
	ReceivedAt    time.Time       `json:"receivedAt,omitzero"`
	Configuration string          `json:"configuration,omitempty"`
}

// Identity is one key of a traffic type that a call told us about, with what
// it said of it (R11, R12). Upserting it with no attribute is still a change.
type Identity struct {
	ID          ID // as Event.ID
	Environment EnvironmentID
	TrafficType string
	Key         string
	Time        time.Time // call time: the newest value of an attribute wins (X10)
	ReceivedAt  time.Time // then the newest receipt
	MessageID   string    // cut as Event.ForeignID
	Attributes  []Attribute
}

// Attribute is one attribute of a key. A nil Value removes it.
type Attribute struct {
	TrafficType string  `json:"trafficType"`
	Key         string  `json:"key"`
	ID          string  `json:"id"`
	Value       *string `json:"value"`
	Cut         bool    `json:"cut"` // the text was longer than 255 code points
}

// Impression records that a key was shown a treatment of a flag.
type Impression struct {
	ID ID `json:"-"` // R48

	Environment  EnvironmentID `json:"-"`
	Flag         string        `json:"flag"`
	Key          string        `json:"key"`
	BucketingKey string        `json:"bucketingKey,omitempty"`
	Treatment    string        `json:"treatment"`
	Label        string        `json:"label,omitempty"` // the rule that decided
	// ChangeNumber is the version of the flag's definition; 0 when the SDK did
	// not say (before it is ready).
	ChangeNumber int64 `json:"changeNumber,omitempty"`
	// ChangeNumberZero says that the SDK did say, and said 0 (X17).
	ChangeNumberZero bool `json:"changeNumberZero,omitempty"`

	Time         time.Time `json:"time"`                  // UTC, milliseconds
	PreviousTime time.Time `json:"previousTime,omitzero"` // when this SDK instance saw it before
	TrafficType  string    `json:"trafficType,omitempty"` // of the flag, when the catalog knows it
	SDK          string    `json:"sdk,omitempty"`
	SDKVersion   string    `json:"sdkVersion,omitempty"`
	MachineName  string    `json:"machineName,omitempty"`
	MachineIP    string    `json:"machineIp,omitempty"`
	// Properties is the impression's own metadata as the sender wrote it: JSON
	// text, not checked. Empty: none.
	Properties string    `json:"properties,omitempty"`
	ReceivedAt time.Time `json:"receivedAt,omitzero"`
}

// Control is the treatment an SDK reports when it could not evaluate the flag.
// It is not a variant: it never counts as exposure to an experiment.
const Control = "control"

// ImpressionCount is how many further evaluations of a flag an SDK saw in one
// hour without sending each as an impression (modes OPTIMIZED and NONE).
type ImpressionCount struct {
	Environment EnvironmentID
	Flag        string
	Hour        time.Time // start of the hour, UTC
	Count       int64
	ReceivedAt  time.Time
}

// UniqueKey says that a key was evaluated against a flag at least once (mode
// NONE, or a flag whose impressions are off).
type UniqueKey struct {
	Environment EnvironmentID
	Flag        string
	Key         string
	ReceivedAt  time.Time
}

// Telemetry is one report of an SDK about itself, kept as it came.
type Telemetry struct {
	Environment EnvironmentID
	Kind        string // "config" or "usage"
	SDK         string
	SDKVersion  string
	Body        json.RawMessage
	ReceivedAt  time.Time
}

// ID is a 128-bit identity made from what makes two things the same thing.
// Equal inputs give equal ids; a collision would be a lost event, hence 128
// bits of SHA-256 and not a 64-bit hash.
type ID [16]byte

// NewID hashes the parts; each is length-prefixed, so ("ab","c") and
// ("a","bc") differ.
func NewID(parts ...string) ID {
	buf := make([]byte, 0, 256)
	for _, part := range parts {
		buf = binary.AppendUvarint(buf, uint64(len(part)))
		buf = append(buf, part...)
	}
	sum := sha256.Sum256(buf)
	return ID(sum[:16])
}

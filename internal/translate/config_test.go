package translate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"causeway/internal/fme"
	"causeway/internal/segment"
)

// config is what the case files and the vectors hold: a project with one
// destination or one source, as in the configuration file (interface.md).
type config struct {
	TrafficTypes []string `json:"trafficTypes"`
	Flags        []struct {
		Name        string `json:"name"`
		TrafficType string `json:"trafficType"`
	} `json:"flags"`
	Destination *struct {
		Name        string `json:"name"`
		Environment string `json:"environment"`
		Identities  struct {
			UserID      []string `json:"userId"`
			AnonymousID []string `json:"anonymousId"`
		} `json:"identities"`
		Identify *bool `json:"identify"`
		Track    struct {
			Enabled   *bool  `json:"enabled"`
			EventType string `json:"eventType"`
			Value     string `json:"value"`
		} `json:"track"`
		Pages            pages  `json:"pages"`
		Screens          pages  `json:"screens"`
		GroupTrafficType string `json:"groupTrafficType"`
		RepairNames      bool   `json:"repairNames"`
		AcceptOwnEcho    bool   `json:"acceptOwnEcho"`
	} `json:"destination"`
	Source *struct {
		Name               string            `json:"name"`
		Environments       []string          `json:"environments"`
		Identities         map[string]string `json:"identities"`
		Endpoint           string            `json:"endpoint"`
		Event              string            `json:"event"`
		SendControl        bool              `json:"sendControl"`
		DefaultTrafficType string            `json:"defaultTrafficType"`
	} `json:"source"`
	// Call is what the door knows; the case files alone use it.
	Call struct {
		Route         string `json:"route"` // "tracking", else the direct one
		Batch         bool   `json:"batch"` // each input is the body of a batch
		Type          string `json:"type"`
		ReceivedAt    string `json:"receivedAt"`
		MadeID        string `json:"madeId"`
		EnvironmentID string `json:"environmentId"`
	} `json:"call"`
}

type pages struct {
	Enabled  *bool  `json:"enabled"`
	Template string `json:"template"`
}

// received is the receipt of every case that does not say otherwise.
var received = time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)

// decodeConfig refuses what it does not know: a case that says more than the
// test looks at would pass for the wrong reason.
func decodeConfig(t *testing.T, data []byte) *config {
	t.Helper()
	var c config
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		t.Fatalf("config: %v", err)
	}
	if (c.Destination == nil) == (c.Source == nil) {
		t.Fatal("config: one destination or one source is expected")
	}
	return &c
}

func (c *config) destination() *Destination {
	d := c.Destination
	on := func(b *bool) bool { return b == nil || *b }
	return &Destination{
		ID: d.Name, Environment: fme.NewEnvironmentID("shop", d.Environment),
		TrafficTypes: c.TrafficTypes,
		UserID:       d.Identities.UserID, AnonymousID: d.Identities.AnonymousID,
		Identify: on(d.Identify), Track: on(d.Track.Enabled), Pages: on(d.Pages.Enabled), Screens: on(d.Screens.Enabled),
		EventType: d.Track.EventType, Value: d.Track.Value,
		PageTemplate: d.Pages.Template, ScreenTemplate: d.Screens.Template,
		GroupTrafficType: d.GroupTrafficType, RepairNames: d.RepairNames, AcceptOwnEcho: d.AcceptOwnEcho,
	}
}

// run translates one input, a call, a batch or a body of impressions, into one
// JSON result a line.
func (c *config) run(t *testing.T, input string) []byte {
	t.Helper()
	var results []any
	if c.Source != nil {
		results = c.impressions(t, input)
	} else {
		results = c.calls(t, input)
	}
	var out bytes.Buffer
	for _, result := range results {
		line, err := result.(json.Marshaler).MarshalJSON()
		if err != nil || !json.Valid(line) {
			t.Fatalf("result of %s: %v: %s", input, err, line)
		}
		fmt.Fprintf(&out, "%s\n", line)
	}
	return out.Bytes()
}

func (c *config) calls(t *testing.T, input string) (results []any) {
	t.Helper()
	receivedAt, route := received, Direct
	if c.Call.ReceivedAt != "" {
		receivedAt, _ = segment.ParseTime(c.Call.ReceivedAt)
	}
	items := []segment.Item{{JSON: []byte(input), Size: len(input)}}
	if c.Call.Batch {
		body, err := segment.ParseTracking(true, []byte(input))
		if err != nil {
			t.Fatalf("batch %s: %v", input, err)
		}
		items = body.Items
	}
	if c.Call.Route == "tracking" {
		route = Tracking
	}
	var made func() string
	if c.Call.MadeID != "" {
		made = func() string { return c.Call.MadeID }
	}
	d := c.destination()
	for _, item := range items {
		results = append(results, d.Call(Call{Item: item, Type: c.Call.Type, Route: route, ReceivedAt: receivedAt, MadeID: made}))
	}
	return results
}

func (c *config) impressions(t *testing.T, input string) (results []any) {
	t.Helper()
	s := &Source{
		ID: c.Source.Name, TrafficToIdentity: c.Source.Identities, Event: c.Source.Event, SendControl: c.Source.SendControl,
		DefaultTrafficType: c.Source.DefaultTrafficType, LibraryVersion: "1.2.3",
	}
	impressions, bad, err := fme.DecodeImpressions([]byte(input))
	if err != nil || len(bad) > 0 {
		t.Fatalf("impressions %s: %v %v", input, err, bad)
	}
	for _, imp := range impressions {
		for _, flag := range c.Flags {
			if flag.Name == imp.Flag {
				imp.TrafficType = flag.TrafficType
			}
		}
		environment := fme.NewEnvironmentID("shop", strings.Join(c.Source.Environments[:1], ""))
		results = append(results, s.Impression(environment, c.Call.EnvironmentID, imp))
	}
	return results
}

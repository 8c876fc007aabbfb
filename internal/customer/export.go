package customer

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"causeway/internal/fme"
	"causeway/internal/store"
)

// exportPage is how many rows an export reads at once.
const exportPage = 500

// exportedEvent and exportedImpression name the environment, which the rows of
// a list leave to their list.
type exportedEvent struct {
	Environment fme.EnvironmentID `json:"environment"`
	fme.Event
}

type exportedImpression struct {
	Environment fme.EnvironmentID `json:"environment"`
	fme.Impression
}

// Export writes everything that is kept of a customer as one JSON object:
// attributes, linked keys, events and impressions, the newest first. An error
// after the first byte leaves an object that does not end.
func (r Rooms) Export(ctx context.Context, w Who, at time.Time, out io.Writer) error {
	profile, _, err := r.Find(ctx, w)
	if err != nil {
		return err
	}
	if profile == nil {
		profile = &Profile{}
	}
	head := struct {
		Environment fme.EnvironmentID               `json:"environment"`
		TrafficType string                          `json:"trafficType"`
		Key         string                          `json:"key"`
		ExportedAt  time.Time                       `json:"exportedAt"`
		Attributes  map[string]store.AttributeValue `json:"attributes"`
		Links       []store.Link                    `json:"linkedKeys"`
	}{w.Environment, w.TrafficType, w.Key, at.UTC(), profile.Attributes, profile.Links}
	if head.Attributes == nil {
		head.Attributes = map[string]store.AttributeValue{}
	}
	if head.Links == nil {
		head.Links = []store.Link{}
	}
	text, err := json.MarshalIndent(head, "", "  ")
	if err != nil {
		return err
	}
	x := exporting{out: out}
	x.text(string(text[:len(text)-2])) // its end comes at the end
	x.text(",\n  \"events\": [")
	exportAll(&x, r.events(ctx, w, Filter{}), func(e fme.Event) (any, bool) { return exportedEvent{e.Environment, e}, true })
	x.text("],\n  \"impressions\": [")
	exportAll(&x, r.impressions(ctx, w), func(i fme.Impression) (any, bool) { return exportedImpression{i.Environment, i}, w.saw(i) })
	x.text("]\n}\n")
	return x.err
}

// exporting writes until something fails.
type exporting struct {
	out io.Writer
	err error
}

func (x *exporting) text(s string) {
	if x.err == nil {
		_, x.err = io.WriteString(x.out, s)
	}
}

// exportAll writes all rows of a list, separated by commas.
func exportAll[T any](x *exporting, list reader[T], show func(T) (any, bool)) {
	separator := "\n    "
	for cursor := ""; x.err == nil; {
		page, err := list(cursor, exportPage)
		if err != nil {
			x.err = err
			return
		}
		for _, row := range page.Items {
			shown, wanted := show(row)
			if !wanted {
				continue
			}
			text, err := json.Marshal(shown)
			if err != nil {
				x.err = err
				return
			}
			x.text(separator + string(text))
			separator = ",\n    "
		}
		if cursor = page.NextCursor; cursor == "" {
			return
		}
	}
}

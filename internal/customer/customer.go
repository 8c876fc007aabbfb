// Package customer gathers what is kept of one key of a traffic type: looked
// up, exported, erased.
//
// Contract:
//   - A look changes nothing. An export is written page by page, so that its
//     size does not matter. It lacks what says nothing of its own: attribute
//     values that newer ones replaced, and reports of unique keys.
//   - Erase removes what was received before it was asked for, or nothing and
//     says why. Doing it twice is doing it once.
//   - No error and no audit text holds the key.
package customer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"causeway/internal/fme"
	"causeway/internal/store"
	"causeway/internal/stream"
)

// Rooms is where a customer is looked for.
type Rooms struct {
	Store   store.Store
	Streams *stream.Streams // needed by Erase only
	// Wait is how long Erase waits for what was accepted to be stored. Zero: 20 s.
	Wait time.Duration
}

// Who names one customer.
type Who struct {
	Environment      fme.EnvironmentID
	TrafficType, Key string
}

// Fingerprint names a customer where their key must not stand, such as the
// audit log: who knows the key can find its entries.
func (w Who) Fingerprint() string {
	sum := sha256.Sum256([]byte(string(w.Environment) + "\x00" + w.TrafficType + "\x00" + w.Key))
	return string(w.Environment) + " " + w.TrafficType + " sha256:" + hex.EncodeToString(sum[:8])
}

// newestSeen is how many impressions Treatments is drawn from.
const newestSeen = 500

// Profile is what is known of a customer now.
type Profile struct {
	store.Customer
	Links      []store.Link `json:"linkedKeys"`
	Treatments []FlagSeen   `json:"treatments"`
	// Impressions is how many of the newest ones Treatments is drawn from, All
	// that there are no others.
	Impressions int  `json:"impressions"`
	All         bool `json:"allImpressions"`
}

// FlagSeen is a flag and the treatments of it that a customer was shown.
type FlagSeen struct {
	Flag       string          `json:"flag"`
	Treatments []TreatmentSeen `json:"treatments"` // the newest first
}

// TreatmentSeen is one treatment and how often it was shown.
type TreatmentSeen struct {
	Treatment string    `json:"treatment"`
	Count     int       `json:"count"`
	Last      time.Time `json:"lastSeen"`
}

// Control reports whether the SDK could not evaluate the flag.
func (t TreatmentSeen) Control() bool { return t.Treatment == fme.Control }

// Find gathers what is known. It is false when nothing is: no call identified
// the key, and it has neither an event nor an impression.
func (r Rooms) Find(ctx context.Context, w Who) (*Profile, bool, error) {
	attributes, found, err := r.Store.Customer(ctx, w.Environment, w.TrafficType, w.Key)
	if err != nil {
		return nil, false, err
	}
	seen, err := r.Store.Impressions(ctx, store.ImpressionQuery{Environment: w.Environment, Key: w.Key, Span: store.Span{Limit: newestSeen}})
	if err != nil {
		return nil, false, err
	}
	mine := slices.DeleteFunc(seen.Items, func(i fme.Impression) bool { return !w.saw(i) })
	if !found && len(mine) == 0 {
		return nil, false, nil
	}
	links, err := r.Store.Links(ctx, w.Environment, w.TrafficType, w.Key)
	if err != nil {
		return nil, false, err
	}
	return &Profile{Customer: attributes, Links: links, Treatments: treatmentsSeen(mine), Impressions: len(mine), All: seen.NextCursor == ""}, true, nil
}

// saw reports whether an impression may be of this customer: one of a flag
// that the catalog does not know has no traffic type.
func (w Who) saw(i fme.Impression) bool { return i.TrafficType == "" || i.TrafficType == w.TrafficType }

// treatmentsSeen groups impressions, newest first, by flag and treatment.
func treatmentsSeen(impressions []fme.Impression) []FlagSeen {
	list := []FlagSeen{}
	for _, i := range impressions {
		at := slices.IndexFunc(list, func(f FlagSeen) bool { return f.Flag == i.Flag })
		if at < 0 {
			at = len(list)
			list = append(list, FlagSeen{Flag: i.Flag})
		}
		treatments := &list[at].Treatments
		of := slices.IndexFunc(*treatments, func(t TreatmentSeen) bool { return t.Treatment == i.Treatment })
		if of < 0 {
			of = len(*treatments)
			*treatments = append(*treatments, TreatmentSeen{Treatment: i.Treatment, Last: i.Time})
		}
		(*treatments)[of].Count++
	}
	slices.SortFunc(list, func(a, b FlagSeen) int { return cmp.Compare(a.Flag, b.Flag) })
	return list
}

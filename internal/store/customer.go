package store

import "time"

// Customer is one key of a traffic type.
type Customer struct {
	TrafficType string                    `json:"trafficType"`
	Key         string                    `json:"key"`
	Attributes  map[string]AttributeValue `json:"attributes"`
}

// AttributeValue is the newest value of one attribute. Removed ones are absent.
type AttributeValue struct {
	Value     string    `json:"value"`
	UpdatedAt time.Time `json:"updatedAt"` // call time
	Cut       bool      `json:"cut"`
	MessageID string    `json:"messageId"`
}

// Link is another key that came in the same calls as a key: the anonymousId of
// a userId, or an account named in split. It is not stored: what is kept of the
// calls shows it, as long as that is kept.
type Link struct {
	TrafficType string    `json:"trafficType"`
	Key         string    `json:"key"`
	Calls       int64     `json:"calls"`     // that carried both, of the newest that were looked at
	LastSeen    time.Time `json:"lastSeen"`  // time of the newest of them
	MessageID   string    `json:"messageId"` // of it, cut as foreignId is
}

// How much Links and Keys look at and give.
const (
	LinkCalls = 1000 // the newest calls of a key
	MostLinks = 100
	MostKeys  = 50
)

// KeyFound is a key that begins with what was looked for.
type KeyFound struct {
	TrafficType string `json:"trafficType"`
	Key         string `json:"key"`
}

// Erased counts what Erase removed.
type Erased struct {
	Events      int64 `json:"events"`
	Impressions int64 `json:"impressions"`
	UniqueKeys  int64 `json:"uniqueKeys"`
	// Attributes counts values, older ones too, and identifications without any.
	Attributes int64 `json:"attributes"`
	// Calls that carried the key: their rows stay for the counts and lose their
	// messageId and their place in the stream.
	Calls int64 `json:"calls"`
	// Samples of reasons and deliveries that named the key or one of its calls.
	Samples int64 `json:"samples"`
}

// Total is how many rows were removed or changed.
func (e Erased) Total() int64 {
	return e.Events + e.Impressions + e.UniqueKeys + e.Attributes + e.Calls + e.Samples
}

// AttributeUse is one attribute as the keys of a traffic type have it now.
type AttributeUse struct {
	ID       string    `json:"id"`
	Keys     int64     `json:"keys"`     // that have a value of it
	Cut      int64     `json:"cut"`      // of them: longer than 255 characters, and cut
	LastSeen time.Time `json:"lastSeen"` // call time of the newest value
	Example  string    `json:"example"`  // the newest value
}

// MostAttributes is how many attributes AttributeUses gives.
const MostAttributes = 1000

// EventTypeDay is how many events of a type were received on one day, UTC.
type EventTypeDay struct {
	Day       time.Time `json:"day"`
	Events    int64     `json:"events"`
	WithValue int64     `json:"withValue"`
}

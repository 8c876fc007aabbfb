// Package reason is the one list of reason codes: why a call, an impression or
// a request became less than its sender hoped (ruling R22).
//
// Every room counts, stores and shows the same codes. docs/reasons.md is
// generated from this list and a test holds the two together.
package reason

// Code names one reason. It is stable: it is a metrics label, an API value and
// a help topic.
type Code string

// Outcome says what became of one call.
type Outcome string

// The outcomes of a call, from best to worst.
const (
	Stored    Outcome = "stored"    // at least one event, attribute or customer was kept
	Duplicate Outcome = "duplicate" // everything it would have made was there already (R18)
	Ignored   Outcome = "ignored"   // by configuration or by the sender's own wish
	Dropped   Outcome = "dropped"   // something was wrong with it
)

// Note is one reason as it applied to one thing.
type Note struct {
	Code Code `json:"code"`
	// Detail names the first place the reason applied and how many more (X1).
	Detail string `json:"detail,omitempty"`
}

// Stage says where a reason applies, and so what it cost.
type Stage string

// The stages, in the order of docs/reasons.md.
const (
	Ends     Stage = "ends the call"          // nothing of the call was kept
	Notes    Stage = "noted on a kept call"   // the call was kept, but not all of it
	Skips    Stage = "skips the impression"   // the impression is stored but not sent to Segment
	SetAside Stage = "sets an item aside"     // the item waits among the dead letters
	Refuses  Stage = "refuses a request"      // the caller was told, nothing was accepted
	Reports  Stage = "reported, nothing lost" // worth knowing
)

// Info explains a code to a person.
type Info struct {
	Code    Code
	Stage   Stage
	Meaning string // one sentence: what happened
	Fix     string // one sentence: what to do
	Rulings string // where it is decided
}

// Lookup returns the explanation of a code.
func Lookup(c Code) (Info, bool) {
	info, ok := byCode[c]
	return info, ok
}

// Ignores reports whether a code that ends a call says that somebody wished so
// (the call is Ignored), rather than that something was wrong with it (Dropped).
func (c Code) Ignores() bool {
	switch c {
	case UnsupportedType, OwnEcho, IntegrationsOff, IdentifyOff, TrackOff, PageOff, ScreenOff, UnnamedPage, UnnamedScreen, GroupNotMapped:
		return true
	}
	return false
}

var byCode = func() map[Code]Info {
	m := make(map[Code]Info, len(List))
	for _, info := range List {
		m[info.Code] = info
	}
	return m
}()

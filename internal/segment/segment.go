// Package segment is the Segment protocol and its words: the bodies that
// Segment's clients and Segment itself send, their limits, and the track calls
// and batches that we send to Segment.
//
// Contract:
//   - Pure: no I/O, no clock, nothing of ours imported.
//   - A body is read as it stands. Numbers keep their source text, fields their
//     order, and of a repeated key the last value counts, in the first one's
//     place. No depth of nesting, size or malformed text makes it panic, and
//     the work is proportional to the size of the body.
//   - What cannot be decoded as text becomes text all the same: an invalid byte
//     or half a surrogate pair becomes U+FFFD, a NUL is removed (X2).
package segment

import "errors"

// Limits of Segment's API and of our routes, in bytes after decompression and
// in calls (R30, R31, R45; Segment: HTTP Tracking API, "Max request size").
const (
	MaxCallBytes     = 32768      // one call, alone or as it stands in a batch (X14)
	MaxBatchBytes    = 500 * 1024 // a body of batch or import
	MaxBatchCalls    = 2500       // calls in it
	MaxDeliveryBytes = 4 << 20    // a body of the destination and webhook routes
	MaxDeliveryCalls = 4000       // calls in it (Segment: Webhook (Actions), "batch size")
)

// What a caller of ParseTracking and ParseDelivery branches on.
var (
	// ErrNotJSON means that the body is not JSON of the form the route takes.
	ErrNotJSON = errors.New("the body is not JSON of the form this route takes")
	// ErrTooLarge means that the body, or its only call, is over the limit.
	ErrTooLarge = errors.New("the body is over the size limit")
	// ErrTooLong means that the body holds more calls than the limit.
	ErrTooLong = errors.New("the body holds too many calls")
)

// The call types that mean something to Causeway, and alias, which has a route
// of its own but becomes nothing (R13).
const (
	TypeIdentify = "identify"
	TypeTrack    = "track"
	TypePage     = "page"
	TypeScreen   = "screen"
	TypeGroup    = "group"
	TypeAlias    = "alias"
)

// CallType reads the last part of a tracking path: /v1/track and /v1/t are
// track calls; /v1/batch, /v1/b and /v1/import are batches, whose items carry
// their own type, so callType is empty. /v1/m takes the browser library's
// metrics, which are no calls: ok is false, as for any other word.
func CallType(pathSegment string) (callType string, batch, ok bool) {
	switch pathSegment {
	case "identify", "i":
		return TypeIdentify, false, true
	case "track", "t":
		return TypeTrack, false, true
	case "page", "p":
		return TypePage, false, true
	case "screen", "s":
		return TypeScreen, false, true
	case "group", "g":
		return TypeGroup, false, true
	case "alias", "a":
		return TypeAlias, false, true
	case "batch", "b", "import":
		return "", true, true
	}
	return "", false, false
}

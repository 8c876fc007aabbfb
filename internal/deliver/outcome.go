package deliver

import (
	"errors"
	"net/http"
)

// outcome is what one answer means for the batch that was sent (R46).
type outcome uint8

const (
	delivered outcome = iota // accepted; forget it
	retry                    // not our fault, or too fast: the same bytes later
	paused                   // nothing will be accepted until a person changes the source
	refused                  // never: halve until the bad item stands alone, set that aside
)

// classify is the only place that turns an answer into an outcome. status is 0
// when there was none, and err says why.
func classify(status int, err error) outcome {
	switch {
	case errors.Is(err, ErrEndpointNotAllowed):
		return paused
	case err != nil || status == 0: // network error, time-out
		return retry
	case status >= 200 && status <= 299:
		return delivered
	case status < 400: // a redirect is never followed: the write key would go along
		return retry
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return paused
	case status == http.StatusRequestTimeout, status == http.StatusLocked, status == http.StatusTooManyRequests:
		return retry
	case status < 500, status == http.StatusNotImplemented:
		return refused
	default:
		return retry
	}
}

// The outcomes as they are recorded, counted and shown (store.Delivery).
const (
	outcomeDelivered = "delivered"
	outcomeRetry     = "retry"
	outcomePaused    = "paused"
	outcomeHalved    = "halved" // refused, and tried again in two halves
	outcomeDead      = "dead"   // at least one of its calls was set aside, and none is tried again
)

// Package cors lets pages of any origin use the data routes: what browsers ask
// before they send, and what an answer needs for a page to be let read it.
//
// Contract: every data route calls Allow on every answer, also on refusals, and
// Preflight on OPTIONS. No data route looks at cookies.
package cors

import (
	"net/http"
	"strings"
)

// usualHeaders are the request headers of the browser libraries: Segment's
// analytics-next and the Split SDKs (split-synchronizer's list and
// Cache-Control, which the JavaScript SDK sends when it is pushed to).
const usualHeaders = "Authorization, Content-Type, Content-Encoding, Cache-Control, X-Retry-Count, X-Write-Key, " +
	"SplitSDKVersion, SplitSDKImpressionsMode, SplitSDKMachineIP, SplitSDKMachineName, X-Harness-FME-SDK-Version"

// Allow lets pages of any origin read the answer. It is on every answer:
// without it a browser reports a stored call as failed, and its library sends
// it again. No data route looks at cookies, so allowing credentials gives
// nothing away; a library that is told to include them needs it.
func Allow(h http.Header, r *http.Request) {
	// The names are written as they are sent and the values are shared: this is
	// done for every request.
	origin := r.Header["Origin"]
	if len(origin) == 0 || origin[0] == "" {
		h["Access-Control-Allow-Origin"] = anyOrigin
	} else {
		h["Access-Control-Allow-Origin"] = origin[:1:1]
		h["Access-Control-Allow-Credentials"] = yes
		h["Access-Control-Expose-Headers"] = exposed
	}
	if len(h["Vary"]) == 0 {
		h["Vary"] = varyOrigin
	} else {
		h.Add("Vary", "Origin")
	}
}

// Who adds to one of these gets a copy: there is no room behind the value.
var (
	anyOrigin  = []string{"*"}
	yes        = []string{"true"}
	varyOrigin = []string{"Origin"}
	exposed    = []string{"Retry-After, X-RateLimit-Reset"}
)

// Preflight answers what a browser asks before it sends. The headers it asks
// for are allowed whatever they are: new library versions add some.
func Preflight(h http.Header, r *http.Request, method string) {
	h.Set("Access-Control-Allow-Methods", method+", OPTIONS")
	headers := usualHeaders
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" && strings.Trim(asked, headerCharacters) == "" {
		headers = asked
	}
	h.Set("Access-Control-Allow-Headers", headers)
	h.Set("Access-Control-Max-Age", "86400")
	h.Add("Vary", "Access-Control-Request-Headers")
}

const headerCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_, "

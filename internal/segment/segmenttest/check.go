package segmenttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// authorize reads the write key from Basic auth: user name, empty password.
func (f *Fake) authorize(r *http.Request) (writeKey string, ok bool) {
	key, password, ok := r.BasicAuth()
	switch {
	case !ok:
		f.violate("no Basic auth")
	case key == "":
		f.violate("empty write key")
	case password != "":
		f.violate("a password beside the write key")
	}
	if contentType := r.Header.Get("Content-Type"); !strings.HasPrefix(contentType, "application/json") {
		f.violate("Content-Type %q, want application/json", contentType)
	}
	return key, ok && key != ""
}

// open reads a batch and checks every call of it. The error is Segment's
// reason for a 400; what Segment tolerates is a violation only.
func (f *Fake) open(body []byte) (calls []json.RawMessage, ids []string, err error) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		f.violate("body is not JSON")
		return nil, nil, errors.New("malformed JSON")
	}
	for name := range fields {
		switch name {
		case "batch", "sentAt", "context", "integrations", "writeKey":
		default:
			f.violate("unknown field %q beside batch", name)
		}
	}
	f.checkTime("sentAt of the batch", fields["sentAt"])
	if json.Unmarshal(fields["batch"], &calls) != nil {
		f.violate("batch is no array")
		return nil, nil, errors.New("malformed JSON")
	}
	if len(calls) == 0 {
		f.violate("empty batch")
	}
	if len(calls) > maxBatchCalls {
		f.violate("batch of %d calls", len(calls))
	}
	ids = make([]string, len(calls))
	for i, call := range calls {
		if len(call) > maxCallBytes {
			f.violate("call of %d bytes", len(call))
			err = errors.New("exceeds maximum message size")
		}
		ids[i] = f.checkCall(call)
	}
	return calls, ids, err
}

// checkCall checks the shape of one call as Causeway sends it (R40, R42) and
// returns its messageId.
func (f *Fake) checkCall(call json.RawMessage) string {
	var c struct {
		Type        string                     `json:"type"`
		Event       string                     `json:"event"`
		UserID      *string                    `json:"userId"`
		AnonymousID *string                    `json:"anonymousId"`
		MessageID   string                     `json:"messageId"`
		Timestamp   json.RawMessage            `json:"timestamp"`
		Properties  map[string]json.RawMessage `json:"properties"`
	}
	if err := json.Unmarshal(call, &c); err != nil {
		f.violate("a call that is no track call: %v", err)
		return ""
	}
	where := fmt.Sprintf("call %q", c.MessageID)
	if c.Type != "track" {
		f.violate("%s: type %q, want track", where, c.Type)
	}
	if c.Event == "" {
		f.violate("%s: no event", where)
	}
	hasUser, hasAnonymous := c.UserID != nil && *c.UserID != "", c.AnonymousID != nil && *c.AnonymousID != ""
	if hasUser == hasAnonymous {
		f.violate("%s: userId %t, anonymousId %t, want exactly one", where, hasUser, hasAnonymous)
	}
	if c.MessageID == "" || len(c.MessageID) >= 100 {
		f.violate("%s: messageId of %d characters, want 1 to 99", where, len(c.MessageID))
	}
	f.checkTime(where+": timestamp", c.Timestamp)
	return c.MessageID
}

func (f *Fake) checkTime(what string, value json.RawMessage) {
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		f.violate("%s: %s is no text", what, value)
		return
	}
	if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
		f.violate("%s: %q is not ISO 8601", what, text)
	}
}

package ingest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" // what Segment signs with
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"causeway/internal/catalog"
	"causeway/internal/reason"
	"causeway/internal/segment"
	"causeway/internal/stream"
)

// destination takes what Segment sends to a destination that has an API key
// (R31, R32; Segment: building a webhook destination).
func (s *Server) destination(c *exchange) error {
	snapshot := s.opt.Snapshot()
	list := credentials(c.r.Header.Get("Authorization"))
	for _, credential := range list {
		if destination, ok := snapshot.DestinationByKey(credential.value); ok {
			return s.delivery(c, destination, stream.Destination, credential.scheme, nil)
		}
	}
	return unauthorized(len(list) > 0, "API key")
}

// webhook takes what a Segment webhook sends. A name that does not exist is
// answered like a wrong secret: names are nobody's business.
func (s *Server) webhook(c *exchange) error {
	destination, ok := s.opt.Snapshot().Destination(c.name)
	check := func(string) bool { return false }
	if ok {
		check = destination.CheckSecret
	}
	scheme, err := c.secret(check)
	if err != nil {
		return err
	}
	signing := destination.SigningSecret()
	if len(signing) > 0 {
		scheme = "signature+" + scheme
	}
	return s.delivery(c, destination, stream.Webhook, scheme, signing)
}

// delivery takes one call or an array of them from Segment, which wants its
// answer within 5 s and sends again after a 5xx.
func (s *Server) delivery(c *exchange, destination *catalog.Destination, kind stream.Kind, scheme string, signing []byte) error {
	c.environment, c.configuration = destination.Environment.ID, destination.ID
	if err := s.admit(c, "destination/"+destination.ID, destination.Limits.Or(s.opt.Limits)); err != nil {
		return err
	}
	c.until = time.Now().Add(s.opt.AppendWait)
	body, err := s.body(c, segment.MaxDeliveryBytes)
	if err != nil {
		return err
	}
	calls, err := segment.ParseDelivery(body)
	if err != nil {
		return c.unreadable(err, segment.MaxDeliveryBytes)
	}
	c.calls = len(calls.Items)
	if len(signing) > 0 && !signed(body, signing, c.r.Header.Get("X-Signature")) {
		return &refusal{status: http.StatusUnauthorized, code: reason.SignatureInvalid, message: "X-Signature is missing or does not match the body"}
	}
	mask(body, s.opt.Snapshot())
	if err := s.append(c, stream.Calls, c.record(kind, scheme, body)); err != nil {
		return err
	}
	if alone := bytes.TrimLeft(body, " \t\r\n")[0] == '{'; alone && !supported(calls.Items[0].JSON) {
		// Segment does not send a 501 again, and shows the message (R13). The
		// call was appended all the same, so that it can be looked up (R22).
		return &refusal{status: http.StatusNotImplemented, code: reason.UnsupportedType, message: "calls of this type are not supported: identify, group, track, page and screen are"}
	}
	s.answer(c, http.StatusOK, `{"success":true}`)
	return nil
}

// signed checks X-Signature: the hex HMAC-SHA1 that Segment makes of the JSON
// text it sends, of an array's first element only. A sender that compresses
// does so afterwards, so what is checked is the decompressed text, byte for
// byte as it came. A signature over a whole array is as good.
func signed(body, secret []byte, header string) bool {
	presented, err := hex.DecodeString(strings.TrimSpace(header))
	if err != nil || len(presented) == 0 {
		return false
	}
	matches := func(text []byte) bool {
		mac := hmac.New(sha1.New, secret)
		mac.Write(text)
		return hmac.Equal(mac.Sum(nil), presented)
	}
	return matches(body) || matches(segment.FirstElement(body))
}

// supported reports whether a call is of a type that can become something.
func supported(call []byte) bool {
	v, _ := segment.ParseJSON(string(call))
	if kind := v.Field("type"); kind.Kind() == segment.String {
		switch kind.Text() {
		case segment.TypeIdentify, segment.TypeGroup, segment.TypeTrack, segment.TypePage, segment.TypeScreen:
			return true
		}
	}
	return false
}

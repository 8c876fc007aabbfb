package ingest

import (
	"net/http"

	"causeway/internal/catalog"
	"causeway/internal/fme"
	"causeway/internal/stream"
)

// hookForms are the bodies that listeners take, by their kind.
var hookForms = map[string]form{
	catalog.FMEWebhook:         {kind: stream.ImpressionsWebhook, check: isListOrObject},
	catalog.ImpressionListener: {kind: stream.ImpressionListener, check: hasList("impressions"), list: lists{outer: "impressions", inner: "keyImpressions"}},
}

// isListOrObject: Harness FME sends lists; one impression alone is read, too.
func isListOrObject(body []byte) error {
	if err := fme.IsObject(body); err == nil {
		return nil
	}
	return fme.IsList(body)
}

// listener takes impressions that others collected: Harness FME's outgoing
// webhook and the Split Synchronizer. Anything but 200 is a failure to Harness
// FME, which then tries once more after 300 ms.
func (s *Server) listener(c *exchange) error {
	listener, ok := s.opt.Snapshot().Listener(c.name)
	check := func(string) bool { return false }
	if ok {
		check = listener.CheckSecret
	}
	scheme, err := c.secret(check)
	if err != nil {
		return err
	}
	c.environment, c.configuration = listener.Environment.ID, listener.ID
	if err := s.admit(c, "listener/"+listener.ID, catalog.Limits{RequestLimits: listener.Limits}); err != nil {
		return err
	}
	body, err := s.body(c, maxSDKBytes)
	if err != nil {
		return err
	}
	f := hookForms[listener.Kind]
	if err := s.keep(c, f, c.record(f.kind, scheme, body)); err != nil {
		return err
	}
	s.answer(c, http.StatusOK, `{}`)
	return nil
}

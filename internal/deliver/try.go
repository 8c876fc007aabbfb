package deliver

import (
	"context"
	"encoding/json"

	"causeway/internal/catalog"
)

// Tried is what came of a call that was sent for a person who waits.
type Tried struct {
	Status int    // of the answer; 0: there was none
	Answer string // the first kilobyte of its body, or why there is none
	OK     bool   // Segment took it
}

// Try sends one call to where a source sends, past the queue, with the bounds
// that deliveries have: which addresses may be reached, how long an answer may
// take. Nothing is retried, counted or kept.
func (d *Deliver) Try(ctx context.Context, source *catalog.Source, call json.RawMessage) Tried {
	p := poster{client: d.guard.client(), userAgent: "causeway/" + d.opt.Version, timeout: d.opt.Timeout, drain: 0}
	defer p.client.CloseIdleConnections()
	a := p.post(ctx, target{endpoint: source.Endpoint, writeKey: source.WriteKey.Reveal()}, []item{{call: call}})
	return Tried{Status: a.status, Answer: a.problem(), OK: a.outcome == delivered}
}

package app

import (
	"context"
	"encoding/json"

	"causeway/internal/catalog"
	"causeway/internal/web"
)

// tryTest sends a call where a source sends, for a person who waits.
func (a *App) tryTest(ctx context.Context, source *catalog.Source, call json.RawMessage) web.Tried {
	tried := a.deliver.Try(ctx, source, call)
	return web.Tried{OK: tried.OK, Status: tried.Status, Answer: tried.Answer}
}

// takeTest gives a body to the door of a destination. The doors open last, so
// they are there by the time anybody asks.
func (a *App) takeTest(ctx context.Context, destination *catalog.Destination, body []byte) (status int, answer string) {
	return a.ingest.Take(ctx, destination, body)
}

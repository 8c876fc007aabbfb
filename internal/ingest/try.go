package ingest

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"causeway/internal/catalog"
	"causeway/internal/stream"
)

// Take gives a body to the door of a destination as Segment's delivery would,
// past the credential, which only its hash is known of: the same limits,
// checks, stream and answer. It is for a person who wants to see a call
// arrive.
func (s *Server) Take(ctx context.Context, destination *catalog.Destination, body []byte) (status int, answer string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "/segment/destination", io.NopCloser(bytes.NewReader(body)))
	if err != nil {
		return http.StatusInternalServerError, err.Error() // the address is a constant
	}
	request.ContentLength = int64(len(body))
	w := &kept{header: http.Header{}}
	c := &exchange{w: w, r: request, route: s.routes["segment/destination"], received: s.opt.Now()}
	defer s.finish(c)
	if err := s.delivery(c, destination, stream.Destination, "console", nil); err != nil {
		s.refuse(c, err)
	}
	return w.status, w.body.String()
}

// kept is an answer that is kept instead of sent.
type kept struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *kept) Header() http.Header { return k.header }

func (k *kept) WriteHeader(status int) {
	if k.status == 0 {
		k.status = status
	}
}

func (k *kept) Write(b []byte) (int, error) {
	k.WriteHeader(http.StatusOK)
	return k.body.Write(b)
}

package flags

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// body is the JSON of an answer, kept in the forms it is sent in.
type body struct {
	plain []byte
	etag  string
	// zipped is made when it is first asked for; nil: too short to be worth it.
	zipped func() []byte
}

// worthZipping is the length from which an answer is compressed, in bytes.
const worthZipping = 1024

func newBody(plain []byte) *body {
	b := &body{plain: plain, zipped: func() []byte { return nil }}
	sum := sha256.Sum256(plain)
	b.etag = fmt.Sprintf(`W/"%x"`, sum[:12]) // weak: it is the same compressed or not
	if len(plain) >= worthZipping {
		b.zipped = sync.OnceValue(func() []byte { return zip(plain) })
	}
	return b
}

func zip(plain []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(plain) // a buffer takes everything
	_ = w.Close()
	return out.Bytes()
}

// send answers 200 with a body, or 304 when the caller has it.
//
// Caches may keep it and must ask each time: a cached answer would hide a
// change. They are told apart by SDK key, because the path does not say whose
// flags these are.
func (c *exchange) send(b *body) {
	h := c.w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "private, no-cache")
	h.Add("Vary", "Authorization, Accept-Encoding")
	h.Set("ETag", b.etag)
	if has(c.r.Header.Values("If-None-Match"), b.etag) {
		c.status = http.StatusNotModified
		c.w.WriteHeader(c.status)
		return
	}
	text := b.plain
	if acceptsGzip(c.r.Header) {
		if zipped := b.zipped(); zipped != nil {
			text = zipped
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	c.status = http.StatusOK
	c.w.WriteHeader(c.status)
	_, _ = c.w.Write(text) // who hung up does not read it
}

// has reports whether a list in headers holds an item.
func has(headers []string, item string) bool {
	for _, header := range headers {
		for part := range strings.SplitSeq(header, ",") {
			if strings.TrimSpace(part) == item {
				return true
			}
		}
	}
	return false
}

// acceptsGzip reads Accept-Encoding: a coding may carry a weight, and a weight
// of 0 refuses it.
func acceptsGzip(h http.Header) bool {
	for _, header := range h.Values("Accept-Encoding") {
		for part := range strings.SplitSeq(header, ",") {
			coding, weight, _ := strings.Cut(part, ";")
			if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
				continue
			}
			q, found := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
			value, err := strconv.ParseFloat(q, 64)
			return !found || err == nil && value > 0
		}
	}
	return false
}

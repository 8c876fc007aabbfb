//go:build linux

package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// In the text of a template these runs stand for what differs from item to
// item. They are overwritten in place, so that a request costs the generator
// no more than its copy.
const (
	idMark   = "############" // number of the item; all of one item's are the same
	userMark = "@@@@@@"       // one of users numbers, scattered
	users    = 100_000
)

// template is a whole HTTP request that is sent again and again, each time with
// other numbers in it.
type template struct {
	text  []byte
	items int // numbers that one request uses up
	slots []slot
}

// slot is a place for a number.
type slot struct {
	at, width int
	item      int // which item of the request it belongs to
}

// form is how a list of items is written in a body.
type form struct {
	path, header     string // header lines, each with its line break
	before, between  string // around and between the items
	item, after      string
	itemsAreRequests bool // the body is one item; there is no list
}

// newTemplate builds a request of so many items for a server.
func newTemplate(host string, f form, items int) template {
	if f.itemsAreRequests {
		items = 1
	}
	body := f.before + strings.Repeat(f.item+f.between, items-1) + f.item + f.after
	head := "POST " + f.path + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\n" + f.header +
		"Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
	t := template{text: []byte(head + body), items: items}
	start := len(head) + len(f.before)
	for i := range items {
		at := start + i*len(f.item+f.between)
		t.find(at, at+len(f.item), i)
	}
	return t
}

// find notes the marks of one item.
func (t *template) find(from, to, item int) {
	for _, mark := range []string{idMark, userMark} {
		for at := from; ; {
			i := bytes.Index(t.text[at:to], []byte(mark))
			if i < 0 {
				break
			}
			t.slots = append(t.slots, slot{at: at + i, width: len(mark), item: item})
			at += i + len(mark)
		}
	}
}

// fill writes the numbers of the items from first on into a copy of the text.
func (t *template) fill(text []byte, first uint64) {
	for _, s := range t.slots {
		n := first + uint64(s.item)
		if s.width == len(userMark) {
			n = n * 2654435761 % users
		}
		decimal(text[s.at:s.at+s.width], n)
	}
}

// decimal writes a number with leading zeros; what does not fit is cut off in
// front.
func decimal(b []byte, n uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}

// The credentials of the bench's own configuration. They are worth nothing
// outside it.
const (
	destinationKey = "bench-destination-key"
	sdkKey         = "bench-sdk-key"
	adminToken     = "bench-admin-token"
)

// call is a track call as Segment's libraries for browsers write it, about 700
// bytes long.
const call = `{"type":"track","messageId":"` + callID + `","timestamp":"2026-11-01T12:00:00.000Z","userId":"user-` + userMark +
	`","anonymousId":"5f0f8b9e-3c1d-4c1e-9a57-000000` + userMark + `","event":"Order Completed",` +
	`"properties":{"orderId":"order-` + idMark + `","revenue":39.95,"currency":"USD","coupon":"WINTER","products":3,"affiliation":"web shop"},` +
	`"context":{"library":{"name":"analytics.js","version":"next-1.70.0"},"ip":"203.0.113.7","locale":"en-US","timezone":"Europe/Berlin",` +
	`"userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",` +
	`"page":{"path":"/checkout","referrer":"","search":"","title":"Checkout","url":"https://shop.example/checkout"}},"integrations":{}}`

// callID and impressionKey are what an item is recognised by afterwards.
const (
	callID        = "ajs-next-0123456789abcdef-" + idMark
	impressionKey = "key-" + idMark
)

// number is the item's number in one of these.
func number(id string) (uint64, error) {
	if len(id) < len(idMark) {
		return 0, fmt.Errorf("%q holds no number of the bench", id)
	}
	return strconv.ParseUint(id[len(id)-len(idMark):], 10, 64)
}

// basic is the header of Segment's libraries; the key is a user name without a
// password.
func basic(key string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(key+":")) + "\r\n"
}

func bearer(key string) string { return "Authorization: Bearer " + key + "\r\n" }

// The forms of load, by the name of --form. single is the body of one call.
func segmentSingle(key string) form {
	return form{path: "/v1/track", header: basic(key), item: call, itemsAreRequests: true}
}

func segmentBatch(key string) form {
	return form{path: "/v1/batch", header: basic(key), before: `{"batch":[`, item: call, between: ",", after: "]}"}
}

func splitBulk(key string) form {
	return form{
		path: "/api/testImpressions/bulk",
		header: bearer(key) + "SplitSDKVersion: go-6.10.0\r\nSplitSDKImpressionsMode: debug\r\n" +
			"SplitSDKMachineName: bench\r\nSplitSDKMachineIP: 127.0.0.1\r\n",
		before: `[{"f":"checkout_button","i":[`, between: ",", after: "]}]",
		item: `{"k":"` + impressionKey + `","t":"on","m":1793534400000,"c":1234567890123,"r":"default rule"}`,
	}
}

func goffCollector(key string) form {
	return form{
		path: "/v1/data/collector", header: bearer(key), before: `{"meta":{"source":"bench"},"events":[`, between: ",", after: "]}",
		item: `{"kind":"feature","contextKind":"user","userKey":"` + impressionKey + `","creationDate":1793534400,"key":"checkout_button",` +
			`"variation":"on","value":true,"default":false,"version":"1","source":"SERVER"}`,
	}
}

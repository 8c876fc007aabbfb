package segment

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheLastPartOfAPathDecidesTheCallType(t *testing.T) {
	for path, want := range map[string]string{
		"t": "track", "track": "track", "i": "identify", "identify": "identify", "p": "page", "page": "page",
		"s": "screen", "screen": "screen", "g": "group", "group": "group", "a": "alias", "alias": "alias",
	} {
		if got, batch, ok := CallType(path); got != want || batch || !ok {
			t.Errorf("%s is %q, %v, %v", path, got, batch, ok)
		}
	}
	for _, path := range []string{"b", "batch", "import"} {
		if got, batch, ok := CallType(path); got != "" || !batch || !ok {
			t.Errorf("%s is %q, %v, %v", path, got, batch, ok)
		}
	}
	for _, path := range []string{"m", "", "Track", "T", "delete", "batches"} {
		if _, _, ok := CallType(path); ok {
			t.Errorf("%s is a call", path)
		}
	}
}

// items shows a body's items as text.
func items(b Body) (items []string) {
	for _, item := range b.Items {
		items = append(items, fmt.Sprintf("%s size=%d sentAt=%s context=%s integrations=%s",
			item.JSON, item.Size, item.SentAt, item.Context.Raw(), item.Integrations.Raw()))
	}
	return items
}

func TestATrackingBodyOpensIntoItsCalls(t *testing.T) {
	tests := []struct {
		name     string
		batch    bool
		body     string
		items    []string
		writeKey string
		err      error
	}{
		{"a single call", false, ` {"event":"a","writeKey":"w","sentAt":"2026"} `,
			[]string{`{"event":"a","writeKey":"w","sentAt":"2026"} size=44 sentAt="2026" context= integrations=`}, "w", nil},
		{"a single call has no batch", false, `{"batch":[{"event":"a"}]}`,
			[]string{`{"batch":[{"event":"a"}]} size=25 sentAt= context= integrations=`}, "", nil},
		{"a sentAt that is null or blank is none", false, `{"sentAt":" "}`,
			[]string{`{"sentAt":" "} size=14 sentAt= context= integrations=`}, "", nil},
		{"a batch gives its items what it says of all", true,
			`{"sentAt":1,"context":{"ip":"1"},"integrations":{"All":true},"batch":[{"type":"track"}, {"sentAt":"x","context":{"ip":2}} ]}`,
			[]string{
				`{"type":"track"} size=16 sentAt=1 context={"ip":"1"} integrations={"All":true}`,
				`{"sentAt":"x","context":{"ip":2}} size=33 sentAt="x" context={"ip":"1"} integrations={"All":true}`,
			}, "", nil},
		{"what all have counts wherever it stands", true, `{"batch":[{}],"sentAt":1,"writeKey":"w"}`,
			[]string{`{} size=2 sentAt=1 context= integrations=`}, "w", nil},
		{"a context that is no object is not shared", true, `{"batch":[{}],"context":[1],"integrations":false}`,
			[]string{`{} size=2 sentAt= context= integrations=`}, "", nil},
		{"items that are no objects stay", true, `{"batch":[1,null,"x",[{}],{"a":1}]}`,
			[]string{
				`1 size=1 sentAt= context= integrations=`, `null size=4 sentAt= context= integrations=`,
				`"x" size=3 sentAt= context= integrations=`, `[{}] size=4 sentAt= context= integrations=`,
				`{"a":1} size=7 sentAt= context= integrations=`,
			}, "", nil},
		{"the first item's write key", true, `{"writeKey":"","batch":[{"writeKey":"w1"},{"writeKey":"w2"}]}`,
			[]string{
				`{"writeKey":"w1"} size=17 sentAt= context= integrations=`, `{"writeKey":"w2"} size=17 sentAt= context= integrations=`,
			}, "w1", nil},
		{"the body's write key goes before", true, `{"batch":[{"writeKey":"w1"}],"writeKey":"w"}`,
			[]string{`{"writeKey":"w1"} size=17 sentAt= context= integrations=`}, "w", nil},
		{"no other item's write key", true, `{"batch":[{},{"writeKey":"w2"}]}`,
			[]string{`{} size=2 sentAt= context= integrations=`, `{"writeKey":"w2"} size=17 sentAt= context= integrations=`}, "", nil},
		{"a write key that is no text is none", false, `{"writeKey":5}`,
			[]string{`{"writeKey":5} size=14 sentAt= context= integrations=`}, "", nil},
		{"the last of two batches", true, `{"batch":[1,2],"batch":[3]}`, []string{`3 size=1 sentAt= context= integrations=`}, "", nil},
		{"an empty batch", true, `{"batch":[]}`, nil, "", nil},
		{"no batch", true, `{"writeKey":"w"}`, nil, "w", nil},
		{"a null batch", true, `{"batch":null}`, nil, "", nil},
		{"a batch that is no list", true, `{"batch":{"type":"track"}}`, nil, "", ErrNotJSON},
		{"a list is no batch", true, `[{"type":"track"}]`, nil, "", ErrNotJSON},
		{"a list is no call", false, `[{"type":"track"}]`, nil, "", ErrNotJSON},
		{"text is no call", false, `"x"`, nil, "", ErrNotJSON},
		{"nothing", false, ``, nil, "", ErrNotJSON},
		{"an end that is missing", false, `{"event":"a"`, nil, "", ErrNotJSON},
		{"an end that is missing deep inside", true, `{"batch":[{"a":{"b":[{"c":1}]}]}`, nil, "", ErrNotJSON},
		{"two bodies", false, `{}{}`, nil, "", ErrNotJSON},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			body, err := ParseTracking(test.batch, []byte(test.body))
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if diff := cmp.Diff(test.items, items(body)); diff != "" {
				t.Errorf("items (-want +got):\n%s", diff)
			}
			if body.WriteKey != test.writeKey {
				t.Errorf("write key %q, want %q", body.WriteKey, test.writeKey)
			}
		})
	}
}

// padded is a JSON object of exactly size bytes.
func padded(size int) string {
	return `{"a":"` + strings.Repeat("x", size-8) + `"}`
}

func batchOf(items ...string) string { return `{"batch":[` + strings.Join(items, ",") + `]}` }

func TestLimitsAreOfTheBodyAndNotOfABatchsItem(t *testing.T) {
	tests := []struct {
		name  string
		parse func([]byte) (Body, error)
		body  string
		err   error
	}{
		{"a call at the limit", single, padded(MaxCallBytes), nil},
		{"a call over it", single, padded(MaxCallBytes + 1), ErrTooLarge},
		{"no JSON over the limit", single, strings.Repeat("x", MaxCallBytes+1), ErrTooLarge},
		{"a batch at the limit", batch, batchOf(padded(MaxBatchBytes - len(batchOf("")))), nil},
		{"a batch over it", batch, batchOf(padded(MaxBatchBytes - len(batchOf("")) + 1)), ErrTooLarge},
		{"as many calls as a batch may have", batch, batchOf(strings.Split(strings.Repeat("{},", MaxBatchCalls-1)+"{}", ",")...), nil},
		{"one more", batch, batchOf(strings.Split(strings.Repeat("{},", MaxBatchCalls)+"{}", ",")...), ErrTooLong},
		{"a delivered call at the limit", ParseDelivery, " " + padded(MaxCallBytes) + " ", nil},
		{"a delivered call over it", ParseDelivery, padded(MaxCallBytes + 1), ErrTooLarge},
		{"one over it among others fails alone, later", ParseDelivery, "[{}," + padded(MaxCallBytes+1) + "]", nil},
		{"a delivery at the limit", ParseDelivery, "[" + padded(MaxDeliveryBytes-2) + "]", nil},
		{"a delivery over it", ParseDelivery, "[" + padded(MaxDeliveryBytes-1) + "]", ErrTooLarge},
		{"as many calls as a delivery may have", ParseDelivery, "[" + strings.Repeat("{},", MaxDeliveryCalls-1) + "{}]", nil},
		{"one more delivered", ParseDelivery, "[" + strings.Repeat("{},", MaxDeliveryCalls) + "{}]", ErrTooLong},
	}
	for _, test := range tests {
		if _, err := test.parse([]byte(test.body)); !errors.Is(err, test.err) {
			t.Errorf("%s: %v, want %v", test.name, err, test.err)
		}
	}
}

func single(body []byte) (Body, error) { return ParseTracking(false, body) }
func batch(body []byte) (Body, error)  { return ParseTracking(true, body) }

func TestNoNestingFailsTheNeighbours(t *testing.T) {
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	for name, parsed := range map[string]func() (Body, error){
		"batch":    func() (Body, error) { return batch([]byte(batchOf(deep, `{"event":"a"}`))) },
		"delivery": func() (Body, error) { return ParseDelivery([]byte("[" + deep + `,{"event":"a"}]`)) },
	} {
		body, err := parsed()
		if err != nil || len(body.Items) != 2 || body.Items[0].Size != 200_000 || string(body.Items[1].JSON) != `{"event":"a"}` {
			t.Errorf("%s: %d items, %v", name, len(body.Items), err)
		}
	}
	if _, err := batch([]byte(batchOf(strings.Repeat(`{"a":[`, 80_000)))); !errors.Is(err, ErrNotJSON) {
		t.Errorf("open brackets: %v", err)
	}
}

func TestAContextThatNoCallCouldCarryIsNotShared(t *testing.T) {
	body, err := batch([]byte(`{"batch":[{}],"integrations":{"All":false},"context":` + padded(MaxCallBytes+1) + `}`))
	if err != nil || body.Items[0].Context.Exists() || !body.Items[0].Integrations.Exists() {
		t.Errorf("%v %v", items(body), err)
	}
}

func TestADeliveryIsOneCallOrAList(t *testing.T) {
	tests := []struct {
		body  string
		items []string
		err   error
	}{
		{` {"type":"track","sentAt":"x"}`, []string{`{"type":"track","sentAt":"x"} size=29 sentAt="x" context= integrations=`}, nil},
		{`[{"a":1}, {"b":2}]`, []string{`{"a":1} size=7 sentAt= context= integrations=`, `{"b":2} size=7 sentAt= context= integrations=`}, nil},
		{`[1,{"b":2}]`, []string{`1 size=1 sentAt= context= integrations=`, `{"b":2} size=7 sentAt= context= integrations=`}, nil},
		{`{"batch":[{"a":1}],"context":{}}`, []string{`{"batch":[{"a":1}],"context":{}} size=32 sentAt= context= integrations=`}, nil},
		{`[]`, nil, nil},
		{`"x"`, nil, ErrNotJSON},
		{`null`, nil, ErrNotJSON},
		{``, nil, ErrNotJSON},
		{`[{}`, nil, ErrNotJSON},
		{`{"a":01}`, nil, ErrNotJSON},
	}
	for _, test := range tests {
		body, err := ParseDelivery([]byte(test.body))
		if !errors.Is(err, test.err) {
			t.Errorf("%s: %v, want %v", test.body, err, test.err)
		}
		if diff := cmp.Diff(test.items, items(body)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.body, diff)
		}
	}
}

// The vector is facts/segment.md 2.4's, made with openssl: it holds only over
// the bytes as they came.
func TestASignatureIsOverTheFirstElementsOwnBytes(t *testing.T) {
	const call = `{"type":"track","event":"A & B <c>","userId":"u1"}`
	const want = "1940bece2e0f253bb5c3eb9f4916257db6365de9"
	for _, body := range []string{call, "[" + call + "]", " [ \n" + call + " ,{\"type\":\"page\"}]"} {
		mac := hmac.New(sha1.New, []byte("sekrit"))
		mac.Write(FirstElement([]byte(body)))
		if got := hex.EncodeToString(mac.Sum(nil)); got != want {
			t.Errorf("%s: %s", body, got)
		}
	}
	for _, body := range []string{``, `[]`, `[`, ` {} `, `"x"`, `[1,`} {
		if got := FirstElement([]byte(body)); string(got) != body {
			t.Errorf("%q: %q, want the whole body", body, got)
		}
	}
	if got := FirstElement([]byte(`[ "a" ,1]`)); string(got) != `"a"` {
		t.Errorf("first element: %s", got)
	}
}

func TestTheCallsOwnFieldsWinOverTheBatchs(t *testing.T) {
	tests := []struct{ own, shared, key, want string }{
		{`{"a":1}`, `{"a":2,"b":3}`, "a", "1"},
		{`{"a":1}`, `{"a":2,"b":3}`, "b", "3"},
		{`{"a":null}`, `{"a":2}`, "a", "null"},
		{`null`, `{"a":2}`, "a", "2"},
		{``, `{"a":2}`, "a", "2"},
		{`"x"`, `{"a":2}`, "a", ""},
		{`{"a":1}`, ``, "b", ""},
	}
	for _, test := range tests {
		own, _ := ParseJSON(test.own)
		shared, _ := ParseJSON(test.shared)
		if got := (Merged{own, shared}).Field(test.key).Raw(); got != test.want {
			t.Errorf("%s under %s: %s is %q, want %q", test.own, test.shared, test.key, got, test.want)
		}
	}
}

// promise checks what every body that is taken promises.
func promise(t *testing.T, body []byte, parsed Body, most int) {
	t.Helper()
	if len(parsed.Items) > most {
		t.Fatalf("%d items", len(parsed.Items))
	}
	for _, item := range parsed.Items {
		if item.Size != len(item.JSON) || !bytes.Contains(body, item.JSON) {
			t.Fatalf("an item that does not stand in the body: %q", item.JSON)
		}
		if _, ok := ParseTop(string(item.JSON), 1); !ok {
			t.Fatalf("an item that is not JSON: %q", item.JSON)
		}
		if _, ok := ParseTop(item.SentAt, 1); item.SentAt != "" && !ok {
			t.Fatalf("a sentAt that is not JSON: %q", item.SentAt)
		}
	}
}

func FuzzParseTracking(f *testing.F) {
	for _, seed := range []string{
		`{"batch":[{"type":"track","sentAt":"2026-01-02"},1,null],"context":{"a":{"b":1}},"integrations":{"All":false},"sentAt":1}`,
		`{"type":"track","event":"x"}`, `{"batch":[`, `[]`, `{"batch":{}}`, `{"batch":[{"writeKey":"\u0000w"}]}`,
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, batch bool) {
		parsed, err := ParseTracking(batch, body)
		if err == nil && len(body) < 1000 && !json.Valid(body) {
			t.Fatal("taken, but not JSON")
		}
		promise(t, body, parsed, MaxBatchCalls)
		if !batch && err == nil && len(parsed.Items) != 1 {
			t.Fatalf("%d calls in a single one", len(parsed.Items))
		}
	})
}

func FuzzParseDelivery(f *testing.F) {
	for _, seed := range []string{`{"type":"track"}`, `[{"type":"track"},{"a":[]}]`, `[`, `[[1],"x"]`, ` [ {} ] `, `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		parsed, err := ParseDelivery(body)
		promise(t, body, parsed, MaxDeliveryCalls)
		signed := FirstElement(body)
		if err == nil && bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) && len(parsed.Items) > 0 && !bytes.Equal(signed, parsed.Items[0].JSON) {
			t.Fatalf("signed is %q, the first call %q", signed, parsed.Items[0].JSON)
		}
	})
}

func BenchmarkParseTrackingOf100(b *testing.B) {
	call := `{"type":"track","messageId":"ajs-next-1700000000000-0f8fad5b-d9cb-469f-a165-70867728950e","event":"Order Completed","userId":"u-12345","anonymousId":"23adfd82-aa0f-45a7-a756-24f2a7a4c895","timestamp":"2026-01-02T03:04:05.006Z","properties":{"revenue":39.95,"currency":"EUR","sku":"A-1","items":[{"id":1},{"id":2}],"cart":{"total":40,"coupon":null}},"context":{"library":{"name":"analytics.js","version":"next-1.84.1"},"page":{"path":"/checkout","referrer":"","search":"","title":"Checkout","url":"https://shop.example/checkout"},"userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36","locale":"en-US","timezone":"Europe/Berlin"},"integrations":{}}`
	body := []byte(`{"writeKey":"w","sentAt":"2026-01-02T03:04:06Z","batch":[` + strings.Repeat(call+",", 99) + call + `]}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseTracking(true, body); err != nil {
			b.Fatal(err)
		}
	}
}

func TestADoorLearnsTheSameFromCheckingAsFromParsing(t *testing.T) {
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	many := `{"batch":[` + strings.Repeat("1,", MaxBatchCalls) + `1]}`
	for _, body := range []string{
		``, `{`, `[]`, `null`, `{}`, `{"writeKey":" k "}`, `{"writeKey":1,"batch":[]}`, `{"batch":null}`, `{"batch":{}}`, `{"batch":[1,{"writeKey":"second"}]}`,
		`{"batch":[{"writeKey":"first"},{"writeKey":"second"}]}`, `{"batch":[{"x":` + deep + `,"writeKey":"first"}],"writeKey":""}`,
		`{"writeKey":"own","batch":[{"writeKey":"first"}]}`, `{"batch":[{"writeKey":"fi\u0072st"}]}`, `{"batch":[{]}`, many,
		`{"x":"` + strings.Repeat("a", MaxBatchBytes) + `"}`, `{"x":"` + strings.Repeat("a", MaxCallBytes) + `"}`,
	} {
		for _, batch := range []bool{false, true} {
			parsed, want := ParseTracking(batch, []byte(body))
			checked, err := CheckTracking(batch, []byte(body))
			if err != want || checked.WriteKey != parsed.WriteKey || checked.Calls != len(parsed.Items) {
				t.Errorf("batch %v, %.60s: checked %+v, %v; parsed %q, %d calls, %v", batch, body, checked, err, parsed.WriteKey, len(parsed.Items), want)
			}
		}
	}
}

func TestSpecialBytesAreFoundAtEveryPlaceOfAString(t *testing.T) {
	for at := range 20 {
		for c := range 256 {
			text := strings.Repeat("a", at) + string([]byte{byte(c)}) + strings.Repeat("\x80\"", 10)
			want := at
			if ordinary[c] {
				want = at + 1
			}
			if got := ordinaryRun(text); got != want {
				t.Fatalf("byte %#x at %d: the run is %d long, want %d", c, at, got, want)
			}
		}
	}
}

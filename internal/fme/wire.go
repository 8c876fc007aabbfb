package fme

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"causeway/internal/reason"
)

// ErrShape means that a body is not JSON of the form its route takes, so that
// nothing of it can be used. Wrapped with what was expected.
var ErrShape = errors.New("not JSON of this form")

// Bad is one item of a list that could not be used. Its neighbours are not
// affected.
type Bad struct {
	Index int // counts the items of the body in document order, from 0
	Note  reason.Note
}

// SDKName splits what an SDK calls itself in SplitSDKVersion, "go-6.10.0", at
// the last dash. Without a dash the whole is the name.
func SDKName(sdk string) (name, version string) {
	i := strings.LastIndexByte(sdk, '-')
	if i < 0 {
		return sdk, ""
	}
	return sdk[:i], sdk[i+1:]
}

// Machine is the name or address of a machine as an SDK reports it; SDKs that
// were told not to say, or do not know, send "NA" or "unknown": then it is "".
func Machine(text string) string {
	switch strings.ToLower(text) {
	case "na", "unknown":
		return ""
	}
	return text
}

// IsList returns an error unless the body is a list: what the list decoders
// refuse, at a fraction of their cost.
func IsList(body []byte) error {
	_, err := openList(body)
	return err
}

// HasList returns an error unless the body is an object with a list of that
// name.
func HasList(body []byte, name string) error {
	_, _, err := openListIn(body, name)
	return err
}

// IsObject returns an error unless the body is an object.
func IsObject(body []byte) error {
	object, err := open(body)
	if err == nil && !object.IsObject() {
		err = fmt.Errorf("%w: an object is expected", ErrShape)
	}
	return err
}

// open checks a body and reads it. The check is encoding/json's because it
// bounds the nesting (10,000 levels): a recursive reader without a bound can
// be made to use up the stack.
func open(body []byte) (gjson.Result, error) {
	if !json.Valid(body) {
		return gjson.Result{}, fmt.Errorf("%w: the body is not JSON", ErrShape)
	}
	return gjson.ParseBytes(body), nil
}

// openList opens a body that is a list.
func openList(body []byte) (gjson.Result, error) {
	list, err := open(body)
	if err == nil && !list.IsArray() {
		err = fmt.Errorf("%w: a list is expected", ErrShape)
	}
	return list, err
}

// openListIn opens a body that is an object with a list in it. A null list is
// an empty one.
func openListIn(body []byte, name string) (object, list gjson.Result, err error) {
	if object, err = open(body); err != nil {
		return object, list, err
	}
	list = member(object, name)
	switch {
	case list.IsArray():
		return object, list, nil
	case list.Exists() && list.Type == gjson.Null:
		return object, gjson.Parse("[]"), nil
	}
	return object, list, fmt.Errorf("%w: an object with a list %q is expected", ErrShape, name)
}

// member finds a member of an object by its exact name; of two the later
// counts, as in encoding/json. It is absent when v is no object.
func member(v gjson.Result, names ...string) gjson.Result {
	var found gjson.Result
	if !v.IsObject() {
		return found
	}
	v.ForEach(func(name, value gjson.Result) bool {
		for _, wanted := range names {
			if name.Str == wanted {
				found = value
			}
		}
		return true
	})
	return found
}

// collector gathers the bad items of a body while it is read.
type collector struct {
	index int // of the item being read
	bad   []Bad
}

// reject notes the item being read as bad.
func (c *collector) reject(code reason.Code, format string, args ...any) {
	c.bad = append(c.bad, Bad{c.index, reason.Note{Code: code, Detail: fmt.Sprintf(format, args...)}})
}

// each reads the items of a list one by one.
func (c *collector) each(list gjson.Result, item func(gjson.Result)) {
	list.ForEach(func(_, value gjson.Result) bool {
		item(value)
		c.index++
		return true
	})
}

// text is a string that can be stored: valid UTF-8 without NUL (X2).
func text(v gjson.Result) string {
	if v.Type != gjson.String {
		return ""
	}
	return clean(v.Str)
}

func clean(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	return s
}

// keyText is a key: a string as it stands, or a number's source text, never
// through a float. ok is false for any other type.
func keyText(v gjson.Result) (key string, ok bool) {
	switch v.Type {
	case gjson.String:
		return clean(v.Str), true
	case gjson.Number:
		return v.Raw, true
	}
	return "", !v.Exists() || v.Type == gjson.Null
}

// integer reads a whole number, as JSON number or as text; a fraction is cut.
func integer(v gjson.Result) (int64, bool) {
	source := v.Raw
	if v.Type == gjson.String {
		source = strings.TrimSpace(v.Str)
	} else if v.Type != gjson.Number {
		return 0, false
	}
	if n, err := strconv.ParseInt(source, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(source, 64)
	if err != nil || math.IsNaN(f) || math.Abs(f) >= 1<<63 {
		return 0, false
	}
	return int64(f), true
}

// lastMilli is the end of the year 9999: what can be written as ISO 8601.
const lastMilli = 253402300799999

// milliTime reads milliseconds since the epoch. What is absent, zero (an unset
// field) or no time at all is the zero Time: the reader uses the receipt.
func milliTime(v gjson.Result) time.Time {
	ms, ok := integer(v)
	if !ok || ms <= 0 || ms > lastMilli {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// propertiesText is an impression's metadata as JSON text. SDKs send it as a
// string that holds JSON, the webhook also as JSON itself.
func propertiesText(v gjson.Result) string {
	switch v.Type {
	case gjson.Null:
		return ""
	case gjson.String:
		return clean(v.Str)
	}
	return clean(v.Raw)
}

// raw is the JSON of v as it stood; nil when v is absent.
func raw(v gjson.Result) json.RawMessage {
	if !v.Exists() {
		return nil
	}
	return json.RawMessage(v.Raw)
}

// Beacon is what a browser sends when the page goes away: the body of another
// route, with what would stand in its headers.
type Beacon struct {
	Entries []byte // the body of the route without /beacon
	Token   string // SDK key
	SDK     string // as SplitSDKVersion
	Mode    string // as SplitSDKImpressionsMode; only on impressions
}

// DecodeBeacon opens the body of a beacon route. The entries are not read.
func DecodeBeacon(body []byte) (Beacon, error) {
	object, err := open(body)
	if err != nil {
		return Beacon{}, err
	}
	entries := member(object, "entries")
	if !entries.Exists() {
		return Beacon{}, fmt.Errorf("%w: an object with entries is expected", ErrShape)
	}
	return Beacon{
		Entries: bytes.TrimSpace([]byte(entries.Raw)),
		Token:   text(member(object, "token")),
		SDK:     text(member(object, "sdk")),
		Mode:    text(member(object, "sim")),
	}, nil
}

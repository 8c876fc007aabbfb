package segment

import (
	"encoding/json"
	"iter"
	"strings"
	"unicode/utf8"
)

// Kind is the kind of a JSON value.
type Kind uint8

// The kinds. Absent is the kind of the zero Value.
const (
	Absent Kind = iota
	Null
	Bool
	Number
	String
	Object
	Array
)

// Value is one JSON value as it stood in a text that ParseJSON read. The zero
// Value is absent, and every method of it gives nothing.
//
// It exists because neither encoding/json nor the usual fast readers keep
// together what the rulings need: the order of fields (R9), the source text of
// numbers (R4, X7), repeated keys, and work in proportion to the size of the
// text however deep it nests.
type Value struct {
	doc  *document
	node int32
}

// document is a text and the values in it, in the order they begin.
type document struct {
	text  string
	nodes []node
}

// node is one value: text[start:end] and, within an object, the key before it.
// The nodes of what is inside it follow it, up to after.
type node struct {
	start, end       int32
	after            int32
	keyStart, keyEnd int32 // without the quotes
	keyPlain         bool  // the key is ASCII without escapes
	plain            bool  // likewise, of a string value
}

// Kind is the value's kind.
func (v Value) Kind() Kind {
	if v.doc == nil {
		return Absent
	}
	switch v.doc.text[v.doc.nodes[v.node].start] {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't', 'f':
		return Bool
	case 'n':
		return Null
	}
	return Number
}

// Exists reports whether there is a value, null counting as none.
func (v Value) Exists() bool {
	return v.doc != nil && v.doc.text[v.doc.nodes[v.node].start] != 'n'
}

// Raw is the value's JSON text as it stood, without blanks around it.
func (v Value) Raw() string {
	if v.doc == nil {
		return ""
	}
	n := &v.doc.nodes[v.node]
	return v.doc.text[n.start:n.end]
}

// Text is the text of a string and the source text of a number; "" for other
// kinds.
func (v Value) Text() string {
	switch v.Kind() {
	case String:
		raw := v.Raw()
		return decode(raw[1:len(raw)-1], v.doc.nodes[v.node].plain)
	case Number:
		return v.Raw()
	}
	return ""
}

// IsFalse reports whether the value is the boolean false.
func (v Value) IsFalse() bool { return v.Raw() == "false" }

// Fields gives the fields of an object. A key that repeats is given once: in
// the place of its first value, with its last one.
func (v Value) Fields() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if v.Kind() != Object {
			return
		}
		if v.repeats() {
			v.fieldsOnce(yield)
			return
		}
		for i := v.first(); i < v.after(); i = v.doc.nodes[i].after {
			if !yield(v.doc.key(i), Value{v.doc, i}) {
				return
			}
		}
	}
}

// Elements gives the elements of an array.
func (v Value) Elements() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() != Array {
			return
		}
		for i := v.first(); i < v.after(); i = v.doc.nodes[i].after {
			if !yield(Value{v.doc, i}) {
				return
			}
		}
	}
}

// Empty reports whether an object or array holds nothing, or the value is of
// another kind.
func (v Value) Empty() bool {
	return v.doc == nil || v.first() >= v.after()
}

// Field is the value of a key of an object, the last one if it repeats.
func (v Value) Field(key string) Value {
	var found Value
	if v.Kind() != Object {
		return found
	}
	for i := v.first(); i < v.after(); i = v.doc.nodes[i].after {
		if v.doc.key(i) == key {
			found = Value{v.doc, i}
		}
	}
	return found
}

func (v Value) first() int32 { return v.node + 1 }
func (v Value) after() int32 { return v.doc.nodes[v.node].after }

func (d *document) key(i int32) string {
	n := &d.nodes[i]
	return decode(d.text[n.keyStart:n.keyEnd], n.keyPlain)
}

// pairwise is up to how many fields comparing each with each is cheaper than a
// map.
const pairwise = 32

// repeats reports whether an object has a key twice, or keys that only decoding
// could tell apart.
func (v Value) repeats() bool {
	var keys [pairwise]string
	n := 0
	for i := v.first(); i < v.after(); i = v.doc.nodes[i].after {
		field := &v.doc.nodes[i]
		if n == pairwise || !field.keyPlain {
			return true
		}
		keys[n] = v.doc.text[field.keyStart:field.keyEnd]
		for _, other := range keys[:n] {
			if other == keys[n] {
				return true
			}
		}
		n++
	}
	return false
}

// fieldsOnce is Fields for objects that have a key twice or may have one.
func (v Value) fieldsOnce(yield func(string, Value) bool) {
	type field struct {
		key   string
		value int32
	}
	var fields []field
	place := make(map[string]int)
	for i := v.first(); i < v.after(); i = v.doc.nodes[i].after {
		key := v.doc.key(i)
		if at, repeated := place[key]; repeated {
			fields[at].value = i
			continue
		}
		place[key] = len(fields)
		fields = append(fields, field{key, i})
	}
	for _, f := range fields {
		if !yield(f.key, Value{v.doc, f.value}) {
			return
		}
	}
}

// decode turns what stands between the quotes of a JSON string into text: valid
// UTF-8 without NUL (X2).
func decode(inner string, plain bool) string {
	if plain {
		return inner
	}
	if strings.IndexByte(inner, '\\') < 0 {
		return clean(inner)
	}
	var text string
	if err := json.Unmarshal([]byte(`"`+inner+`"`), &text); err != nil {
		return clean(inner) // cannot be: parse accepted it
	}
	return clean(text)
}

// clean makes text storable: each invalid byte becomes U+FFFD, and a NUL is
// removed (X2).
func clean(text string) string {
	if !utf8.ValidString(text) {
		// Not strings.ToValidUTF8, which makes one U+FFFD of a run of bytes.
		text = string([]rune(text))
	}
	if strings.IndexByte(text, 0) >= 0 {
		text = strings.ReplaceAll(text, "\x00", "")
	}
	return text
}

// AppendCompact appends the value as compact JSON text (X8): no blanks between
// tokens, fields in their order, numbers as written, strings encoded anew.
func (v Value) AppendCompact(b []byte) []byte {
	switch v.Kind() {
	case Absent:
		return b
	case String:
		return AppendString(b, v.Text())
	case Array:
		b = append(b, '[')
		for i := v.first(); i < v.after(); i = v.doc.nodes[i].after {
			b = append(Value{v.doc, i}.AppendCompact(b), ',')
		}
		return closeWith(b, ']')
	case Object:
		b = append(b, '{')
		if v.repeats() {
			v.fieldsOnce(func(key string, value Value) bool {
				b = value.appendField(b, key)
				return true
			})
			return closeWith(b, '}')
		}
		// Not through Fields: its closures would be most of the cost.
		for i := v.first(); i < v.after(); i = v.doc.nodes[i].after {
			b = Value{v.doc, i}.appendField(b, v.doc.key(i))
		}
		return closeWith(b, '}')
	}
	return append(b, v.Raw()...)
}

// appendField appends a field with the comma after it.
func (v Value) appendField(b []byte, key string) []byte {
	b = append(AppendString(b, key), ':')
	return append(v.AppendCompact(b), ',')
}

// closeWith ends a list: the comma after its last member becomes the bracket.
func closeWith(b []byte, bracket byte) []byte {
	if b[len(b)-1] == ',' {
		b[len(b)-1] = bracket
		return b
	}
	return append(b, bracket)
}

const hexDigits = "0123456789abcdef"

// AppendString appends a JSON string. Only the quote, the backslash and control
// characters are escaped (X8): texts are read by people and compared byte by
// byte, never put into HTML as they are. The text is cleaned as Value.Text is.
func AppendString(b []byte, text string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c >= utf8.RuneSelf {
			return append(appendEscaped(b, clean(text[from:])), '"')
		}
		if c < ' ' || c == '"' || c == '\\' {
			b = append(b, text[from:i]...)
			b = appendEscape(b, c)
			from = i + 1
		}
	}
	b = append(b, text[from:]...)
	return append(b, '"')
}

// appendEscaped appends clean text within a JSON string.
func appendEscaped(b []byte, text string) []byte {
	from := 0
	for i := 0; i < len(text); i++ {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' {
			b = append(b, text[from:i]...)
			b = appendEscape(b, c)
			from = i + 1
		}
	}
	return append(b, text[from:]...)
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case 0: // removed (X2)
		return b
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

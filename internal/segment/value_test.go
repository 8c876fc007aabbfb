package segment

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func mustParse(t *testing.T, text string) Value {
	t.Helper()
	v, ok := ParseJSON(text)
	if !ok {
		t.Fatalf("refused: %s", text)
	}
	return v
}

func TestAFieldKeepsItsPlaceAndARepeatedKeyItsLastValue(t *testing.T) {
	v := mustParse(t, ` {"b":1, "a" : {"x":1,"x":[2]}, "b":2, "\u0061":3, "c":null} `)
	var got []string
	for key, value := range v.Fields() {
		got = append(got, key+"="+value.Raw())
	}
	if diff := cmp.Diff([]string{"b=2", "a=3", "c=null"}, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if got := v.Field("b").Raw(); got != "2" {
		t.Errorf("b is %s", got)
	}
	if got := string(v.AppendCompact(nil)); got != `{"b":2,"a":3,"c":null}` {
		t.Errorf("compact: %s", got)
	}
}

func TestManyFieldsAreGivenOnceEach(t *testing.T) {
	var text, want strings.Builder
	for i := range 3 * pairwise {
		key := string(rune('a'+i%26)) + strings.Repeat("x", i/26)
		text.WriteString(`"` + key + `":0,"` + key + `":1,`)
		want.WriteString(`"` + key + `":1,`)
	}
	v := mustParse(t, "{"+strings.TrimSuffix(text.String(), ",")+"}")
	if got := string(v.AppendCompact(nil)); got != "{"+strings.TrimSuffix(want.String(), ",")+"}" {
		t.Errorf("compact: %s", got)
	}
}

func TestTextIsAlwaysStorable(t *testing.T) {
	tests := []struct{ raw, want string }{
		{`"plain"`, "plain"},
		{`"Käufe 😀"`, "Käufe 😀"},
		{`"a\"\\\/\b\f\n\r\t\u00e9"`, "a\"\\/\b\f\n\r\té"},
		{`"\ud83d\ude00"`, "😀"},
		{`"a\ud83d"`, "a\ufffd"},
		{`"\ud83dxy"`, "\ufffdxy"}, // gjson's own reader loses the x
		{`"\ud83d\n"`, "\ufffd\n"}, // and here the newline
		{`"\ude00\ud83d"`, "\ufffd\ufffd"},
		{`"a\u0000b"`, "ab"},
		{`"\u0000"`, ""},
		{"\"a\xff\xfeb\"", "a\ufffd\ufffdb"},
		{"\"a\xc3\"", "a\ufffd"},
		{"\"\\n\xff\"", "\n\ufffd"},
		{`12.50e3`, "12.50e3"},
		{`true`, ""},
		{`null`, ""},
		{`{"a":1}`, ""},
	}
	for _, test := range tests {
		if got := mustParse(t, test.raw).Text(); got != test.want {
			t.Errorf("%s is %q, want %q", test.raw, got, test.want)
		}
	}
}

// X8: blanks between tokens removed, order and numbers as written, and only
// quotes, backslashes and control characters escaped.
func TestCompactTextEscapesNothingThatNeedNotBe(t *testing.T) {
	tests := []struct{ text, want string }{
		{" { \"b\" : [ 1 , 2.50 , -0 , 1E5 ] ,\n\t\"a\" : { } , \"\" : [ ] } ", `{"b":[1,2.50,-0,1E5],"a":{},"":[]}`},
		{`["<a href='x'>&</a>","\u003c"]`, `["<a href='x'>&</a>","<"]`},
		{`["\u2028\u2029é😀\u007f"]`, "[\"\u2028\u2029é😀\x7f\"]"},
		{`["a\/b\"\\\b\f\n\r\t\u0001\u001F"]`, `["a/b\"\\\b\f\n\r\t\u0001\u001f"]`},
		{`["a\u0000b",{"k\u0000":"\ud800"}]`, "[\"ab\",{\"k\":\"\ufffd\"}]"},
		{"[\"\xff\\\"\"]", "[\"\ufffd\\\"\"]"},
		{`[true,false,null,[[],[{}]]]`, `[true,false,null,[[],[{}]]]`},
	}
	for _, test := range tests {
		if got := string(mustParse(t, test.text).AppendCompact(nil)); got != test.want {
			t.Errorf("%s\n is %s\nwant %s", test.text, got, test.want)
		}
	}
}

func TestAnAbsentValueGivesNothing(t *testing.T) {
	var v Value
	for range v.Fields() {
		t.Error("a field")
	}
	for range v.Elements() {
		t.Error("an element")
	}
	if v.Kind() != Absent || v.Exists() || v.Raw() != "" || v.Text() != "" || v.Field("a").Exists() || !v.Empty() || len(v.AppendCompact(nil)) != 0 {
		t.Error("an absent value gives something")
	}
	if _, ok := v.Time(); ok {
		t.Error("an absent value is a time")
	}
	if v := mustParse(t, "null"); v.Exists() || v.Kind() != Null {
		t.Error("null exists")
	}
}

func TestNestingIsFollowedAsDeepAsACallCanGo(t *testing.T) {
	nested := func(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }
	v := mustParse(t, nested(MaxDepth))
	if got := string(v.AppendCompact(nil)); got != nested(MaxDepth) {
		t.Error("the deepest call is changed")
	}
	if _, ok := ParseJSON(nested(MaxDepth + 1)); ok {
		t.Error("nesting over the bound is taken")
	}
	// Without a bound there is nothing but memory in proportion to the text.
	if _, ok := ParseTop(nested(300_000), 1); !ok {
		t.Error("ParseTop has a bound")
	}
	if _, ok := ParseTop(strings.Repeat(`{"a":`, 300_000), 1); ok {
		t.Error("an open end is taken")
	}
}

// FuzzParseJSON holds the reader against encoding/json: the same texts are
// JSON, and what is written compactly says the same.
func FuzzParseJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,2.5e-3,"x\u00e9\ud83d",{"b":null}],"a":true}`, ` [ ] `, `{}`, `"\u12"`, `01`, `-`, `1.`, `1e`, `[1,]`, `{"a"}`, `{"a":1,}`,
		`{,}`, `nul`, "\"\x01\"", "\"\xff\"", `[[[[`, `}`, ``, `1 2`, "\ufeff{}", `{"a":{"a":{"a":[]}}}`, `-0.0E+00`, `"\ud800\udc00"`, `"\`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, ok := ParseJSON(text)
		if valid := json.Valid([]byte(text)); ok != valid && strings.Count(text, "[")+strings.Count(text, "{") < 10_000 {
			t.Fatalf("JSON: %v, encoding/json says %v", ok, valid)
		}
		if top, topOK := ParseTop(text, 1); ok && (!topOK || top.Raw() != v.Raw()) {
			t.Fatal("ParseTop reads it differently")
		}
		if !ok {
			return
		}
		compact := v.AppendCompact(nil)
		if !utf8.Valid(compact) {
			t.Fatalf("not UTF-8: %q", compact)
		}
		again, ok := ParseJSON(string(compact))
		if !ok || string(again.AppendCompact(nil)) != string(compact) {
			t.Fatalf("compact text is not its own compact text: %s", compact)
		}
		if strings.Contains(text, `\u0000`) {
			return // encoding/json keeps a NUL
		}
		var want, got any
		if json.Unmarshal([]byte(text), &want) == nil {
			if err := json.Unmarshal(compact, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("compact text says something else (-want +got):\n%s", diff)
			}
		}
	})
}

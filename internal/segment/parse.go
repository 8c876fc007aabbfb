package segment

import (
	"math"
	"math/bits"
)

// MaxDepth is how deep ParseJSON follows nesting. A call of MaxCallBytes cannot
// nest deeper (each level takes two bytes), so no call that is within the limits
// is refused for it.
const MaxDepth = MaxCallBytes / 2

// ParseJSON reads a JSON text (RFC 8259). ok is false when it is none or nests
// deeper than MaxDepth.
func ParseJSON(text string) (v Value, ok bool) {
	p := parser{text: text, keep: math.MaxInt, limit: MaxDepth}
	return p.parse()
}

// ParseTop reads a JSON text of any nesting, but keeps only the values down to
// a level: 0 is the text's own value.
func ParseTop(text string, keep int) (v Value, ok bool) {
	p := parser{text: text, keep: keep, limit: math.MaxInt}
	return p.parse()
}

// parser reads a text in one pass, with a stack of its own instead of recursion,
// so that no nesting can use up the goroutine's.
type parser struct {
	text  string
	at    int
	keep  int // deepest level whose values become nodes
	limit int // deepest level allowed

	nodes []node
	open  []container

	keyStart, keyEnd int32 // of the value to come
	keyPlain         bool
}

// container is an object or array that is not closed yet.
type container struct {
	node  int32 // -1: below the level that is kept
	array bool
}

func (p *parser) parse() (Value, bool) {
	if len(p.text) > math.MaxInt32 {
		return Value{}, false
	}
	// A typical call has one value in about 18 bytes, and a quarter of them at
	// its top: one allocation for most.
	each := 16
	if p.keep <= 3 {
		each = 64
	}
	p.nodes = make([]node, 0, 4+min(len(p.text)/each, 1<<12))
	p.open = make([]container, 0, 16)
	for {
		opened, ok := p.value()
		if !ok {
			return Value{}, false
		}
		if opened {
			continue
		}
		if more, ok := p.next(); !ok {
			return Value{}, false
		} else if !more {
			return Value{&document{p.text, p.nodes}, 0}, true
		}
	}
}

// value reads a whole scalar, an empty container, or the opening of one with
// something in it; then opened is true and the next value is the first inside.
func (p *parser) value() (opened, ok bool) {
	p.skip()
	if p.at == len(p.text) {
		return false, false
	}
	start, plain := p.at, false
	switch c := p.text[p.at]; c {
	case '{', '[':
		return p.enter(c == '[')
	case '"':
		plain, ok = p.str()
	case 't':
		ok = p.word("true")
	case 'f':
		ok = p.word("false")
	case 'n':
		ok = p.word("null")
	default:
		ok = p.number()
	}
	if ok && len(p.open) <= p.keep {
		p.add(start, plain)
	}
	return false, ok
}

// enter reads the opening of a container, and its closing when it is empty.
func (p *parser) enter(array bool) (opened, ok bool) {
	c := container{node: -1, array: array}
	if len(p.open) <= p.keep {
		c.node = int32(len(p.nodes))
		p.add(p.at, false)
	}
	if len(p.open) >= p.limit {
		return false, false
	}
	p.open = append(p.open, c)
	p.at++
	p.skip()
	switch {
	case p.at == len(p.text):
		return false, false
	case array && p.text[p.at] == ']', !array && p.text[p.at] == '}':
		p.close()
		return false, true
	case array:
		return true, true
	}
	return true, p.key()
}

// next reads what follows a value: a comma, or the closings of containers. more
// is false at the end of the text.
func (p *parser) next() (more, ok bool) {
	for len(p.open) > 0 {
		p.skip()
		if p.at == len(p.text) {
			return false, false
		}
		array := p.open[len(p.open)-1].array
		switch c := p.text[p.at]; {
		case c == ',':
			p.at++
			if array {
				return true, true
			}
			p.skip()
			return true, p.key()
		case array && c == ']', !array && c == '}':
			p.close()
		default:
			return false, false
		}
	}
	p.skip()
	return false, p.at == len(p.text)
}

// close ends the innermost container at the bracket that stands here.
func (p *parser) close() {
	p.at++
	if i := p.open[len(p.open)-1].node; i >= 0 {
		p.nodes[i].end = int32(p.at)
		p.nodes[i].after = int32(len(p.nodes))
	}
	p.open = p.open[:len(p.open)-1]
}

// key reads a key and its colon.
func (p *parser) key() bool {
	if p.at == len(p.text) || p.text[p.at] != '"' {
		return false
	}
	start := p.at + 1
	plain, ok := p.str()
	if !ok {
		return false
	}
	p.keyStart, p.keyEnd, p.keyPlain = int32(start), int32(p.at-1), plain
	p.skip()
	if p.at == len(p.text) || p.text[p.at] != ':' {
		return false
	}
	p.at++
	return true
}

// add records the value that began at start and ends here.
func (p *parser) add(start int, plain bool) {
	p.nodes = append(p.nodes, node{
		start: int32(start), end: int32(p.at), after: int32(len(p.nodes) + 1),
		keyStart: p.keyStart, keyEnd: p.keyEnd, keyPlain: p.keyPlain, plain: plain,
	})
}

// skip goes to the next token. Most tokens follow at once.
func (p *parser) skip() {
	if p.at < len(p.text) && p.text[p.at] <= ' ' {
		p.skipBlanks()
	}
}

func (p *parser) skipBlanks() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

func (p *parser) word(word string) bool {
	if len(p.text)-p.at < len(word) || p.text[p.at:p.at+len(word)] != word {
		return false
	}
	p.at += len(word)
	return true
}

// ordinary marks the bytes that mean nothing special within a string: ASCII but
// for control characters, the quote and the backslash.
var ordinary = func() (table [256]bool) {
	for c := byte(' '); c < 0x80; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

// ordinaryRun is how many ordinary bytes text begins with. It looks at eight at
// once, because most of a body is inside of strings.
func ordinaryRun(text string) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; len(text)-i >= 8; i += 8 {
		b := text[i : i+8]
		x := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		quote, backslash := x^ones*'"', x^ones*'\\'
		// The top bit of each byte that is a control character, a quote, a
		// backslash or no ASCII. Above the first of them a borrow may set more.
		special := (x | (x-ones*' ')&^x | (quote-ones)&^quote | (backslash-ones)&^backslash) & tops
		if special != 0 {
			return i + bits.TrailingZeros64(special)/8
		}
	}
	for i < len(text) && ordinary[text[i]] {
		i++
	}
	return i
}

// str reads a string. plain means ASCII without escapes.
func (p *parser) str() (plain, ok bool) {
	text, i := p.text, p.at+1
	plain = true
	for {
		i += ordinaryRun(text[i:])
		if i == len(text) {
			return false, false
		}
		switch c := text[i]; {
		case c == '"':
			p.at = i + 1
			return plain, true
		case c == '\\':
			n := escapeLength(text[i+1:])
			if n == 0 {
				return false, false
			}
			i += n
		case c < ' ':
			return false, false
		}
		plain = false
		i++
	}
}

// escapeLength is the length of the escape at the front of text, after the
// backslash; 0 when it is none.
func escapeLength(text string) int {
	if text == "" {
		return 0
	}
	switch text[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1
	case 'u':
		if len(text) < 5 {
			return 0
		}
		for _, c := range []byte(text[1:5]) {
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
				return 0
			}
		}
		return 5
	}
	return 0
}

func (p *parser) number() bool {
	if p.at < len(p.text) && p.text[p.at] == '-' {
		p.at++
	}
	leading := p.at
	n := p.digits()
	if n == 0 || n > 1 && p.text[leading] == '0' {
		return false
	}
	if p.at < len(p.text) && p.text[p.at] == '.' {
		p.at++
		if p.digits() == 0 {
			return false
		}
	}
	if p.at < len(p.text) && (p.text[p.at] == 'e' || p.text[p.at] == 'E') {
		p.at++
		if p.at < len(p.text) && (p.text[p.at] == '+' || p.text[p.at] == '-') {
			p.at++
		}
		return p.digits() > 0
	}
	return true
}

// digits reads decimal digits and says how many there were.
func (p *parser) digits() int {
	start := p.at
	for p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at - start
}

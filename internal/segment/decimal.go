package segment

import (
	"strconv"
	"strings"
)

// decimal is a number in decimal digits: 0.DIGITS times ten to the point. No
// float64 comes near it, so that nothing is rounded.
type decimal struct {
	negative bool
	digits   string // without zeros at either end; empty: zero
	point    int    // how many digits stand before the point; may be negative
}

// parseDecimal reads a number in JSON's form. Leading zeros are allowed.
func parseDecimal(text string) (d decimal, ok bool) {
	s := scanner{text}
	d.negative = s.byte('-')
	whole := s.digits(1, len(text))
	if whole == "" {
		return d, false
	}
	fraction := ""
	if s.byte('.') {
		if fraction = s.digits(1, len(text)); fraction == "" {
			return d, false
		}
	}
	exponent := 0
	if s.byte('e') || s.byte('E') {
		negative := s.byte('-')
		if !negative {
			s.byte('+')
		}
		digits := s.digits(1, len(text))
		if digits == "" {
			return d, false
		}
		exponent = smallInt(digits)
		if negative {
			exponent = -exponent
		}
	}
	if s.rest != "" {
		return d, false
	}
	d.digits = whole
	if fraction != "" {
		d.digits += fraction
	}
	d.point = len(whole) + exponent
	trimmed := strings.TrimLeft(d.digits, "0")
	d.point -= len(d.digits) - len(trimmed)
	d.digits = strings.TrimRight(trimmed, "0")
	if d.digits == "" {
		return decimal{}, true
	}
	return d, true
}

// smallInt reads digits; what is over a billion is a billion, which is beyond
// every limit that matters here.
func smallInt(digits string) int {
	const limit = 1_000_000_000
	digits = strings.TrimLeft(digits, "0")
	if len(digits) > 9 {
		return limit
	}
	n, _ := strconv.Atoi("0" + digits)
	return n
}

// shifted is the magnitude times ten to the shift, what is after the point cut
// off. fits is false when it is no int64.
func (d decimal) shifted(shift int) (n int64, fits bool) {
	point := d.point + shift
	if d.digits == "" || point <= 0 {
		return 0, true
	}
	if point > 18 {
		return 0, false
	}
	for i := range point {
		n *= 10
		if i < len(d.digits) {
			n += int64(d.digits[i] - '0')
		}
	}
	return n, true
}

// PlainNumber writes a number, given in JSON's form, in plain decimal digits:
// no exponent, no zeros after the last digit of a fraction, "-0" as "0". A
// number that would take more than most characters, or that is none, is given
// as it came (X7): a number that is cut later is another number.
func PlainNumber(number string, most int) string {
	d, ok := parseDecimal(number)
	if !ok {
		return number
	}
	if d.digits == "" {
		return "0"
	}
	length, after := max(d.point, 1), len(d.digits)-d.point
	if after > 0 {
		length += 1 + after
	}
	if d.negative {
		length++
	}
	if length > most {
		return number
	}
	var b strings.Builder
	if d.negative {
		b.WriteByte('-')
	}
	switch {
	case d.point <= 0:
		b.WriteString("0.")
		b.WriteString(strings.Repeat("0", -d.point))
		b.WriteString(d.digits)
	case len(d.digits) <= d.point:
		b.WriteString(d.digits)
		b.WriteString(strings.Repeat("0", d.point-len(d.digits)))
	default:
		b.WriteString(d.digits[:d.point])
		b.WriteByte('.')
		b.WriteString(d.digits[d.point:])
	}
	return b.String()
}

package segment

import (
	"math"
	"strings"
	"time"
)

// ParseTime reads a time as senders write it (X9). It takes
//   - ISO 8601: the year in four digits, month, day and hour unpadded or padded;
//     "T" or one blank; seconds and their fraction may be absent, and so may the
//     time of day; the offset is Z, ±hh:mm, ±hhmm or ±hh, UTC when absent;
//   - digits with or without a fraction: the epoch, as ParseEpoch.
//
// Blanks around the text are trimmed, digits beyond the microsecond are cut. A
// date or time of day that does not exist is no time. The result is in UTC, in
// the years from 0 on.
func ParseTime(text string) (t time.Time, ok bool) {
	text = strings.TrimSpace(text)
	s := scanner{text}
	if digits := s.digits(1, len(text)); digits != "" && (s.rest == "" || s.rest[0] == '.') {
		if s.rest == "" || s.byte('.') && s.digits(1, len(text)) != "" && s.rest == "" {
			return ParseEpoch(text)
		}
		return time.Time{}, false
	}
	return parseISO(text)
}

// ParseEpoch reads a number, in JSON's form, as the time since 1970: seconds
// when its magnitude is below 1e11, else milliseconds (X9). Digits beyond the
// microsecond are cut. A time after the year 9999 is given as the end of it.
func ParseEpoch(number string) (t time.Time, ok bool) {
	d, ok := parseDecimal(number)
	if !ok {
		return time.Time{}, false
	}
	shift := 6 // to microseconds
	if d.point > 11 {
		shift = 3
	}
	micros, fits := d.shifted(shift)
	const lastMicro = 253402300799999999
	switch {
	case d.negative && (!fits || micros > -firstMicro):
		return time.Time{}, false
	case d.negative:
		micros = -micros
	case !fits || micros > lastMicro:
		micros = lastMicro
	}
	return time.UnixMicro(micros).UTC(), true
}

// firstMicro is the start of the year 0, before which ISO 8601 and so JSON
// cannot write a time.
const firstMicro = -62167219200000000

// Time reads a value as a time: text as ParseTime, a number as ParseEpoch.
func (v Value) Time() (t time.Time, ok bool) {
	switch v.Kind() {
	case String:
		return ParseTime(v.Text())
	case Number:
		return ParseEpoch(v.Raw())
	}
	return time.Time{}, false
}

// parseISO reads the ISO 8601 forms of ParseTime.
func parseISO(text string) (t time.Time, ok bool) {
	s := scanner{text}
	year := s.number(4, 4)
	ok = s.byte('-')
	month := s.number(1, 2)
	ok = ok && s.byte('-')
	day := s.number(1, 2)
	if !ok || year < 0 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return time.Time{}, false
	}
	var hour, minute, second, nanos, offset int
	if s.rest != "" {
		if !s.byte('T') && !s.byte(' ') {
			return time.Time{}, false
		}
		hour = s.number(1, 2)
		ok = s.byte(':')
		minute = s.number(2, 2)
		if s.byte(':') {
			second = s.number(2, 2)
			nanos = s.fraction()
		}
		offset = s.offset()
		if !ok || s.rest != "" || out(hour, 23) || out(minute, 59) || out(second, 59) || nanos < 0 || offset == badOffset {
			return time.Time{}, false
		}
	}
	t = time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC).Add(-time.Duration(offset) * time.Second)
	return t, t.Year() >= 0
}

func out(n, limit int) bool { return n < 0 || n > limit }

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// scanner takes a text apart from the front.
type scanner struct{ rest string }

// byte takes one byte.
func (s *scanner) byte(c byte) bool {
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// digits takes at least low and at most high digits; "" when there are fewer.
func (s *scanner) digits(low, high int) string {
	n := 0
	for n < high && n < len(s.rest) && '0' <= s.rest[n] && s.rest[n] <= '9' {
		n++
	}
	if n < low {
		return ""
	}
	digits := s.rest[:n]
	s.rest = s.rest[n:]
	return digits
}

// number takes a number of low to high digits; -1 when there is none.
func (s *scanner) number(low, high int) int {
	digits := s.digits(low, high)
	if digits == "" {
		return -1
	}
	n := 0
	for _, c := range []byte(digits) {
		n = n*10 + int(c-'0')
	}
	return n
}

// fraction takes a fraction of a second, if there is one, in nanoseconds, cut
// to the microsecond; -1 when it has no digits.
func (s *scanner) fraction() int {
	if !s.byte('.') {
		return 0
	}
	digits := s.digits(1, len(s.rest))
	if digits == "" {
		return -1
	}
	n := 0
	for i := range 6 {
		n *= 10
		if i < len(digits) {
			n += int(digits[i] - '0')
		}
	}
	return n * 1000
}

// badOffset marks an offset that is none.
const badOffset = math.MinInt

// offset takes what may end a time, in seconds east of UTC.
func (s *scanner) offset() int {
	sign := 1
	switch {
	case s.rest == "" || s.byte('Z'):
		return 0
	case s.byte('-'):
		sign = -1
	case !s.byte('+'):
		return badOffset
	}
	hours, minutes := s.number(2, 2), 0
	if s.byte(':') || s.rest != "" {
		minutes = s.number(2, 2)
	}
	if out(hours, 23) || out(minutes, 59) {
		return badOffset
	}
	return sign * (hours*60 + minutes) * 60
}

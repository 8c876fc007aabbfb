//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// errAnswer means that what came back is not HTTP/1.1 as this reads it.
var errAnswer = errors.New("not an answer this can read")

// answer is one response that arrives in pieces. It keeps no more of it than
// the head.
type answer struct {
	head    [16 << 10]byte
	have    int // bytes in head
	status  int // 0 until the head is complete
	left    int // bytes of the body to come
	chunked bool
	tail    [5]byte // last bytes of a chunked body
	closing bool    // the server ends the connection
}

// take reads what arrived and reports whether the response is complete. What
// follows it is refused: nothing was asked yet.
func (a *answer) take(b []byte) (complete bool, err error) {
	if a.status == 0 {
		if a.have+len(b) > len(a.head) {
			return false, fmt.Errorf("%w: the head is too long", errAnswer)
		}
		before := a.have
		a.have += copy(a.head[a.have:], b)
		end := bytes.Index(a.head[max(before-3, 0):a.have], []byte("\r\n\r\n"))
		if end < 0 {
			return false, nil
		}
		end += max(before-3, 0) + 4
		if err := a.readHead(string(a.head[:end])); err != nil {
			return false, err
		}
		b = b[end-before:]
	}
	if a.chunked {
		if keep := len(a.tail) - len(b); keep > 0 {
			copy(a.tail[:], a.tail[len(b):])
			copy(a.tail[keep:], b)
		} else {
			copy(a.tail[:], b[len(b)-len(a.tail):])
		}
		return string(a.tail[:]) == "0\r\n\r\n", nil
	}
	if a.left -= len(b); a.left < 0 {
		return false, fmt.Errorf("%w: %d bytes too many", errAnswer, -a.left)
	}
	return a.left == 0, nil
}

// readHead reads the status and how the body ends.
func (a *answer) readHead(head string) error {
	line, head, _ := strings.Cut(head, "\r\n")
	if len(line) < len("HTTP/1.1 200") || !strings.HasPrefix(line, "HTTP/1.1 ") {
		return fmt.Errorf("%w: %q", errAnswer, line)
	}
	status, err := strconv.Atoi(line[9:12])
	if err != nil {
		return fmt.Errorf("%w: %q", errAnswer, line)
	}
	a.status, a.left = status, -1
	for head != "" {
		line, head, _ = strings.Cut(head, "\r\n")
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.EqualFold(name, "Content-Length"):
			if a.left, err = strconv.Atoi(value); err != nil {
				return fmt.Errorf("%w: %q", errAnswer, line)
			}
		case strings.EqualFold(name, "Transfer-Encoding"):
			a.chunked = strings.EqualFold(value, "chunked")
		case strings.EqualFold(name, "Connection"):
			a.closing = strings.EqualFold(value, "close")
		}
	}
	switch {
	case status == 204 || status == 304:
		a.left, a.chunked = 0, false
	case a.left < 0 && !a.chunked:
		return fmt.Errorf("%w: it does not say where it ends", errAnswer)
	}
	return nil
}

// reset makes ready for the next response.
func (a *answer) reset() { a.have, a.status, a.left, a.chunked, a.closing = 0, 0, 0, false, false }

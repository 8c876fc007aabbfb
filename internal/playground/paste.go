package playground

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"causeway/internal/segment"
)

// Values reads whatever a person pastes: JSON values one after another, so one
// value, NDJSON, or several that are pretty-printed. An array counts as its
// elements. Each comes as it stood, blanks and numbers included (X14).
//
// An error ends the sequence and says where the text stops being JSON.
func Values(r io.Reader) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		lines := &lineCounter{r: bufio.NewReaderSize(r, 64<<10)}
		decoder := json.NewDecoder(lines)
		for {
			var value json.RawMessage
			err := decoder.Decode(&value)
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(nil, lines.explain(err, decoder))
				return
			}
			if value[0] != '[' {
				if !yield(value, nil) {
					return
				}
				continue
			}
			var elements []json.RawMessage
			if err := json.Unmarshal(value, &elements); err != nil {
				yield(nil, err)
				return
			}
			for _, element := range elements {
				if !yield(element, nil) {
					return
				}
			}
		}
	}
}

// lineCounter remembers where the lines of what was read begin, so that an
// error can name one. It drops a byte order mark at the front.
type lineCounter struct {
	r     *bufio.Reader
	begun bool
	bytes int64
	ends  []int64
}

func (l *lineCounter) Read(p []byte) (int, error) {
	if !l.begun {
		l.begun = true
		if mark, _ := l.r.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
			_, _ = l.r.Discard(3)
		}
	}
	n, err := l.r.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			l.ends = append(l.ends, l.bytes+int64(i))
		}
	}
	l.bytes += int64(n)
	return n, err
}

func (l *lineCounter) explain(err error, decoder *json.Decoder) error {
	at := decoder.InputOffset()
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		at = l.bytes
	case errors.As(err, &syntax):
		at = max(at, syntax.Offset)
	}
	line := 1
	for _, end := range l.ends {
		if end < at-1 {
			line++
		}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("line %d: the JSON ends too early", line)
	}
	if syntax == nil {
		return err
	}
	return fmt.Errorf("line %d: not JSON: %w", line, err)
}

// Calls reads Segment calls: single ones, arrays, NDJSON and batches of the
// tracking API, mixed as they come. Of the limits of the doors only that of one
// call applies (X14), so a file may be longer than a request.
func Calls(r io.Reader) iter.Seq2[segment.Item, error] {
	return func(yield func(segment.Item, error) bool) {
		for value, err := range Values(r) {
			if err != nil {
				yield(segment.Item{}, err)
				return
			}
			batch, ok := openBatch(value)
			if !ok {
				if !yield(segment.Item{JSON: value, Size: len(value)}, nil) {
					return
				}
				continue
			}
			context, integrations := ofAll(batch.Field("context")), ofAll(batch.Field("integrations"))
			for call := range batch.Field("batch").Elements() {
				raw := call.Raw()
				if !yield(segment.Item{JSON: []byte(raw), Size: len(raw), Context: context, Integrations: integrations}, nil) {
					return
				}
			}
		}
	}
}

// openBatch tells the tracking API's envelope from a call that has a field
// named batch: an envelope has no type of its own.
func openBatch(value json.RawMessage) (segment.Value, bool) {
	if !bytes.Contains(value, []byte(`"batch"`)) {
		return segment.Value{}, false
	}
	batch, ok := segment.ParseTop(string(value), 3) // the envelope, the list, its calls
	return batch, ok && batch.Field("batch").Kind() == segment.Array && !batch.Field("type").Exists()
}

// ofAll is what a batch says of all its calls. One that no call could carry is
// left out, as the tracking API's door does.
func ofAll(v segment.Value) segment.Value {
	if v.Kind() != segment.Object || len(v.Raw()) > segment.MaxCallBytes {
		return segment.Value{}
	}
	whole, _ := segment.ParseJSON(v.Raw()) // it is JSON: it was read before
	return whole
}

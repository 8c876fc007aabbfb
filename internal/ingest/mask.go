package ingest

import (
	"bytes"

	"causeway/internal/catalog"
)

var writeKeyName = []byte(`"writeKey"`)

// mask overwrites the values of members named writeKey that are known keys, so
// that the stored body holds no credential. Lengths stay, because the limit of
// a call counts its bytes as they came (R21). Segment's libraries write the key
// without escapes; who escapes it gives away his own.
func mask(body []byte, snapshot *catalog.Snapshot) {
	known := func(key string) bool {
		_, ok := snapshot.DestinationByKey(key)
		return ok
	}
	var last []byte // a batch usually names one key many times
	for rest := body; ; {
		i := bytes.Index(rest, writeKeyName)
		if i < 0 {
			return
		}
		rest = rest[i+len(writeKeyName):]
		value := bytes.TrimLeft(rest, " \t\r\n")
		if len(value) == 0 || value[0] != ':' {
			continue
		}
		value = bytes.TrimLeft(value[1:], " \t\r\n")
		if len(value) == 0 || value[0] != '"' {
			continue
		}
		value = value[1:]
		end := bytes.IndexByte(value, '"')
		if end < 0 {
			continue
		}
		if value = value[:end]; bytes.Equal(value, last) || known(string(value)) {
			last = bytes.Clone(value)
			for i := range value {
				value[i] = '*'
			}
		}
	}
}

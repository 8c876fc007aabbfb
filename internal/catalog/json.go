package catalog

import (
	"bytes"
	"encoding/json"
	"errors"

	"go.yaml.in/yaml/v3"
)

// jsonNodes reads JSON, which was found valid, into the nodes that the same
// YAML would give. YAML calls itself a superset of JSON, but its parser takes
// neither "\/" nor surrogate pairs nor long keys, and folds some characters.
func jsonNodes(data []byte) (*yaml.Node, error) {
	r := jsonReader{data: data, decoder: json.NewDecoder(bytes.NewReader(data)), at: position{1, 1}}
	r.decoder.UseNumber()
	return r.node()
}

type jsonReader struct {
	data    []byte
	decoder *json.Decoder
	offset  int      // how far at has come
	at      position // of data[offset]
}

// advance moves to the start of the next token and returns its position.
func (r *jsonReader) advance() position {
	start := int(r.decoder.InputOffset())
	for start < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,:"), r.data[start]) >= 0 {
		start++
	}
	for ; r.offset < start; r.offset++ {
		switch b := r.data[r.offset]; {
		case b == '\n':
			r.at = position{r.at.line + 1, 1}
		case b&0xc0 != 0x80: // not the middle of a character
			r.at.column++
		}
	}
	return r.at
}

func (r *jsonReader) node() (*yaml.Node, error) {
	start := r.advance()
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: start.line, Column: start.column}
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case string:
		n.Tag, n.Value = "!!str", t
	case json.Number:
		n.Tag, n.Value = "!!float", t.String()
	case bool:
		n.Tag, n.Value = "!!bool", map[bool]string{true: "true", false: "false"}[t]
	case nil:
		n.Tag, n.Value = "!!null", "null"
	case json.Delim:
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		if t == '{' {
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		}
		return n, r.content(n)
	default:
		return nil, errors.New("a token of no known kind")
	}
	return n, nil
}

// content reads what is in an object or array: keys and values in turn, or elements.
func (r *jsonReader) content(n *yaml.Node) error {
	for r.decoder.More() {
		child, err := r.node()
		if err != nil {
			return err
		}
		n.Content = append(n.Content, child)
	}
	_, err := r.decoder.Token() // the closing bracket
	return err
}

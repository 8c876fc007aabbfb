package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// parse reads the text into nodes.
func parse(file string, data []byte) (*yaml.Node, *Finding) {
	fail := func(f Finding) (*yaml.Node, *Finding) {
		f.File = file
		return nil, &f
	}
	switch {
	case len(data) > MaxFileBytes:
		return fail(Finding{
			Message: fmt.Sprintf("the file has %d bytes; at most %d are read", len(data), MaxFileBytes),
			Fix:     "Split the file over several servers, or leave out what is not used.",
		})
	case !utf8.Valid(data):
		return fail(Finding{Message: "the file is not UTF-8 text", Fix: "Save the file as UTF-8."})
	}
	root, more, err := nodes(data)
	switch {
	case errors.Is(err, io.EOF):
		return fail(Finding{Line: 1, Column: 1, Message: "the file is empty", Fix: "Write projects: [] if there are to be none."})
	case err != nil:
		line, message := syntaxError(data, err)
		return fail(Finding{Line: line, Message: message, Fix: "Correct the YAML; a text that begins with \"${\" or has \": \" or \" #\" in it needs quotes."})
	case more != nil:
		return fail(Finding{Line: more.Line, Column: more.Column, Message: "the file has more than one YAML document", Fix: "Put everything into one document, without \"---\" between."})
	}
	if n := deep(root, maxDepth); n != nil {
		return fail(Finding{Line: n.Line, Column: n.Column, Message: fmt.Sprintf("the file is nested more than %d deep", maxDepth), Fix: "A configuration file needs less than ten levels."})
	}
	return root, nil
}

// nodes reads JSON or else YAML. more is a second document; io.EOF: there is not one.
func nodes(data []byte) (root, more *yaml.Node, err error) {
	if json.Valid(data) {
		root, err = jsonNodes(data)
		return root, nil, err
	}
	var first, second yaml.Node
	reader := yaml.NewDecoder(bytes.NewReader(data))
	if err := reader.Decode(&first); err != nil {
		return nil, nil, err
	}
	switch err := reader.Decode(&second); {
	case errors.Is(err, io.EOF):
		return first.Content[0], nil, nil
	case err != nil:
		return nil, nil, err
	}
	return first.Content[0], &second, nil
}

// deep finds a node that is more than so many levels below n; nil: none is.
func deep(n *yaml.Node, levels int) *yaml.Node {
	if levels < 0 {
		return n
	}
	for _, child := range n.Content {
		if found := deep(child, levels-1); found != nil {
			return found
		}
	}
	return nil
}

var yamlErrorLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntaxError says what the YAML parser found wrong, and in which line.
func syntaxError(data []byte, err error) (line int, message string) {
	match := yamlErrorLine.FindStringSubmatch(err.Error())
	message = strings.TrimPrefix(err.Error(), match[0])
	line, _ = strconv.Atoi(match[1]) // not there: 0
	if len(data) <= maxSearched {
		line = failingLine(data, message)
	}
	return line, "the file is not YAML or JSON: " + strings.ReplaceAll(message, "\n", " ")
}

// maxSearched is the size of the largest file whose failing line is searched for.
const maxSearched = 256 << 10

// failingLine is the first line with which the file fails as it does as a
// whole. The parser's own line is often the one where the mapping or list
// around the mistake began, or one off, or not given.
func failingLine(data []byte, message string) int {
	var ends []int
	for i, b := range data {
		if b == '\n' {
			ends = append(ends, i+1)
		}
	}
	return 1 + sort.Search(len(ends), func(i int) bool {
		_, _, err := nodes(data[:ends[i]])
		return err != nil && strings.TrimPrefix(err.Error(), yamlErrorLine.FindString(err.Error())) == message
	})
}

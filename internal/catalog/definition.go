package catalog

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Definition is a flag's definition as Split SDKs are served it, from
// elsewhere and word for word: a JSON object of map[string]any, []any, string,
// json.Number and bool. It holds no null: a key with null counts as left out.
// The zero Definition is none.
type Definition map[string]any

var definitionType = reflect.TypeFor[Definition]()

// mapTexts copies the definition with every text replaced by what f gives for it.
func (d Definition) mapTexts(f func(string) string) Definition {
	if len(d) == 0 {
		return nil
	}
	return mapTree(map[string]any(d), f).(map[string]any)
}

func mapTree(v any, f func(string) string) any {
	switch v := v.(type) {
	case string:
		return f(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = mapTree(value, f)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = mapTree(value, f)
		}
		return out
	}
	return v
}

// MarshalYAML writes numbers as numbers and not, as json.Number would be, as
// quoted texts.
func (d Definition) MarshalYAML() (any, error) { return yamlTree(map[string]any(d)), nil }

func yamlTree(v any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode}
	switch v := v.(type) {
	case map[string]any:
		n.Kind = yaml.MappingNode
		for _, key := range slices.Sorted(maps.Keys(v)) {
			n.Content = append(n.Content, textNode(key), yamlTree(v[key]))
		}
	case []any:
		n.Kind = yaml.SequenceNode
		for _, value := range v {
			n.Content = append(n.Content, yamlTree(value))
		}
	case json.Number:
		n.Value = v.String()
		n.Tag = "!!float"
		if !strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!int"
		}
	case bool:
		n.Value, n.Tag = strconv.FormatBool(v), "!!bool"
	case string:
		return textNode(v)
	}
	return n
}

func textNode(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	if n.Style == 0 {
		n.Style = yaml.DoubleQuotedStyle // or a text that looks like a number would be one
	}
	return n
}

// definition decodes a definition: the one part of the file whose keys are not
// all known here.
func (d *decoder) definition(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "Write the object that Split SDKs are served for one flag, as YAML or JSON.", "%s is %s, not a mapping", lastName(path), kindOf(n))
		return
	}
	if tree, ok := d.tree(n, path, depth).(map[string]any); ok {
		v.Set(reflect.ValueOf(Definition(tree)))
	}
}

// tree decodes any JSON value. nil: there is none, or what is wrong was reported.
func (d *decoder) tree(n *yaml.Node, path string, depth int) any {
	d.positions[path] = at(n)
	n, leave, ok := d.follow(n, path, depth)
	if !ok {
		return nil
	}
	defer leave()
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any)
		for _, p := range d.pairs(n, path, depth) {
			if value := d.tree(p.value, join(path, p.key.Value), depth+1); value != nil {
				m[p.key.Value] = value
			}
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, item := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			value := d.tree(item, at, depth+1)
			if value == nil && d.aliased < maxAliased {
				if item.Kind == yaml.ScalarNode && item.ShortTag() == "!!null" {
					d.wrong(item, at, "Take it out of the list.", "an element of a list is nothing")
				}
				value = "" // it is wrong, and the others keep their places
			}
			list = append(list, value)
		}
		return list
	}
	return d.leaf(n, path)
}

// leaf decodes a text, number, truth or nothing.
func (d *decoder) leaf(n *yaml.Node, path string) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!int", "!!float":
		if !json.Valid([]byte(n.Value)) {
			d.wrong(n, path, "Write the number in digits, as JSON has it.", "the number %s cannot be written in JSON", quoted(n.Value))
			return nil
		}
		return json.Number(n.Value)
	case "!!bool":
		var truth bool
		if n.Decode(&truth) == nil {
			return truth
		}
	}
	text, _, ok := d.text(n, path)
	if !ok {
		return nil
	}
	return text
}

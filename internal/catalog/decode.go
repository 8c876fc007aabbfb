package catalog

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of a configuration file. They are far above what a person writes and
// keep a hostile file from costing more than its size.
const (
	MaxFileBytes = 8 << 20
	maxDepth     = 100    // of mappings and lists in each other
	maxAliased   = 100000 // keys and values reached through aliases
)

// Decode reads a configuration file, YAML or JSON, and reports everything that
// is wrong with it. With findings, the document holds what could be read and
// must not be applied.
//
// file is the name that findings show. environ looks up the ${NAME} variables,
// as os.LookupEnv does; nil: a variable is a finding.
func Decode(file string, data []byte, environ func(string) (string, bool)) (*Document, []Finding) {
	doc, found := decode(file, data, environ)
	if len(found) > 0 && doc.source == nil { // not even a mapping
		return doc, found
	}
	all := &findings{source: doc.source, list: found, form: found}
	check(doc, all)
	return doc, all.sorted()
}

// decode reads the form of a file: keys and types, without what they mean.
func decode(file string, data []byte, environ func(string) (string, bool)) (*Document, []Finding) {
	doc := &Document{}
	root, problem := parse(file, data)
	if problem != nil {
		return doc, []Finding{*problem}
	}
	doc.source = &source{file: file, positions: make(map[string]position)}
	d := &decoder{environ: environ, positions: doc.source.positions, findings: findings{source: doc.source}}
	d.value(root, reflect.ValueOf(doc).Elem(), "", 0)
	if doc.Projects == nil && len(d.list) == 0 {
		d.add("projects", "Write projects: [] if there are to be none.", "the key projects is missing or empty")
	}
	return doc, d.sorted()
}

// decoder walks the nodes and the document's types side by side.
type decoder struct {
	findings
	environ   func(string) (string, bool)
	positions map[string]position
	aliased   int // nodes reached through aliases so far
	inAlias   bool
}

func at(n *yaml.Node) position { return position{n.Line, n.Column} }

// wrong reports something about a node.
func (d *decoder) wrong(n *yaml.Node, path, fix, format string, args ...any) {
	d.addAt(at(n), path, fix, format, args...)
}

// value decodes a node into v. An absent value (null) leaves v as it is.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, depth int) {
	d.positions[path] = at(n)
	n, leave, ok := d.follow(n, path, depth)
	if !ok {
		return
	}
	defer leave()
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return
	}
	d.fill(n, v, path, depth)
}

// fill decodes a node that is there into v.
func (d *decoder) fill(n *yaml.Node, v reflect.Value, path string, depth int) {
	switch {
	case v.Type() == secretType:
		d.secret(n, v, path)
	case v.Type() == definitionType:
		d.definition(n, v, path, depth)
	case v.Kind() == reflect.Pointer:
		element := reflect.New(v.Type().Elem())
		d.fill(n, element.Elem(), path, depth)
		v.Set(element)
	case v.Kind() == reflect.Int:
		d.number(n, v, path)
	case v.Kind() == reflect.Float64:
		d.fraction(n, v, path)
	case v.Kind() == reflect.String:
		if text, _, ok := d.text(n, path); ok {
			v.SetString(text)
		}
	case v.Kind() == reflect.Bool:
		d.truth(n, v, path)
	case v.Kind() == reflect.Slice:
		d.sequence(n, v, path, depth)
	case v.Kind() == reflect.Map:
		d.texts(n, v, path, depth)
	default:
		d.mapping(n, v, path, depth)
	}
}

// follow goes from an alias to what it stands for, within the bounds. leave
// must be called when the value was read.
func (d *decoder) follow(n *yaml.Node, path string, depth int) (to *yaml.Node, leave func(), ok bool) {
	if depth > maxDepth {
		d.wrong(n, path, "Write it out without anchors that hold themselves.", "the file is nested more than %d deep", maxDepth)
		return nil, nil, false
	}
	outer := d.inAlias
	for n.Kind == yaml.AliasNode {
		n, d.inAlias = n.Alias, true
	}
	if d.inAlias {
		before := d.aliased
		d.aliased += 1 + len(n.Content)
		if before < maxAliased && d.aliased >= maxAliased {
			d.wrong(n, path, "Write it out without aliases.", "the file's aliases stand for more than %d keys and values", maxAliased)
		}
		if d.aliased >= maxAliased {
			d.inAlias = outer
			return nil, nil, false
		}
	}
	return n, func() { d.inAlias = outer }, true
}

// text reads a text and tells which variables it took.
func (d *decoder) text(n *yaml.Node, path string) (text string, variables []string, ok bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		fix := "Write a single text."
		if n.Kind == yaml.ScalarNode {
			fix = "Put the value in quotes."
		}
		d.wrong(n, path, fix, "%s is %s, not text", lastName(path), kindOf(n))
		return "", nil, false
	}
	text, variables, problems := expand(n.Value, d.environ)
	for _, p := range problems {
		d.wrong(n, path, p.fix, "%s", p.message)
	}
	return text, variables, len(problems) == 0
}

// secret reads a secret. Its text must not come into a finding.
func (d *decoder) secret(n *yaml.Node, v reflect.Value, path string) {
	text, variables, ok := d.text(n, path)
	if !ok {
		// Not "left out": what is wrong with it was said.
		v.Set(reflect.ValueOf(unreadable()))
		return
	}
	if text == "" && len(variables) > 0 {
		d.wrong(n, path, fmt.Sprintf("Give %s a value, or leave the key out of the file.", variables[0]), "environment variable %s is set but empty", variables[0])
		v.Set(reflect.ValueOf(unreadable()))
		return
	}
	v.Set(reflect.ValueOf(NewSecret(text)))
}

func (d *decoder) truth(n *yaml.Node, v reflect.Value, path string) {
	var truth bool
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Decode(&truth) != nil {
		d.wrong(n, path, "Write true or false, without quotes.", "%s is %s, not true or false", lastName(path), kindOf(n))
		return
	}
	v.SetBool(truth)
}

func (d *decoder) number(n *yaml.Node, v reflect.Value, path string) {
	number, err := strconv.ParseInt(n.Value, 10, 32)
	if !isNumber(n) || err != nil {
		d.wrong(n, path, "Write a whole number, without quotes.", "%s is %s, not a whole number", lastName(path), numberOrKind(n))
		return
	}
	v.SetInt(number)
}

// fraction reads any finite number.
func (d *decoder) fraction(n *yaml.Node, v reflect.Value, path string) {
	number, err := strconv.ParseFloat(n.Value, 64)
	if !isNumber(n) || err != nil || math.IsInf(number, 0) || math.IsNaN(number) {
		d.wrong(n, path, "Write a number, without quotes.", "%s is %s, not a number in range", lastName(path), numberOrKind(n))
		return
	}
	v.SetFloat(number)
}

func isNumber(n *yaml.Node) bool {
	tag := n.ShortTag()
	return n.Kind == yaml.ScalarNode && (tag == "!!int" || tag == "!!float")
}

// numberOrKind shows a number, and of anything else what it is.
func numberOrKind(n *yaml.Node) string {
	if isNumber(n) {
		return quoted(n.Value)
	}
	return kindOf(n)
}

func (d *decoder) sequence(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, path, fmt.Sprintf("Write a list: [...], or a line with \"- \" for each, even for one (%s).", typeName(v.Type())),
			"%s is %s, not a list", lastName(path), kindOf(n))
		return
	}
	list := reflect.MakeSlice(v.Type(), 0, len(n.Content))
	for i, item := range n.Content {
		if d.aliased >= maxAliased {
			break
		}
		element := withDefaults(v.Type().Elem())
		d.value(item, element, fmt.Sprintf("%s[%d]", path, i), depth+1)
		list = reflect.Append(list, element)
	}
	v.Set(list)
}

// texts reads a mapping whose keys are names.
func (d *decoder) texts(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "Write {name: value}.", "%s is %s, not a mapping", lastName(path), kindOf(n))
		return
	}
	m := reflect.MakeMap(v.Type())
	for _, p := range d.pairs(n, path, depth) {
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(p.value, element, join(path, p.key.Value), depth+1)
		m.SetMapIndex(reflect.ValueOf(p.key.Value), element)
	}
	v.Set(m)
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string, depth int) {
	fields := fieldsOf(v.Type())
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "Write a mapping of "+strings.Join(keys, ", ")+".", "%s is %s, not a mapping", valueOr(lastName(path), "the file"), kindOf(n))
		return
	}
	for _, p := range d.pairs(n, path, depth) {
		i := slices.Index(keys, p.key.Value)
		if i < 0 {
			d.unknown(p.key, path, keys)
			continue
		}
		d.value(p.value, v.FieldByIndex(fields[i].index), join(path, keys[i]), depth+1)
	}
}

func (d *decoder) unknown(key *yaml.Node, path string, keys []string) {
	fix := "The keys here are " + strings.Join(keys, ", ") + "."
	if close := closest(key.Value, keys); close != "" {
		fix = fmt.Sprintf("Did you mean %s?", close)
	}
	d.wrong(key, join(path, shortened(key.Value)), fix, "there is no key %s here", quoted(key.Value))
}

// pair is a key of a mapping and its value.
type pair struct{ key, value *yaml.Node }

// pairs lists the keys of a mapping, with those of merged mappings ("<<") where
// it does not have them itself, and reports keys that are there twice.
func (d *decoder) pairs(n *yaml.Node, path string, depth int) []pair {
	var list, merged []pair
	seen := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		for key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		switch {
		case key.Kind != yaml.ScalarNode:
			d.wrong(key, path, "Write a name before the colon.", "a key is %s", kindOf(key))
		case key.ShortTag() == "!!merge":
			merged = append(merged, d.merged(value, path, depth+1)...)
		case seen[key.Value] != nil:
			d.wrong(key, join(path, shortened(key.Value)), "Keep one of them.", "the key %s is here twice; the first is at line %d", quoted(key.Value), seen[key.Value].Line)
		default:
			seen[key.Value] = key
			list = append(list, pair{key, value})
		}
	}
	for _, p := range merged {
		if seen[p.key.Value] == nil {
			seen[p.key.Value] = p.key
			list = append(list, p)
		}
	}
	return list
}

// merged lists what "<<" brings in: a mapping, or a list of them of which the
// earlier wins.
func (d *decoder) merged(n *yaml.Node, path string, depth int) []pair {
	n, leave, ok := d.follow(n, path, depth)
	if !ok {
		return nil
	}
	defer leave()
	switch n.Kind {
	case yaml.MappingNode:
		return d.pairs(n, path, depth)
	case yaml.SequenceNode:
		var list []pair
		for _, item := range n.Content {
			list = append(list, d.merged(item, path, depth+1)...)
		}
		return list
	}
	d.wrong(n, path, "Write <<: *anchor of a mapping.", "\"<<\" merges %s, not a mapping", kindOf(n))
	return nil
}

// kindOf names what a node is.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch tag := n.ShortTag(); tag {
	case "!!str":
		return "text"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "nothing"
	case "!!timestamp":
		return "a date"
	default:
		return "of the type " + tag
	}
}

package catalog

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A definition that is not of the form that SDKs expect stops some of them:
// the Go SDK reads all flags or, when one has a text where it wants a number,
// none. So the form of all that is known of definitions is checked, and what
// is not known is served as it stands.

// shape is the form of a part of a definition.
type shape struct {
	what   string                   // for findings: "a text", "a list" ...
	is     func(v any) bool         // of the value itself
	keys   map[string]*shape        // of a mapping with known keys
	needed []string                 // keys that must be there
	each   *shape                   // of a list's elements, or of a mapping's values
	more   func(scope, any, string) // further checks of a value of the right form
}

var (
	aText   = &shape{what: "a text", is: func(v any) bool { _, ok := v.(string); return ok }}
	aTruth  = &shape{what: "true or false", is: func(v any) bool { _, ok := v.(bool); return ok }}
	aNumber = &shape{what: "a whole number", is: func(v any) bool { _, ok := wholeNumber(v); return ok }}
	texts   = listOf(aText)
)

func wholeNumber(v any) (int64, bool) {
	number, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(number.String(), 10, 64) // as the Go SDK reads it: no 1.0, no 1e3
	return n, err == nil
}

func isList(v any) bool    { _, ok := v.([]any); return ok }
func isMapping(v any) bool { _, ok := v.(map[string]any); return ok }

func listOf(each *shape) *shape { return &shape{what: "a list", is: isList, each: each} }

func mapping(needed string, keys map[string]*shape) *shape {
	return &shape{what: "a mapping", is: isMapping, keys: keys, needed: strings.Fields(needed)}
}

func oneOf(choices ...string) *shape {
	return &shape{what: strings.Join(choices, " or "), is: func(v any) bool {
		number, _ := v.(json.Number)
		text, _ := v.(string)
		return slices.Contains(choices, text+number.String())
	}}
}

var (
	percent = &shape{what: "a whole number from 0 to 100", is: func(v any) bool {
		n, ok := wholeNumber(v)
		return ok && n >= 0 && n <= 100
	}}
	treatmentName = &shape{what: "a text", is: aText.is, more: func(s scope, v any, path string) { s.treatment(v.(string), path) }}
	dataType      = oneOf("NUMBER", "DATETIME")
	matcherShape  = &shape{
		what: "a mapping", is: isMapping, needed: []string{"matcherType"}, more: scope.matcher,
		keys: map[string]*shape{
			"keySelector":                        mapping("", map[string]*shape{"trafficType": aText, "attribute": aText}),
			"matcherType":                        aText,
			"negate":                             aTruth,
			"userDefinedSegmentMatcherData":      mapping("segmentName", map[string]*shape{"segmentName": aText}),
			"whitelistMatcherData":               mapping("whitelist", map[string]*shape{"whitelist": texts}),
			"unaryNumericMatcherData":            mapping("value", map[string]*shape{"dataType": dataType, "value": aNumber}),
			"betweenMatcherData":                 mapping("start end", map[string]*shape{"dataType": dataType, "start": aNumber, "end": aNumber}),
			"betweenStringMatcherData":           mapping("start end", map[string]*shape{"start": aText, "end": aText}),
			"booleanMatcherData":                 aTruth,
			"stringMatcherData":                  aText,
			"dependencyMatcherData":              mapping("split treatments", map[string]*shape{"split": aText, "treatments": texts}),
			"userDefinedLargeSegmentMatcherData": mapping("", map[string]*shape{"largeSegmentName": aText}),
		},
	}
	conditionShape = mapping("matcherGroup partitions", map[string]*shape{
		"conditionType": oneOf("ROLLOUT", "WHITELIST"),
		"label":         aText,
		"matcherGroup": mapping("matchers", map[string]*shape{
			"combiner": oneOf("AND"),
			"matchers": {what: "a list", is: isList, each: matcherShape, more: func(s scope, v any, path string) {
				if len(v.([]any)) == 0 {
					s.add(path, "Write a matcher of the matcherType ALL_KEYS if it is for every key.", "the condition has no matchers")
				}
			}},
		}),
		"partitions": {what: "a list", is: isList, more: scope.partitions, each: mapping("treatment size", map[string]*shape{
			"treatment": treatmentName, "size": percent,
		})},
	})
	definitionShape = mapping("", map[string]*shape{
		"name": aText, "trafficTypeName": aText, "changeNumber": aNumber, "algo": oneOf("1", "2"),
		"status": oneOf("ACTIVE"), "killed": aTruth, "defaultTreatment": treatmentName,
		"seed": aNumber, "trafficAllocation": percent, "trafficAllocationSeed": aNumber,
		"conditions":          listOf(conditionShape),
		"configurations":      {what: "a mapping of texts", is: isMapping, each: aText},
		"sets":                texts,
		"impressionsDisabled": aTruth,
		"prerequisites":       listOf(mapping("n ts", map[string]*shape{"n": aText, "ts": texts})),
	})
)

// matcherKind is what there is to know of a matcherType.
type matcherKind struct {
	data    string // the key that holds what it compares with; empty: none
	spec    Spec   // the oldest protocol that has it
	refused string // why it cannot be served; empty: it can
}

var matcherKinds = map[string]matcherKind{
	"ALL_KEYS":                        {},
	"IN_SEGMENT":                      {data: "userDefinedSegmentMatcherData"},
	"WHITELIST":                       {data: "whitelistMatcherData"},
	"EQUAL_TO":                        {data: "unaryNumericMatcherData"},
	"GREATER_THAN_OR_EQUAL_TO":        {data: "unaryNumericMatcherData"},
	"LESS_THAN_OR_EQUAL_TO":           {data: "unaryNumericMatcherData"},
	"BETWEEN":                         {data: "betweenMatcherData"},
	"EQUAL_TO_SET":                    {data: "whitelistMatcherData"},
	"PART_OF_SET":                     {data: "whitelistMatcherData"},
	"CONTAINS_ALL_OF_SET":             {data: "whitelistMatcherData"},
	"CONTAINS_ANY_OF_SET":             {data: "whitelistMatcherData"},
	"STARTS_WITH":                     {data: "whitelistMatcherData"},
	"ENDS_WITH":                       {data: "whitelistMatcherData"},
	"CONTAINS_STRING":                 {data: "whitelistMatcherData"},
	"MATCHES_STRING":                  {data: "stringMatcherData"},
	"IN_SPLIT_TREATMENT":              {data: "dependencyMatcherData"},
	"EQUAL_TO_BOOLEAN":                {data: "booleanMatcherData"},
	"EQUAL_TO_SEMVER":                 {data: "stringMatcherData", spec: Spec11},
	"GREATER_THAN_OR_EQUAL_TO_SEMVER": {data: "stringMatcherData", spec: Spec11},
	"LESS_THAN_OR_EQUAL_TO_SEMVER":    {data: "stringMatcherData", spec: Spec11},
	"BETWEEN_SEMVER":                  {data: "betweenStringMatcherData", spec: Spec11},
	"IN_LIST_SEMVER":                  {data: "whitelistMatcherData", spec: Spec11},
	"IN_LARGE_SEGMENT":                {spec: Spec12, refused: "large segments"},
	"IN_RULE_BASED_SEGMENT":           {spec: Spec13, refused: "rule-based segments"},
}

// definition checks a definition for itself.
func (s scope) definition(f *FlagSpec, spec *ServingSpec, path string) {
	s.shaped(definitionShape, map[string]any(spec.Definition), path)
	for _, same := range []struct{ key, ours, want string }{{"name", "name", f.Name}, {"trafficTypeName", "trafficType", f.TrafficType}} {
		if given, ok := spec.Definition[same.key].(string); ok && given != same.want && same.want != "" {
			s.add(join(path, same.key), "Take it out of the definition, or write the same.", "the definition's %s is %s and the flag's %s is %s", same.key, quoted(given), same.ours, quoted(same.want))
		}
	}
}

// shaped checks a value against a shape.
func (s scope) shaped(form *shape, v any, path string) {
	if !isList(v) && !isMapping(v) && s.broken(path) {
		return // said already
	}
	if !form.is(v) {
		s.add(path, "Write "+form.what+".", "%s is not %s", lastName(path), form.what)
		return
	}
	switch v := v.(type) {
	case []any:
		for i, element := range v {
			s.shaped(form.each, element, fmt.Sprintf("%s[%d]", path, i))
		}
	case map[string]any:
		s.keysShaped(form, v, path)
	}
	if form.more != nil {
		form.more(s, v, path)
	}
}

func (s scope) keysShaped(form *shape, m map[string]any, path string) {
	for _, key := range form.needed {
		if _, there := m[key]; !there && !s.broken(join(path, key)) {
			s.add(path, fmt.Sprintf("Write its %s.", key), "%s is missing", key)
		}
	}
	known := slices.Sorted(maps.Keys(form.keys))
	for _, key := range sortedKeys(m) {
		of := form.keys[key]
		switch {
		case form.each != nil:
			s.shaped(form.each, m[key], join(path, key))
		case of != nil:
			s.shaped(of, m[key], join(path, key))
		default:
			// Served as it stands, unless it looks like a mistake: SDKs would
			// not see it, or some take it for the key that it looks like.
			if near := closest(key, known); near != "" {
				s.add(join(path, shortened(key)), fmt.Sprintf("Did you mean %s?", near), "there is no key %s here", quoted(key))
			}
		}
	}
}

// matcher checks that a matcher has what its kind compares with.
func (s scope) matcher(v any, path string) {
	matcher := v.(map[string]any)
	name, ok := matcher["matcherType"].(string)
	if !ok {
		return // said already
	}
	kind, known := matcherKinds[name]
	switch {
	case !known:
		fix := "The kinds are " + strings.Join(slices.Sorted(maps.Keys(matcherKinds)), ", ") + "."
		if near := closest(name, slices.Sorted(maps.Keys(matcherKinds))); near != "" {
			fix = fmt.Sprintf("Did you mean %s?", near)
		}
		s.add(path+".matcherType", fix, "there is no kind of matcher %s", quoted(name))
	case kind.refused != "":
		s.add(path+".matcherType", "Use a segment with IN_SEGMENT.", "%s needs %s, which Causeway does not serve: no key would be in one", name, kind.refused)
	case kind.data != "" && matcher[kind.data] == nil:
		s.add(path, fmt.Sprintf("Write its %s.", kind.data), "%s has no %s", name, kind.data)
	}
}

// partitions checks that every key gets a treatment.
func (s scope) partitions(v any, path string) {
	var sum int64
	for _, partition := range v.([]any) {
		size, ok := wholeNumber(object(partition)["size"])
		if !ok {
			return // said already
		}
		sum += size
	}
	if sum != 100 {
		s.add(path, "Change them so that they make 100.", "the sizes of the partitions make %d, not 100", sum)
	}
}

// servedFlag is a flag in an environment with what its definition names.
type servedFlag struct {
	path     string // of the definition
	segments []reference
	flags    []reference
	state    uint8 // of the search for circles: 0 not seen, 1 being looked at, 2 done
}

// reference is a name in a definition.
type reference struct{ name, path string }

func newServedFlag(f *FlagSpec, spec ServingSpec, environment, path string) *servedFlag {
	if here := f.Environments[environment]; len(here.Definition) > 0 {
		path = join(path+".environments", environment)
	}
	served := &servedFlag{path: path + ".definition"}
	text := func(v any) string { s, _ := v.(string); return s }
	conditions, _ := spec.Definition["conditions"].([]any)
	for i, c := range conditions {
		matchers, _ := object(object(c)["matcherGroup"])["matchers"].([]any)
		for j, m := range matchers {
			matcher, at := object(m), fmt.Sprintf("%s.conditions[%d].matcherGroup.matchers[%d]", served.path, i, j)
			switch matcher["matcherType"] {
			case "IN_SEGMENT":
				name := text(object(matcher["userDefinedSegmentMatcherData"])["segmentName"])
				served.segments = append(served.segments, reference{name, at + ".userDefinedSegmentMatcherData.segmentName"})
			case "IN_SPLIT_TREATMENT":
				name := text(object(matcher["dependencyMatcherData"])["split"])
				served.flags = append(served.flags, reference{name, at + ".dependencyMatcherData.split"})
			}
		}
	}
	prerequisites, _ := spec.Definition["prerequisites"].([]any)
	for i, p := range prerequisites {
		served.flags = append(served.flags, reference{text(object(p)["n"]), fmt.Sprintf("%s.prerequisites[%d].n", served.path, i)})
	}
	return served
}

// references checks the names in an environment's definitions. A segment that
// is not there keeps SDKs from becoming ready; a circle of flags ends the
// program that evaluates one of them.
func (s scope) references(p *ProjectSpec, environment string, served map[string]*servedFlag) {
	var segments, flags []string
	for i := range p.Segments {
		segments = append(segments, p.Segments[i].Name)
	}
	for i := range p.Flags {
		flags = append(flags, p.Flags[i].Name)
	}
	isSegment, isFlag := setOf(segments), setOf(flags)
	for _, name := range sortedKeys(served) {
		f := served[name]
		for _, segment := range f.segments {
			if !isSegment[segment.name] {
				s.unknown(segment.name, segment.path, "segment", segments, s.path+".segments")
			}
		}
		for _, other := range f.flags {
			switch {
			case !isFlag[other.name]:
				s.unknown(other.name, other.path, "flag", flags, s.path+".flags")
			case served[other.name] == nil:
				s.add(other.path, fmt.Sprintf("Serve it in %s too, for example with defaultTreatment.", environment), "the flag %s is not served in %s", quoted(other.name), quoted(environment))
			}
		}
	}
	for _, name := range sortedKeys(served) {
		s.circle(name, served)
	}
}

// circle looks for flags that depend on themselves.
func (s scope) circle(name string, served map[string]*servedFlag) {
	f := served[name]
	if f == nil || f.state == 2 {
		return
	}
	f.state = 1
	for _, other := range f.flags {
		if next := served[other.name]; next != nil && next.state == 1 {
			s.add(other.path, "Take one of them away.", "the flags depend on each other in a circle: %s depends on %s, which depends on it", quoted(name), quoted(other.name))
			continue
		}
		s.circle(other.name, served)
	}
	f.state = 2
}

package catalog

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"causeway/internal/fme"
)

// Serving is what Split SDKs of one environment are served. As a Snapshot it
// never changes.
type Serving struct {
	// Flags are the served flags, the longest unchanged first.
	Flags []*Flag
	// Archived are flags that were served and no longer are, the longest gone
	// first, as far as they are remembered (see versions).
	Archived []ArchivedFlag
	// Segments are the segments by name, also those that are gone.
	Segments map[string]*KeySegment
	// ChangeNumber is the highest of the flags; -1: there never was one.
	ChangeNumber int64
}

// Flag is a flag as an environment's SDKs are served it.
type Flag struct {
	Name string
	// ChangeNumber is the version of the definition, milliseconds since 1970
	// or the next number above the last. It changes exactly when what is
	// served changes, and is the same on all nodes.
	ChangeNumber int64
	Sets         []string // flag sets, sorted
	// Spec is the oldest version of the SDKs' protocol that has everything the
	// definition uses.
	Spec Spec
	// Definition is the JSON object that SDKs are served. It holds no null.
	Definition json.RawMessage
	// Limited is Definition with all conditions replaced by one that gives
	// control: for SDKs older than Spec.
	Limited json.RawMessage
}

// ArchivedFlag is a flag that is no longer served.
type ArchivedFlag struct {
	Name, TrafficType string
	ChangeNumber      int64 // when it went
}

// KeySegment is a segment in one environment.
type KeySegment struct {
	Name         string
	ChangeNumber int64    // as of Flag
	Keys         []string // sorted; none for a segment that is gone
	Removed      []RemovedKey
}

// RemovedKey is a key that was in a segment.
type RemovedKey struct {
	Key          string
	ChangeNumber int64 // of the change that removed it
}

// Spec is a version of the protocol between Split SDKs and their server, as
// its second number: 3 is 1.3.
type Spec int

// The versions there are.
const (
	Spec10 Spec = iota
	Spec11      // comparison of semantic versions
	Spec12      // large segments
	Spec13      // rule-based segments
)

// over is what is served where an environment changes some of it.
func (s ServingSpec) over(base ServingSpec) ServingSpec {
	if len(s.Treatments) > 0 {
		base.Treatments = s.Treatments
	}
	base.DefaultTreatment = cmp.Or(s.DefaultTreatment, base.DefaultTreatment)
	if len(s.Rollout) > 0 {
		base.Rollout = s.Rollout
	}
	base.TrafficAllocation = cmp.Or(s.TrafficAllocation, base.TrafficAllocation)
	base.Killed = cmp.Or(s.Killed, base.Killed)
	if len(s.Configurations) > 0 {
		base.Configurations = s.Configurations
	}
	if len(s.Sets) > 0 {
		base.Sets = s.Sets
	}
	base.ImpressionsDisabled = cmp.Or(s.ImpressionsDisabled, base.ImpressionsDisabled)
	if len(s.Definition) > 0 {
		base.Definition = s.Definition
	}
	return base
}

// WithDefaults is the spec with what is left out filled in, as it is served.
func (s ServingSpec) WithDefaults() ServingSpec {
	s.Treatments, s.DefaultTreatment = s.treatments(), s.defaultTreatment()
	if len(s.Rollout) == 0 {
		s.Rollout = map[string]int{s.DefaultTreatment: 100}
	}
	hundred, no := 100, false
	s.TrafficAllocation = cmp.Or(s.TrafficAllocation, &hundred)
	s.Killed = cmp.Or(s.Killed, &no)
	s.ImpressionsDisabled = cmp.Or(s.ImpressionsDisabled, &no)
	return s
}

// isEmpty reports whether nothing is said of what to serve: the flag is known
// and not served.
func (s ServingSpec) isEmpty() bool {
	return len(s.Treatments) == 0 && s.DefaultTreatment == "" && len(s.Rollout) == 0 && s.TrafficAllocation == nil &&
		s.Killed == nil && len(s.Configurations) == 0 && len(s.Sets) == 0 && s.ImpressionsDisabled == nil && len(s.Definition) == 0
}

// treatments are the treatments with their default.
func (s ServingSpec) treatments() []string {
	if len(s.Treatments) == 0 {
		return []string{"on", "off"}
	}
	return s.Treatments
}

// defaultTreatment is the default treatment with its default.
func (s ServingSpec) defaultTreatment() string {
	if s.DefaultTreatment == "" {
		list := s.treatments()
		return list[len(list)-1]
	}
	return s.DefaultTreatment
}

// In is what the flag is served with in an environment; false: it is not
// served there.
func (f *FlagSpec) In(environment string) (ServingSpec, bool) {
	s := f.Environments[environment].over(f.ServingSpec)
	return s, !s.isEmpty()
}

// content is what is served of a flag but its change number, as a JSON object.
func (f *FlagSpec) content(s ServingSpec, environment fme.EnvironmentID) map[string]any {
	m := map[string]any{
		"status": "ACTIVE", "killed": false, "algo": 2,
		"seed": seedOf("seed", environment, f.Name), "trafficAllocation": 100, "trafficAllocationSeed": seedOf("allocation", environment, f.Name),
		"configurations": map[string]any{}, "sets": []any{}, "prerequisites": []any{}, "impressionsDisabled": false,
	}
	if len(s.Definition) > 0 {
		maps.Copy(m, map[string]any(s.Definition))
		m["conditions"] = filled(m["conditions"])
	} else {
		m["defaultTreatment"] = s.defaultTreatment()
		m["conditions"] = []any{s.condition(f.TrafficType)}
	}
	m["name"], m["trafficTypeName"] = f.Name, f.TrafficType
	setIf(m, "defaultTreatment", s.DefaultTreatment, s.DefaultTreatment != "")
	setIf(m, "trafficAllocation", s.TrafficAllocation, s.TrafficAllocation != nil)
	setIf(m, "killed", s.Killed, s.Killed != nil)
	setIf(m, "configurations", s.Configurations, len(s.Configurations) > 0)
	setIf(m, "impressionsDisabled", s.ImpressionsDisabled, s.ImpressionsDisabled != nil)
	setIf(m, "sets", s.Sets, len(s.Sets) > 0)
	m["sets"] = sortedSets(m["sets"])
	return m
}

func setIf(m map[string]any, key string, value any, condition bool) {
	if condition {
		m[key] = value
	}
}

// sortedSets lists flag sets in one order, which is no difference to an SDK.
func sortedSets(v any) []string {
	list := []string{}
	switch v := v.(type) {
	case []string:
		list = append(list, v...)
	case []any:
		for _, set := range v {
			list = append(list, fmt.Sprint(set))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// defaultRule is the label of the rule of a flag that has only a rollout.
const defaultRule = "default rule"

// condition is the one rule of a flag that has only a rollout.
func (s ServingSpec) condition(trafficType string) map[string]any {
	partitions := []any{}
	for _, treatment := range s.treatments() {
		size := s.Rollout[treatment]
		if len(s.Rollout) == 0 && treatment == s.defaultTreatment() {
			size = 100
		}
		partitions = append(partitions, map[string]any{"treatment": treatment, "size": size})
	}
	everybody := map[string]any{"keySelector": map[string]any{"trafficType": trafficType}, "matcherType": "ALL_KEYS", "negate": false}
	return map[string]any{
		"conditionType": "ROLLOUT", "label": defaultRule, "partitions": partitions,
		"matcherGroup": map[string]any{"combiner": "AND", "matchers": []any{everybody}},
	}
}

// filled is the conditions of a definition with the keys that SDKs read
// without asking whether they are there.
func filled(v any) []any {
	conditions := []any{}
	given, _ := v.([]any)
	for _, c := range given {
		condition := map[string]any{"conditionType": "ROLLOUT", "label": "default rule", "partitions": []any{}}
		maps.Copy(condition, object(c))
		group := map[string]any{"combiner": "AND", "matchers": []any{}}
		maps.Copy(group, object(condition["matcherGroup"]))
		matchers := []any{}
		list, _ := group["matchers"].([]any)
		for _, m := range list {
			matcher := map[string]any{"negate": false}
			maps.Copy(matcher, object(m))
			matchers = append(matchers, matcher)
		}
		group["matchers"] = matchers
		condition["matcherGroup"] = group
		conditions = append(conditions, condition)
	}
	return conditions
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// unsupported is what SDKs are served instead of conditions that are newer
// than their protocol, as the Split Proxy does.
var unsupported = []any{map[string]any{
	"conditionType": "WHITELIST", "label": "targeting rule type unsupported by sdk",
	"partitions": []any{map[string]any{"treatment": fme.Control, "size": 100}},
	"matcherGroup": map[string]any{
		"combiner": "AND", "matchers": []any{map[string]any{"matcherType": "ALL_KEYS", "negate": false}},
	},
}}

// flag makes the served form of a content under a change number.
func newFlag(content map[string]any, changeNumber int64) (*Flag, error) {
	f := &Flag{Name: content["name"].(string), ChangeNumber: changeNumber, Sets: content["sets"].([]string), Spec: specOf(content)}
	whole := maps.Clone(content)
	whole["changeNumber"] = changeNumber
	var err error
	if f.Definition, err = json.Marshal(whole); err != nil {
		return nil, fmt.Errorf("encode flag %q: %w", f.Name, err)
	}
	f.Limited = f.Definition
	if f.Spec > Spec10 {
		whole["conditions"] = unsupported
		if f.Limited, err = json.Marshal(whole); err != nil {
			return nil, fmt.Errorf("encode flag %q: %w", f.Name, err)
		}
	}
	return f, nil
}

// specOf is the oldest protocol that has the matchers of a definition.
func specOf(content map[string]any) Spec {
	spec := Spec10
	for matcher := range matchersOf(content) {
		if kind, ok := matcher["matcherType"].(string); ok {
			spec = max(spec, matcherKinds[kind].spec)
		}
	}
	return spec
}

// matchersOf lists the matchers of a definition.
func matchersOf(content map[string]any) func(func(map[string]any) bool) {
	return func(yield func(map[string]any) bool) {
		conditions, _ := content["conditions"].([]any)
		for _, c := range conditions {
			matchers, _ := object(object(c)["matcherGroup"])["matchers"].([]any)
			for _, m := range matchers {
				if !yield(object(m)) {
					return
				}
			}
		}
	}
}

// seedOf is a seed of a flag's bucketing: the same on every node and at every
// start, and another one for every flag, environment and use. SDKs keep it in
// 32 bits, some of them signed.
func seedOf(use string, environment fme.EnvironmentID, flag string) int64 {
	id := fme.NewID(use, string(environment), flag)
	return int64(binary.BigEndian.Uint32(id[:4]) >> 1)
}

// digestOfContent tells two served contents apart.
func digestOfContent(content map[string]any) (string, error) {
	text, err := json.Marshal(content) // keys in alphabetical order
	if err != nil {
		return "", fmt.Errorf("encode a flag: %w", err)
	}
	sum := sha256.Sum256(text)
	return fmt.Sprintf("%x", sum[:12]), nil
}

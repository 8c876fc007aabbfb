package catalog

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"causeway/internal/fme"
)

// flags checks the flags of the scope's project, one by one and then what they
// say of each other.
func (s scope) flags(p *ProjectSpec) {
	names, served := uniqueNames("flag"), make(map[string]map[string]*servedFlag)
	for i := range p.Flags {
		f := &p.Flags[i]
		path := fmt.Sprintf("%s.flags[%d]", s.path, i)
		s.name(f.Name, path+".name", names)
		if f.TrafficType == "" {
			s.missing(path+".trafficType", "Write the flag's traffic type, one of the project's trafficTypes.")
		} else {
			s.trafficType(f.TrafficType, path+".trafficType")
		}
		if !s.served(f, path) {
			continue // what follows from it would be said once for each environment
		}
		for _, environment := range s.environments {
			if served[environment] == nil {
				served[environment] = make(map[string]*servedFlag)
			}
			if spec, ok := f.In(environment); ok {
				served[environment][f.Name] = newServedFlag(f, spec, environment, path)
			}
		}
	}
	for _, environment := range s.environments {
		s.references(p, environment, served[environment])
	}
}

// served checks what a flag is served with, at the flag and in each
// environment. It reports whether all is well.
func (s scope) served(f *FlagSpec, path string) bool {
	before := len(s.list)
	s.parts(f, &f.ServingSpec, path)
	s.whole(f.ServingSpec, path)
	for _, name := range sortedKeys(f.Environments) {
		at := join(path+".environments", name)
		s.environmentName(name, at)
		here, sound := f.Environments[name], len(s.list) == before
		s.parts(f, &here, at)
		if sound { // or the flag's own mistakes would be said again
			s.whole(here.over(f.ServingSpec), at)
		}
	}
	return len(s.list) == before && !s.broken(path)
}

var flagSet = regexp.MustCompile(`^[a-z0-9][_a-z0-9]{0,49}$`)

// parts checks each key for itself.
func (s scope) parts(f *FlagSpec, spec *ServingSpec, path string) {
	seen := make(map[string]bool)
	for i, treatment := range spec.Treatments {
		at := fmt.Sprintf("%s.treatments[%d]", path, i)
		if seen[treatment] {
			s.add(at, "Keep one of them.", "the treatment %s is here twice", quoted(treatment))
		}
		seen[treatment] = true
		s.treatment(treatment, at)
	}
	sets := make(map[string]bool)
	for i, set := range spec.Sets {
		at := fmt.Sprintf("%s.sets[%d]", path, i)
		if sets[set] {
			s.add(at, "Keep one of them.", "the flag set %s is here twice", quoted(set))
		}
		sets[set] = true
		if !flagSet.MatchString(set) {
			s.add(at, "Use lower-case letters, digits and underscores, at most 50 and no underscore first; SDKs take no others.", "%s cannot be a flag set's name", quoted(set))
		}
	}
	for _, treatment := range sortedKeys(spec.Rollout) {
		s.percentage(spec.Rollout[treatment], join(path+".rollout", treatment))
	}
	if spec.TrafficAllocation != nil {
		s.percentage(*spec.TrafficAllocation, path+".trafficAllocation")
	}
	if len(spec.Definition) > 0 {
		s.definition(f, spec, path+".definition")
	}
}

func (c *checker) percentage(percent int, path string) {
	if percent < 0 || percent > 100 {
		c.add(path, "Write a whole number from 0 to 100.", "%d is not a percentage", percent)
	}
}

func (c *checker) treatment(treatment, path string) {
	switch {
	case treatment == fme.Control:
		c.add(path, "Use another name: SDKs say control when they cannot evaluate a flag.", "a treatment is named %s", fme.Control)
	case strings.TrimSpace(treatment) == "" || hasBlanksAround(treatment):
		c.add(path, "Write the treatment's name without blanks around it.", "the treatment %s is blank or has blanks around it", quoted(treatment))
	case utf8.RuneCountInString(treatment) > maxName:
		c.add(path, fmt.Sprintf("Use at most %d.", maxName), "the treatment has %d characters", utf8.RuneCountInString(treatment))
	}
}

// whole checks how the keys fit together.
func (s scope) whole(spec ServingSpec, path string) {
	if len(spec.Definition) > 0 {
		s.besideDefinition(spec, path)
		return
	}
	treatments := spec.treatments()
	known := setOf(treatments)
	one := func(treatment, at string) {
		if known[treatment] {
			return
		}
		fix := "Add it to treatments."
		if near := closest(treatment, treatments); near != "" {
			fix = fmt.Sprintf("Did you mean %s? Otherwise add it to treatments.", near)
		}
		s.add(at, fix, "%s is not one of the treatments %s", quoted(treatment), strings.Join(treatments, ", "))
	}
	if spec.DefaultTreatment != "" {
		one(spec.DefaultTreatment, path+".defaultTreatment")
	}
	sum := 0
	for _, treatment := range sortedKeys(spec.Rollout) {
		one(treatment, join(path+".rollout", treatment))
		sum += spec.Rollout[treatment]
	}
	if len(spec.Rollout) > 0 && sum != 100 && !s.broken(path+".rollout") {
		s.add(path+".rollout", "Change them so that they make 100.", "the percentages of the rollout make %d, not 100", sum)
	}
	for _, treatment := range sortedKeys(spec.Configurations) {
		one(treatment, join(path+".configurations", treatment))
	}
}

// besideDefinition checks what stands beside a definition: it may change the
// definition's keys of the same name, and nothing else would have an effect.
func (s scope) besideDefinition(spec ServingSpec, path string) {
	const fix = "Take it away, or the definition; one flag may have a definition in one environment and a rollout in another."
	if len(spec.Treatments) > 0 {
		s.add(path+".treatments", fix, "treatments has no effect beside a definition")
	}
	if len(spec.Rollout) > 0 {
		s.add(path+".rollout", fix, "rollout has no effect beside a definition")
	}
	if given, _ := spec.Definition["defaultTreatment"].(string); given == "" && spec.DefaultTreatment == "" {
		s.add(path+".definition", "Write its defaultTreatment.", "the definition has no defaultTreatment")
	}
}

// keySegments checks the segments of the scope's project.
func (s scope) keySegments(p *ProjectSpec) {
	names := uniqueNames("segment")
	keys := func(list []string, path string) {
		for i, key := range list {
			at := fmt.Sprintf("%s.keys[%d]", path, i)
			if key == "" && !s.broken(at) || utf8.RuneCountInString(key) > maxKey {
				s.add(at, fmt.Sprintf("Write a key of 1 to %d characters; SDKs take no others.", maxKey), "the key has %d characters", utf8.RuneCountInString(key))
			}
		}
	}
	for i := range p.Segments {
		segment, path := &p.Segments[i], fmt.Sprintf("%s.segments[%d]", s.path, i)
		s.name(segment.Name, path+".name", names)
		keys(segment.Keys, path)
		for _, name := range sortedKeys(segment.Environments) {
			at := join(path+".environments", name)
			s.environmentName(name, at)
			keys(segment.Environments[name].Keys, at)
		}
	}
}

// maxKey is the length of the longest key that SDKs evaluate, in characters.
const maxKey = 250

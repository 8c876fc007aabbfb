package catalog

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// AttributeSpec says what an attribute of a traffic type is called and means
// (Harness FME, "Identifying customers"). Data makes attributes; this only
// describes them (R19).
type AttributeSpec struct {
	TrafficType string   `json:"trafficType" yaml:"trafficType"`
	ID          string   `json:"id" yaml:"id"`
	DisplayName string   `json:"displayName,omitempty" yaml:"displayName,omitempty"`
	Description string   `json:"description,omitempty" yaml:"description,omitempty"`
	Type        string   `json:"type,omitempty" yaml:"type,omitempty"`     // one of AttributeTypes; empty: not said
	Values      []string `json:"values,omitempty" yaml:"values,omitempty"` // that are suggested
}

// AttributeTypes are the data types of attributes, in FME's words.
var AttributeTypes = []string{"string", "datetime", "number", "set"}

// Bounds of what describes an attribute. An id is as long as R11 lets it be, a
// value as a trait may be.
const (
	maxAttributeText   = 500
	maxAttributeValues = 100
	maxAttributeValue  = 255
)

var attributeID = regexp.MustCompile(`^[a-zA-Z][-_a-zA-Z0-9]{0,199}$`)

// specName is what names an attribute in its project. Neither part has a slash.
func (a AttributeSpec) specName() string { return a.TrafficType + "/" + a.ID }

// attributes checks the attributes of the scope's project.
func (s scope) attributes(p *ProjectSpec) {
	first := make(map[string]string)
	for i := range p.Attributes {
		a, path := &p.Attributes[i], fmt.Sprintf("%s.attributes[%d]", s.path, i)
		if a.TrafficType == "" {
			s.missing(path+".trafficType", "Write the traffic type whose attribute it is, one of the project's trafficTypes.")
		} else {
			s.trafficType(a.TrafficType, path+".trafficType")
		}
		switch {
		case a.ID == "":
			s.missing(path+".id", "Write the attribute's id, as the trait is called.")
		case !attributeID.MatchString(a.ID):
			s.add(path+".id", "Write a letter, then up to 199 letters, digits, dashes or underscores.", "%s is no id of an attribute", quoted(a.ID))
		}
		if at, twice := first[a.specName()]; twice && a.ID != "" {
			s.add(path+".id", "Keep one of them.", "the attribute %s of %s is at %s already", quoted(a.ID), quoted(a.TrafficType), at)
		}
		first[a.specName()] = path
		if a.Type != "" {
			s.choice(a.Type, path+".type", AttributeTypes)
		}
		s.longest(a.DisplayName, maxName, path+".displayName")
		s.longest(a.Description, maxAttributeText, path+".description")
		s.most(len(a.Values), maxAttributeValues, path+".values")
		for j, value := range a.Values {
			s.longest(value, maxAttributeValue, fmt.Sprintf("%s.values[%d]", path, j))
		}
	}
}

func (c *checker) longest(text string, most int, path string) {
	if n := utf8.RuneCountInString(text); n > most {
		c.add(path, fmt.Sprintf("Use at most %d.", most), "the text has %d characters", n)
	}
}

// splitAttribute takes the name of an attribute apart.
func splitAttribute(name string) (trafficType, id string) {
	trafficType, id, _ = strings.Cut(name, "/")
	return trafficType, id
}

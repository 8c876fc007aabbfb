package catalog

func (s scope) flag(f *FlagSpec, path string) {
	s.name(f.Name, path+".name", s.flags)
	if f.TrafficType == "" {
		s.missing(path+".trafficType", "Write the flag's traffic type, one of the project's trafficTypes.")
	} else {
		s.trafficType(f.TrafficType, path+".trafficType")
	}
}

func (s scope) segment(segment *KeySegmentSpec, path string) {
	s.name(segment.Name, path+".name", s.segments)
}

package catalog

import "cmp"

// RequestLimits bounds what may come in with one credential. Zero fields: no bound.
type RequestLimits struct {
	RequestsPerSecond int `json:"requestsPerSecond,omitempty" yaml:"requestsPerSecond,omitempty"`
	BytesPerMinute    int `json:"bytesPerMinute,omitempty" yaml:"bytesPerMinute,omitempty"` // of bodies, decompressed
}

// Limits are those of a credential that Segment calls come with.
type Limits struct {
	RequestLimits  `yaml:",inline"`
	CallsPerSecond int `json:"callsPerSecond,omitempty" yaml:"callsPerSecond,omitempty"` // a batch is as many as it holds
}

// Or is l with what it leaves open taken from fallback.
func (l Limits) Or(fallback Limits) Limits {
	l.RequestsPerSecond = cmp.Or(l.RequestsPerSecond, fallback.RequestsPerSecond)
	l.BytesPerMinute = cmp.Or(l.BytesPerMinute, fallback.BytesPerMinute)
	l.CallsPerSecond = cmp.Or(l.CallsPerSecond, fallback.CallsPerSecond)
	return l
}

// limits checks that bounds are bounds.
func (c *checker) limits(l RequestLimits, path string) {
	c.bound(l.RequestsPerSecond, path+".requestsPerSecond")
	c.bound(l.BytesPerMinute, path+".bytesPerMinute")
}

func (c *checker) bound(n int, path string) {
	if n < 0 {
		c.add(path, "Write a number above 0, or leave it out for no limit.", "%s is %d", lastName(path), n)
	}
}

package catalog

// matcherKind is what a kind of matcher needs.
type matcherKind struct {
	spec Spec
}

var matcherKinds = map[string]matcherKind{}

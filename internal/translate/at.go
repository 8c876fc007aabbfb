package translate

import "causeway/internal/segment"

// At is what stands at a path of a call, as the settings eventType and value
// read it (R7). It is for showing how a path was understood.
func At(item segment.Item, path string) segment.Value {
	t := translation{d: &Destination{}, c: &Call{Item: item}}
	t.open()
	return t.at(path)
}

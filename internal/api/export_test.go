package api

// RouteInfo is a route as the tests compare it with the document.
type RouteInfo struct {
	Method, Pattern string
	Query           []string
	Open            bool
}

// RouteList is the table of contents.
func RouteList() []RouteInfo {
	var list []RouteInfo
	for _, rt := range routes {
		list = append(list, RouteInfo{rt.method, rt.pattern, append([]string(nil), rt.query...), rt.open})
	}
	return list
}

package api

import "causeway/internal/auth"

// RouteInfo is a route as the tests compare it with the document.
type RouteInfo struct {
	Method, Pattern string
	Query           []string
	Role            auth.Role // the least it needs; empty: it is open
	Some            bool      // in any project
}

// RouteList is the table of contents.
func RouteList() []RouteInfo {
	var list []RouteInfo
	for _, rt := range routes {
		list = append(list, RouteInfo{rt.method, rt.pattern, append([]string(nil), rt.query...), rt.need.Least(), rt.some})
	}
	return list
}

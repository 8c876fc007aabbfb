package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"causeway/internal/auth"
)

// RouteInfo is a route as the tests go through them.
type RouteInfo struct {
	Pattern string
	Need    auth.Permission
	Server  bool
}

// RouteList is the table of contents.
func RouteList() []RouteInfo {
	var list []RouteInfo
	for _, rt := range tableOfContents() {
		list = append(list, RouteInfo{rt.pattern, rt.need, rt.server})
	}
	return list
}

// OtherDoors are the paths that the console must not take.
var OtherDoors = otherDoors

// MenuPaths are the pages of the menu that exist.
func MenuPaths() []string {
	var paths []string
	for _, group := range navigation {
		for _, item := range group.Items {
			if s := (&Server{routes: tableOfContents()}); s.routeOf(item.URL) != nil {
				paths = append(paths, item.URL)
			}
		}
	}
	return paths
}

// Chords are the menu's pages by the second key of their g chord; a key that
// two pages claim is in twice.
func Chords() (keys []string) {
	for _, group := range navigation {
		for _, item := range group.Items {
			keys = append(keys, item.Key)
		}
	}
	return keys
}

// Never is when a token runs out that does not.
var Never time.Time

// Answers reports whether a route takes a request.
func Answers(method, path string) bool {
	mux := http.NewServeMux()
	for _, rt := range tableOfContents() {
		mux.Handle(rt.pattern, http.NotFoundHandler())
	}
	_, pattern := mux.Handler(httptest.NewRequest(method, path, nil))
	return strings.HasPrefix(pattern, method)
}

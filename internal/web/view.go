package web

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"causeway/internal/auth"
	"causeway/internal/guide"
	"causeway/internal/reason"
)

//go:embed page
var pageFiles embed.FS

// layout is what every page has around it. Each page's struct embeds it.
type layout struct {
	Title   string
	Env     string // "project/environment"; empty: there is none yet
	Project string
	EnvName string
	Envs    []envChoice
	Nav     []navGroup
	Who     auth.Identity
	Theme   string // light, dark or empty
	Notice  string // of the page before, once
	Banner  string // above every page
	Version string
	Plain   bool        // without navigation: sign-in and the like
	Reading bool        // text to read: wide, also without navigation
	Here    string      // the path as it stands in an address
	Guide   *guide.Page // of this page; nil: none
	may     func(auth.Permission) bool
}

// May lets templates ask: {{if .May "change"}}.
func (l layout) May(p auth.Permission) bool { return l.may != nil && l.may(p) }

// Link is an address of the console for the chosen environment, with more
// query parameters in pairs; empty values are left out.
func (l layout) Link(path string, pairs ...string) string {
	query := url.Values{}
	if l.Env != "" {
		query.Set("env", l.Env)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + strings.ReplaceAll(query.Encode(), "%2F", "/")
}

type envChoice struct {
	ID       string
	Project  string
	Name     string
	Selected bool
}

type navGroup struct {
	Name  string
	Items []navItem
}

type navItem struct {
	Name, URL string
	Key       string // second key of its g chord
	Current   bool
}

// navigation is the console's menu. A page is listed when its route exists and
// the caller has its permission.
var navigation = []navGroup{
	{"", []navItem{
		{Name: "Overview", URL: "/", Key: "o"},
		{Name: "Live tail", URL: "/live", Key: "l"},
		{Name: "Trace", URL: "/trace", Key: "t"},
		{Name: "Playground", URL: "/playground", Key: "p"},
	}},
	{"Data", []navItem{
		{Name: "Event types", URL: "/events", Key: "e"},
		{Name: "Customers", URL: "/customers", Key: "c"},
		{Name: "Attributes", URL: "/attributes", Key: "a"},
		{Name: "Impressions", URL: "/impressions", Key: "i"},
	}},
	{"Experiments", []navItem{
		{Name: "Experiments", URL: "/experiments", Key: "b"},
		{Name: "Metrics", URL: "/metric-definitions", Key: "m"},
	}},
	{"Segment", []navItem{
		{Name: "Integrations", URL: "/integrations", Key: "s"},
		{Name: "Calls", URL: "/calls", Key: "v"},
		{Name: "Delivery", URL: "/delivery", Key: "d"},
		{Name: "Dead letters", URL: "/dead-letters", Key: "x"},
	}},
	{"Admin", []navItem{
		{Name: "Projects", URL: "/projects", Key: "r"},
		{Name: "Flags", URL: "/flags", Key: "f"},
		{Name: "Segments of keys", URL: "/key-segments", Key: "z"},
		{Name: "Keys", URL: "/keys", Key: "k"},
		{Name: "Users", URL: "/users", Key: "u"},
		{Name: "API tokens", URL: "/tokens", Key: "w"},
		{Name: "Audit", URL: "/audit", Key: "h"},
		{Name: "System", URL: "/system", Key: "y"},
	}},
	{"Help", []navItem{
		{Name: "Guides", URL: "/docs", Key: "g"},
	}},
}

// layout makes what is around a page.
func (s *Server) layout(r *request, title string) layout {
	l := layout{
		Title: title, Who: r.who, Version: s.Version, Banner: s.Notice, Theme: s.theme(r),
		Notice: s.takeNotice(r), may: r.may, Here: r.URL.EscapedPath(), Guide: s.guideFor(r.URL.Path),
	}
	if r.who.Kind == "" {
		l.Plain = true
		return l
	}
	if r.env != nil {
		l.Env, l.Project, l.EnvName = string(r.env.ID), r.env.Project.Name, r.env.Name
	}
	for _, e := range s.environments(r) {
		l.Envs = append(l.Envs, envChoice{string(e.ID), e.Project.Name, e.Name, r.env != nil && e.ID == r.env.ID})
	}
	for _, group := range navigation {
		shown := navGroup{Name: group.Name}
		for _, item := range group.Items {
			rt := s.routeOf(item.URL)
			if rt == nil || rt.server && !r.who.May(rt.need, "") || !rt.server && rt.need != "" && !r.may(rt.need) {
				continue
			}
			item.Current = r.URL.Path == item.URL || item.URL != "/" && strings.HasPrefix(r.URL.Path, item.URL+"/")
			item.URL = l.Link(item.URL)
			shown.Items = append(shown.Items, item)
		}
		if len(shown.Items) > 0 {
			l.Nav = append(l.Nav, shown)
		}
	}
	return l
}

func (s *Server) routeOf(path string) *route {
	pattern := "GET " + path
	if path == "/" {
		pattern = "GET /{$}"
	}
	i := slices.IndexFunc(s.routes, func(rt route) bool { return rt.pattern == pattern })
	if i < 0 {
		return nil
	}
	return &s.routes[i]
}

func (s *Server) theme(r *request) string {
	if theme := s.cookie(r, themeCookie); theme == "light" || theme == "dark" {
		return theme
	}
	return ""
}

// parsePages parses page/<name>/<name>.html for each page, with the layout and
// what the pages share (page/layout/*.html).
func (s *Server) parsePages() (map[string]*template.Template, error) {
	shared, err := template.New("").Funcs(s.functions()).ParseFS(pageFiles, "page/layout/*.html")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	folders, err := fs.ReadDir(pageFiles, "page")
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		name := folder.Name()
		if name == "layout" {
			continue
		}
		page, err := shared.Clone()
		if err == nil {
			page, err = page.ParseFS(pageFiles, path.Join("page", name, "*.html"))
		}
		if err != nil {
			return nil, fmt.Errorf("page %s: %w", name, err)
		}
		pages[name] = page
	}
	return pages, nil
}

// show renders a page whole and then writes it.
func (s *Server) show(r *request, name string, data any) error {
	return s.showStatus(r, http.StatusOK, name, data)
}

// showStatus is show with another status, for example 422 for a form that has
// to be corrected.
func (s *Server) showStatus(r *request, status int, name string, data any) error {
	page, ok := s.pages[name]
	if !ok {
		return fmt.Errorf("there is no page %q", name)
	}
	var body bytes.Buffer
	if err := page.ExecuteTemplate(&body, "layout", data); err != nil {
		return fmt.Errorf("render the page %s: %w", name, err)
	}
	header := r.w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	header.Set("Cache-Control", "no-store")
	r.w.WriteHeader(status)
	_, _ = r.w.Write(body.Bytes()) // who left hears nothing either way
	return nil
}

type problemPage struct {
	layout
	Status int
	Text   string
}

func (s *Server) showProblem(r *request, p *problem) error {
	return s.showStatus(r, p.status, "problem", problemPage{s.layout(r, p.title), p.status, p.text})
}

// functions are what templates may call.
func (s *Server) functions() template.FuncMap {
	return template.FuncMap{
		"asset":    s.assets.url,
		"count":    count,
		"plural":   plural,
		"percent":  percent,
		"ago":      func(t time.Time) string { return ago(s.Now(), t) },
		"time":     func(t time.Time) template.HTML { return timeTag(t, "2006-01-02 15:04:05") },
		"clock":    func(t time.Time) template.HTML { return timeTag(t, "15:04:05.000") },
		"json":     prettyJSON,
		"reason":   func(code reason.Code) reason.Info { info, _ := reason.Lookup(code); return info },
		"pathpart": url.PathEscape,
		"text":     func(v any) string { return fmt.Sprint(v) },
		"join":     strings.Join,
		"list":     func(items ...any) []any { return items },
		"bytes":    byteCount,
		"duration": shortDuration,
		"icon":     icon,
		"tone":     toneClass,
		"toneicon": toneIcon,
		"ticked":   ticked,
	}
}

// count writes a number with thin groups: 184,201.
func count(n any) string {
	text := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// plural is "1 call" or "2 calls".
func plural(n any, noun string) string {
	text := count(n)
	if text != "1" {
		noun += "s"
	}
	return text + " " + noun
}

// percent is a share of a whole, and "–" of nothing.
func percent(part, whole int64) string {
	if whole == 0 {
		return "–"
	}
	share := float64(part) / float64(whole) * 100
	switch {
	case part == 0:
		return "0%"
	case share < 0.1:
		return "<0.1%"
	case share < 10:
		return fmt.Sprintf("%.1f%%", share)
	}
	return fmt.Sprintf("%.0f%%", share)
}

// ago says how long ago something was, roughly.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := now.Sub(t)
	switch {
	case d < 0:
		return "in " + shortDuration(-d)
	case d < 2*time.Second:
		return "just now"
	}
	return shortDuration(d) + " ago"
}

// shortDuration is a duration in its largest unit that fits.
func shortDuration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}

// byteCount is a size a person reads.
func byteCount(n any) string {
	size, err := strconv.ParseFloat(fmt.Sprint(n), 64)
	if err != nil {
		return fmt.Sprint(n)
	}
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if size < 1024 {
			if size == float64(int64(size)) || size >= 100 {
				return fmt.Sprintf("%.0f %s", size, unit)
			}
			return fmt.Sprintf("%.1f %s", size, unit)
		}
		size /= 1024
	}
	return fmt.Sprintf("%.1f TiB", size)
}

// timeTag is a time in UTC; a script adds the reader's own time as a tooltip.
func timeTag(t time.Time, format string) template.HTML {
	if t.IsZero() {
		return "–"
	}
	t = t.UTC()
	return template.HTML(`<time datetime="` + t.Format(time.RFC3339Nano) + `">` + t.Format(format) + `</time>`)
}

// prettyJSON indents JSON for reading; what is none comes as it is.
func prettyJSON(v any) string {
	raw, ok := v.(json.RawMessage)
	if !ok {
		var encoded bytes.Buffer
		encoder := json.NewEncoder(&encoded)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(v); err != nil {
			return fmt.Sprint(v)
		}
		raw = encoded.Bytes()
	}
	var out bytes.Buffer
	if json.Indent(&out, bytes.TrimSpace(raw), "", "  ") != nil {
		return string(raw)
	}
	return out.String()
}

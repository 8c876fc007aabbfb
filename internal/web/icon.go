package web

import "html/template"

// icon is a small picture of the console's own, drawn with lines.
func icon(name string) template.HTML {
	path, ok := icons[name]
	if !ok {
		panic("web: there is no icon " + name)
	}
	return template.HTML(`<svg class="icon" viewBox="0 0 20 20" aria-hidden="true">` + path + `</svg>`)
}

var icons = map[string]string{
	"logo":   `<path d="M1 13h18M3 13V9.5a7 7 0 0 1 14 0V13M7.5 13V7.8M12.5 13V7.8M10 13V6"/>`,
	"ok":     `<path d="m4 10.5 4 4 8-9"/>`,
	"bad":    `<path d="m5 5 10 10M15 5 5 15"/>`,
	"warn":   `<path d="M10 3 2 17h16L10 3Zm0 5v4m0 2.2v.3"/>`,
	"info":   `<circle cx="10" cy="10" r="7.5"/><path d="M10 9v5m0-8v.3"/>`,
	"wait":   `<circle cx="10" cy="10" r="7" stroke-dasharray="3 3"/>`,
	"pause":  `<path d="M7 4v12M13 4v12"/>`,
	"play":   `<path d="m6 4 10 6-10 6V4Z"/>`,
	"copy":   `<rect x="7" y="7" width="9" height="9" rx="1.5"/><path d="M13 7V4.5H4.5V13H7"/>`,
	"sun":    `<circle cx="10" cy="10" r="3.5"/><path d="M10 2v2m0 12v2M2 10h2m12 0h2M4.3 4.3l1.4 1.4m8.6 8.6 1.4 1.4m0-11.4-1.4 1.4M5.7 14.3l-1.4 1.4"/>`,
	"moon":   `<path d="M16 12.5A7 7 0 0 1 7.5 4a7 7 0 1 0 8.5 8.5Z"/>`,
	"auto":   `<circle cx="10" cy="10" r="7"/><path d="M10 3v14M10 6h4.5M10 10h7M10 14h4.5"/>`,
	"menu":   `<path d="M3 5h14M3 10h14M3 15h14"/>`,
	"close":  `<path d="m5 5 10 10M15 5 5 15"/>`,
	"search": `<circle cx="9" cy="9" r="5"/><path d="m13 13 4 4"/>`,
	"guide":  `<path d="M10 5.5C8 4 5.5 3.7 3 4v11.5c2.5-.3 5 0 7 1.5 2-1.5 4.5-1.8 7-1.5V4c-2.5-.3-5 0-7 1.5Zm0 0V17"/>`,
	"right":  `<path d="m8 5 5 5-5 5"/>`,
}

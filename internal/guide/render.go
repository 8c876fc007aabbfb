package guide

import (
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode"

	"github.com/yuin/goldmark/ast"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// anchors gives headings the ids that GitHub gives them, so that a link works
// in both places.
type anchors map[string]bool

// Generate makes the id of a heading.
func (a anchors) Generate(heading []byte, _ ast.NodeKind) []byte {
	base := strings.Map(func(c rune) rune {
		switch {
		case unicode.IsLetter(c), unicode.IsNumber(c), c == '-', c == '_':
			return unicode.ToLower(c)
		case c == ' ':
			return '-'
		}
		return -1
	}, strings.TrimSpace(string(heading)))
	id := base
	for n := 1; a[id]; n++ {
		id = base + "-" + strconv.Itoa(n)
	}
	a[id] = true
	return []byte(id)
}

// Put keeps an id that the text itself gives.
func (a anchors) Put(id []byte) { a[string(id)] = true }

// links makes links between files ones between pages.
type links struct {
	files  fs.FS
	folder string // of the file
}

// Transform rewrites the links of one file.
func (l *links) Transform(tree *ast.Document, reader text.Reader, _ parser.Context) {
	var all []*ast.Link
	_ = ast.Walk(tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if link, ok := n.(*ast.Link); ok && entering {
			all = append(all, link)
		}
		return ast.WalkContinue, nil
	})
	for _, link := range all {
		to, ok := l.resolve(string(link.Destination))
		if ok {
			link.Destination = []byte(to)
			if strings.HasPrefix(to, "http") {
				link.SetAttributeString("rel", []byte("noreferrer"))
			}
			continue
		}
		for child := link.FirstChild(); child != nil; child = link.FirstChild() {
			link.Parent().InsertBefore(link.Parent(), link, child)
		}
		link.Parent().RemoveChild(link.Parent(), link)
	}
}

// resolve is where a link leads from a page, and false when it leads out of
// what is served.
func (l *links) resolve(to string) (string, bool) {
	u, err := url.Parse(to)
	if err != nil {
		return "", false
	}
	if u.IsAbs() || u.Path == "" {
		return to, true
	}
	file := path.Join(l.folder, u.Path)
	if !fs.ValidPath(file) || path.Ext(file) != ".md" {
		return "", false
	}
	if _, err := fs.Stat(l.files, file); err != nil {
		return "", false
	}
	to = urlOf(pagePath(file))
	if u.Fragment != "" {
		to += "#" + u.Fragment
	}
	return to, true
}

// scrolling renders what may be wider than a phone, tables and code, in a box
// that scrolls by itself and can be reached by keyboard. Code that is meant to
// be used has a button that copies it.
type scrolling struct{}

// RegisterFuncs tells goldmark which nodes these are.
func (s scrolling) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(extast.KindTable, s.table)
	r.Register(ast.KindFencedCodeBlock, s.code)
}

func (scrolling) table(w util.BufWriter, _ []byte, _ ast.Node, entering bool) (ast.WalkStatus, error) {
	if entering {
		_, _ = w.WriteString("<div class=\"table-scroll\" tabindex=\"0\"><table class=\"table\">\n")
	} else {
		_, _ = w.WriteString("</table></div>\n")
	}
	return ast.WalkContinue, nil
}

func (scrolling) code(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	block := n.(*ast.FencedCodeBlock)
	var code strings.Builder
	for i := range block.Lines().Len() {
		line := block.Lines().At(i)
		code.Write(line.Value(source))
	}
	id := ""
	if language := string(block.Language(source)); language != "" && language != "text" && block.Lines().Len() > 0 {
		id = fmt.Sprintf("code-%d", block.Lines().At(0).Start)
	}
	_, _ = w.WriteString(`<div class="code"><pre tabindex="0"><code`)
	if id != "" {
		fmt.Fprintf(w, ` id="%s"`, id)
	}
	_, _ = w.WriteString(">")
	_, _ = w.Write(util.EscapeHTML([]byte(code.String())))
	_, _ = w.WriteString("</code></pre>")
	if id != "" {
		fmt.Fprintf(w, `<button type="button" class="button small" data-copy="%s">Copy</button>`, id)
	}
	_, _ = w.WriteString("</div>\n")
	return ast.WalkSkipChildren, nil
}

// Package guide makes pages of HTML of the Markdown in docs/.
//
// Contract:
//   - All pages are rendered at once, by Load: what cannot be rendered is an
//     error at the start and not in front of a reader.
//   - No HTML of the Markdown is passed on, and no address that a browser would
//     run. Nothing is loaded from another host.
//   - Links between pages work under Root. What lies outside of docs/ is named
//     and not linked: it is not in the binary.
//   - Headings have the ids that GitHub gives them.
package guide

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// Root is where the pages are served.
const Root = "/docs"

// Page is one page.
type Page struct {
	Path     string // below Root, without a slash in front; empty: the table of contents
	Title    string
	HTML     template.HTML
	Headings []Heading // of the second level, in order
}

// URL is where the page is served.
func (p *Page) URL() string { return urlOf(p.Path) }

func urlOf(page string) string {
	if page == "" {
		return Root
	}
	return Root + "/" + page
}

// Heading is a place on a page.
type Heading struct{ ID, Text string }

// Part is a part of the table of contents.
type Part struct {
	Title string
	Pages []*Page
}

// Book is all pages.
type Book struct {
	// Parts are the parts of the table of contents, as docs/README.md has them.
	Parts []Part
	pages map[string]*Page
}

// Page finds a page by its path. The path may end in .md or with a slash.
func (b *Book) Page(name string) (*Page, bool) {
	name = strings.Trim(strings.TrimSuffix(name, ".md"), "/")
	p, ok := b.pages[name]
	return p, ok
}

// Load renders every Markdown file.
func Load(files fs.FS) (*Book, error) {
	b := &Book{pages: map[string]*Page{}}
	var contents ast.Node
	var contentsText []byte
	err := fs.WalkDir(files, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(file) != ".md" {
			return err
		}
		source, err := fs.ReadFile(files, file)
		if err != nil {
			return err
		}
		p, tree, err := render(files, file, source)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		b.pages[p.Path] = p
		if p.Path == "" {
			contents, contentsText = tree, source
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("guides: %w", err)
	}
	if contents == nil {
		return nil, fmt.Errorf("guides: there is no README.md, the table of contents")
	}
	b.Parts = b.parts(contents, contentsText)
	return b, nil
}

// parts reads the table of contents: the links under each heading.
func (b *Book) parts(contents ast.Node, source []byte) []Part {
	var parts []Part
	_ = ast.Walk(contents, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch n := n.(type) {
		case *ast.Heading:
			if entering && n.Level == 2 {
				parts = append(parts, Part{Title: plain(n, source)})
			}
		case *ast.Link:
			if name, ok := strings.CutPrefix(string(n.Destination), Root+"/"); entering && ok && len(parts) > 0 {
				if p, ok := b.pages[name]; ok {
					last := &parts[len(parts)-1]
					last.Pages = append(last.Pages, p)
				}
			}
		}
		return ast.WalkContinue, nil
	})
	return parts
}

// pagePath is the path of a file's page below Root.
func pagePath(file string) string {
	name := strings.TrimSuffix(file, ".md")
	if path.Base(name) == "README" {
		name = path.Dir(name)
	}
	return strings.TrimPrefix(name, ".")
}

// render makes the page of one file.
func render(files fs.FS, file string, source []byte) (*Page, ast.Node, error) {
	p := &Page{Path: pagePath(file)}
	markdown := goldmark.New(
		goldmark.WithExtensions(extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute))),
		goldmark.WithParserOptions(parser.WithAutoHeadingID(),
			parser.WithASTTransformers(util.Prioritized(&links{files, path.Dir(file)}, 100))),
		goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(scrolling{}, 100))),
	)
	tree := markdown.Parser().Parse(text.NewReader(source), parser.WithContext(parser.NewContext(parser.WithIDs(anchors{}))))
	for n := tree.FirstChild(); n != nil; n = n.NextSibling() {
		heading, ok := n.(*ast.Heading)
		if !ok {
			continue
		}
		switch title := plain(heading, source); {
		case heading.Level == 1 && p.Title == "":
			p.Title = title
		case heading.Level == 1:
			return nil, nil, fmt.Errorf("a second heading of the first level, %q", title)
		case heading.Level == 2:
			id, _ := heading.AttributeString("id")
			idText, _ := id.([]byte)
			p.Headings = append(p.Headings, Heading{string(idText), title})
		}
	}
	if p.Title == "" {
		return nil, nil, fmt.Errorf("a page begins with a heading of the first level")
	}
	var html bytes.Buffer
	if err := markdown.Renderer().Render(&html, source, tree); err != nil {
		return nil, nil, err
	}
	// Made by goldmark of our own files with raw HTML off: safe to show.
	p.HTML = template.HTML(html.String())
	return p, tree, nil
}

// plain is the text of a node without its marks.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(source))
			if t.SoftLineBreak() {
				b.WriteByte(' ')
			}
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

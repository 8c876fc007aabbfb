package catalog

import (
	"context"
	"fmt"
	"path/filepath"
)

// origin is the file that the configuration of this server comes from.
type origin struct {
	name string
	// given names the credentials that stand in the file; the others are the
	// server's own to make and rotate.
	given map[string]bool
}

// FileError means that the configuration comes from a file, and that only the
// file may change it: what anybody else changed would be gone with its next
// reading.
type FileError struct {
	File string // without its folder
}

// Error is a sentence with what to do.
func (e *FileError) Error() string {
	return fmt.Sprintf("the configuration comes from %s; edit the file and send SIGHUP to the server, or start it again", e.File)
}

// File is the name of the file that the configuration comes from, without its
// folder. Empty: it comes from whoever changes it.
func (c *Catalog) File() string {
	if from := c.file.Load(); from != nil {
		return from.name
	}
	return ""
}

// Rotatable reports whether a credential may be rotated: it is there, and does
// not stand in the file that the configuration comes from.
func (c *Catalog) Rotatable(what KeyRef) bool {
	for _, s := range c.Snapshot().document.slots() {
		if s.is(what) {
			return c.rotatable(s.owner) == nil
		}
	}
	return false
}

// CheckEditable is a *FileError when only a file may change the configuration.
func (c *Catalog) CheckEditable() error {
	if from := c.file.Load(); from != nil {
		return &FileError{from.name}
	}
	return nil
}

// ApplyFile makes a decoded file the configuration, whatever is there, and
// from then on refuses every other change on this node. It may be called again
// with what the file says by then. Errors are those of Apply; after one, the
// configuration counts as the file's all the same.
func (c *Catalog) ApplyFile(ctx context.Context, path string, doc *Document) (Change, error) {
	from := &origin{name: filepath.Base(path), given: make(map[string]bool)}
	for _, s := range doc.slots() {
		from.given[s.owner] = !s.secret.IsZero()
	}
	c.file.Store(from)
	return c.apply(ctx, doc, "file "+from.name, 0)
}

// rotatable is a *FileError for a credential that stands in the file.
func (c *Catalog) rotatable(owner string) error {
	if from := c.file.Load(); from != nil && from.given[owner] {
		return &FileError{from.name}
	}
	return nil
}

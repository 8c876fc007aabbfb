package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// Change is what applying a document did, or would do.
type Change struct {
	// Revision is the configuration's revision after the change; unchanged
	// when there are no differences.
	Revision    uint64            `json:"revision"`
	Differences []Difference      `json:"differences"`
	Generated   []GeneratedSecret `json:"generated,omitempty"`
}

// GeneratedSecret is a credential that the file left out and Causeway made. It
// is shown this once: only its hash is kept.
type GeneratedSecret struct {
	Path  string `json:"path"`            // as in findings
	Name  string `json:"name"`            // of the object it belongs to
	Value string `json:"value,omitempty"` // empty in a plan
}

// Kind is the KeyRef's kind of the credential.
func (g GeneratedSecret) Kind() string {
	switch {
	case strings.HasSuffix(g.Path, ".apiKey"):
		return string(destinationSlot)
	case strings.HasSuffix(g.Path, ".webhook.secret"):
		return string(webhookSlot)
	case strings.HasSuffix(g.Path, ".secret"):
		return string(listenerSlot)
	}
	return string(sdkSlot)
}

// LogValue is what slog writes: everything but the value.
func (g GeneratedSecret) LogValue() slog.Value {
	return slog.GroupValue(slog.String("path", g.Path), slog.String("name", g.Name), slog.String("value", masked))
}

// AuditEntry is what Options.Audit is given for an applied change, as JSON.
type AuditEntry struct {
	Time        time.Time    `json:"time"` // UTC
	Actor       string       `json:"actor"`
	Revision    uint64       `json:"revision"`
	Differences []Difference `json:"differences"`
}

// Plan says what applying doc would change. It writes and generates nothing.
func (c *Catalog) Plan(doc *Document) (Change, []Finding) {
	current := c.Snapshot()
	p, found := c.prepare(doc, current)
	if len(found) > 0 {
		return Change{Revision: current.Revision, Differences: []Difference{}}, found
	}
	for i := range p.change.Generated {
		p.change.Generated[i].Value = ""
	}
	p.change.Revision = current.Revision
	return p.change, nil
}

// FromEmpty, as the revision that a document was made from, means the empty
// catalog, whose own revision is 0.
const FromEmpty = math.MaxUint64

// Apply makes doc the configuration. Secrets that doc leaves out are kept from
// the object of the same name, or generated. doc itself is not changed.
//
// ifRevision is the revision that doc was made from; 0 means whatever is
// there, FromEmpty that nothing must be. Errors: *InvalidError when doc is wrong; ErrStale when the
// configuration is at another revision than ifRevision; anything else when the
// store could not be written, and then the change may yet have been stored:
// applying again is safe.
//
// With ifRevision 0 a lost race is tried again on what is there then. With a
// revision it never is: the caller decides.
//
// *FileError: the configuration comes from a file, and only that may change it.
func (c *Catalog) Apply(ctx context.Context, doc *Document, actor string, ifRevision uint64) (Change, error) {
	if err := c.CheckEditable(); err != nil {
		return Change{}, err
	}
	return c.apply(ctx, doc, actor, ifRevision)
}

// Edit changes what is there: edit is given a copy of the present document and
// changes that. It is called again, on a newer copy, when another node was
// first. What edit returns as an error is returned as it is, and nothing
// changes; the other errors are those of Apply.
func (c *Catalog) Edit(ctx context.Context, actor string, edit func(*Document) error) (Change, error) {
	if err := c.CheckEditable(); err != nil {
		return Change{}, err
	}
	return c.change(ctx, actor, 0, func(current *Snapshot) (plan, error) {
		doc := current.Document()
		if err := edit(doc); err != nil {
			return plan{}, err
		}
		p, found := c.prepare(doc, current)
		if len(found) > 0 {
			return plan{}, &InvalidError{found}
		}
		return p, nil
	})
}

func (c *Catalog) apply(ctx context.Context, doc *Document, actor string, ifRevision uint64) (Change, error) {
	return c.change(ctx, actor, ifRevision, func(current *Snapshot) (plan, error) {
		p, found := c.prepare(doc, current)
		if len(found) > 0 {
			return plan{}, &InvalidError{found}
		}
		return p, nil
	})
}

// plan is a change that is ready to be written.
type plan struct {
	document *Document // secrets hashed or sealed
	change   Change
}

// changeTries is how often a change of whatever is there is tried against
// other nodes' changes.
const changeTries = 10

// change runs build on the present configuration and stores what it gives.
func (c *Catalog) change(ctx context.Context, actor string, ifRevision uint64, build func(*Snapshot) (plan, error)) (Change, error) {
	select {
	case c.writing <- struct{}{}:
		defer func() { <-c.writing }()
	case <-ctx.Done():
		return Change{}, ctx.Err()
	}
	for try := range changeTries {
		if err := c.refresh(ctx); err != nil {
			return Change{}, err
		}
		current := c.Snapshot()
		if ifRevision != 0 && ifRevision != current.Revision && (ifRevision != FromEmpty || current.Revision != 0) {
			return Change{}, fmt.Errorf("%w (it is at revision %d)", ErrStale, current.Revision)
		}
		p, err := build(current)
		if err != nil {
			return Change{}, err
		}
		if len(p.change.Differences) == 0 {
			return Change{Revision: current.Revision, Differences: []Difference{}}, nil
		}
		change, err := c.commit(ctx, p, actor, current)
		if !errors.Is(err, errConflict) {
			return change, err
		}
		if ifRevision != 0 {
			return Change{}, ErrStale
		}
		select {
		case <-ctx.Done():
			return Change{}, ctx.Err()
		case <-time.After(rand.N(time.Duration(try+1) * 5 * time.Millisecond)):
		}
	}
	return Change{}, fmt.Errorf("%w (%d times in a row)", ErrStale, changeTries)
}

// commit stores a plan over a snapshot, shows it and keeps an audit entry.
func (c *Catalog) commit(ctx context.Context, p plan, actor string, over *Snapshot) (Change, error) {
	contents := p.document.contents()
	versions, err := over.versions.next(over.document.contents(), contents, c.now())
	if err != nil {
		return Change{}, err
	}
	snapshot, err := c.compile(p.document, versions, contents, over.Revision) // what cannot be read back must not be stored
	if err != nil {
		return Change{}, err
	}
	revision, err := c.write(ctx, p.document, versions, over.Revision)
	if err != nil {
		return Change{}, err
	}
	snapshot.Revision = revision
	c.install(snapshot)
	p.change.Revision = revision
	c.keepAudit(ctx, AuditEntry{Time: c.now().UTC(), Actor: actor, Revision: revision, Differences: p.change.Differences})
	return p.change, nil
}

// keepAudit appends an audit entry. The change has happened by then, so a
// failure is not the caller's: the entry goes to the log instead, whole.
func (c *Catalog) keepAudit(ctx context.Context, entry AuditEntry) {
	text, err := json.Marshal(entry)
	if err == nil {
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = c.audit(asking, text)
	}
	if err != nil {
		c.log.Error("an audit entry could not be kept and stands here instead", "error", err, "entry", string(text))
	}
}

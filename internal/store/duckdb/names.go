package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
)

// Texts that repeat from row to row (an environment, an event type) are in the
// table names once, and rows hold their numbers. What is remembered of that
// table here is bounded, because senders choose names: what is not remembered
// is looked up, for a whole batch at once.

const (
	maxKnownNames     = 64 << 10
	maxKnownNameBytes = 8 << 20

	// noName is the number of a text that was never stored: no row has it.
	noName int32 = -1
)

// names is what the store remembers of the table names.
type names struct {
	// last is the highest number in use; guarded by Store.writing, as is used.
	// A number is not given out twice while the store is open.
	last int32
	// used is not nil while Retain looks for names that no row has: which ones
	// were written since it began to look.
	used map[int32]struct{}

	room int          // for that many names
	mu   sync.RWMutex // for writing mu, Store.writing is held too
	// known holds committed names only.
	known map[string]int32
	bytes int
	all   bool // known is the whole table
	// coming says that names are being committed: queries may see them in the
	// table before they are known here.
	coming bool
}

// load reads the table, as far as it is to be remembered.
func (n *names) load(ctx context.Context, conn *sql.Conn) (err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known, n.bytes, n.all, n.coming = make(map[string]int32), 0, true, false
	defer func() { n.all = n.all && err == nil }()
	var last int32
	if err := conn.QueryRowContext(ctx, "SELECT max(id) FROM names").Scan(&last); err != nil {
		return fmt.Errorf("read the last name: %w", err)
	}
	n.last = max(n.last, last)
	// The newest, one more than fit: so it shows when these are not all.
	rows, err := conn.QueryContext(ctx, "SELECT id, text FROM names ORDER BY id DESC LIMIT ?", n.room+1)
	if err != nil {
		return fmt.Errorf("read the names: %w", err)
	}
	defer rows.Close()
	for n.all && rows.Next() {
		var id int32
		var text string
		if err := rows.Scan(&id, &text); err != nil {
			return fmt.Errorf("read the names: %w", err)
		}
		n.remember(text, id)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the names: %w", err)
	}
	return nil
}

// remember adds a committed name. When there is no room for it, all others are
// forgotten: those still in use are back with the next batch, and a flood of
// names that come once costs no bookkeeping.
func (n *names) remember(text string, id int32) {
	if len(n.known) >= n.room || n.bytes+len(text) > maxKnownNameBytes {
		n.known, n.bytes, n.all = make(map[string]int32), 0, false
	}
	if len(text) > maxKnownNameBytes/16 {
		n.all = false
		return
	}
	// The text may be part of a large body that must not stay for it.
	n.known[strings.Clone(text)] = id
	n.bytes += len(text)
}

// numbering gives the names of one transaction their numbers: want all of
// them, resolve, then ask id.
type numbering struct {
	ids    map[string]int32
	wanted []string
	fresh  []string // to be new rows of the table, the first has number first
	first  int32
}

// column is the name before in the same column: mostly the next is the same.
type column struct {
	text string
	set  bool
	id   int32
	// known says that id is of text.
	known bool
}

// want says that a name will be asked for.
func (n *numbering) want(c *column, name string) {
	if c.set && c.text == name {
		return
	}
	c.text, c.set = name, true
	if n.ids == nil {
		n.ids = make(map[string]int32)
	}
	if _, ok := n.ids[name]; !ok {
		n.ids[name] = noName
		n.wanted = append(n.wanted, name)
	}
}

// id is the number of a name that was wanted.
func (n *numbering) id(c *column, name string) int32 {
	if c.known && c.text == name {
		return c.id
	}
	id, ok := n.ids[name]
	if !ok {
		panic("a name is written that was not wanted")
	}
	c.text, c.id, c.known = name, id, true
	return c.id
}

// resolve finds or makes the numbers of all names that are wanted, with at most
// one query. The caller holds Store.writing.
func (n *names) resolve(ctx context.Context, tx *transaction) error {
	b := &tx.names
	var missing []string // as stored, and each once
	places := make(map[string]int32)
	for _, name := range b.wanted {
		stored := text(name)
		if id, ok := n.known[stored]; ok { // only who holds Store.writing changes it
			b.ids[name] = id
		} else if _, ok := places[stored]; !ok {
			places[stored] = noName
			missing = append(missing, stored)
		}
	}
	if len(missing) > 0 {
		if err := n.lookUp(ctx, tx, missing, places); err != nil {
			return err
		}
		b.first = n.last + 1
		for _, stored := range missing {
			if places[stored] != noName {
				continue
			}
			if int(n.last)+len(b.fresh) >= math.MaxInt32 {
				return errors.New("all numbers for names are used up")
			}
			id := b.first + int32(len(b.fresh))
			if err := tx.append("names", id, stored); err != nil {
				return err
			}
			places[stored] = id
			b.fresh = append(b.fresh, stored)
		}
		for _, name := range b.wanted {
			if b.ids[name] == noName {
				b.ids[name] = places[text(name)]
			}
		}
	}
	if n.used != nil {
		for _, id := range b.ids {
			n.used[id] = struct{}{}
		}
	}
	return nil
}

// lookUp fills in the numbers of names that are in the table.
func (n *names) lookUp(ctx context.Context, tx *transaction, missing []string, places map[string]int32) error {
	if n.all {
		return nil
	}
	for _, stored := range missing {
		if err := tx.append("stage_names", int32(0), stored); err != nil {
			return err
		}
	}
	if err := tx.flush(); err != nil {
		return err
	}
	rows, err := tx.conn.QueryContext(ctx, "SELECT names.text, names.id FROM names JOIN stage_names ON names.text = stage_names.text")
	if err != nil {
		return fmt.Errorf("look for known names: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		var id int32
		if err := rows.Scan(&text, &id); err != nil {
			return fmt.Errorf("look for known names: %w", err)
		}
		places[text] = id
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("look for known names: %w", err)
	}
	if err := tx.exec(ctx, "DELETE FROM stage_names"); err != nil {
		return fmt.Errorf("clear the stage: %w", err)
	}
	return nil
}

// committing is said before a commit, so that a query that sees its rows looks
// for their names in the table until committed.
func (n *names) committing(b *numbering) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.coming = len(b.fresh) > 0
}

// committed takes over what a transaction found and made. The caller holds
// Store.writing.
func (n *names) committed(b *numbering) {
	if len(b.wanted) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.coming = false
	n.last += int32(len(b.fresh))
	for _, name := range b.wanted {
		stored := text(name)
		if _, ok := n.known[stored]; !ok {
			n.remember(stored, b.ids[name])
		}
	}
}

// watch begins to note which names are used, and gives the last one there is.
func (n *names) watch(ctx context.Context, s *Store) (last int32, err error) {
	select {
	case s.writing <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-s.writing }()
	n.used = make(map[int32]struct{})
	return n.last, nil
}

// unwatch ends what watch began.
func (n *names) unwatch(s *Store) {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	n.used = nil
}

// drop deletes names that no row had, but for those used since watch.
func (n *names) drop(ctx context.Context, s *Store, unused []int32) error {
	return s.update(ctx, func(tx *transaction) error {
		calm := context.WithoutCancel(ctx) // why: see Store.query
		for _, id := range unused {
			if _, ok := n.used[id]; ok {
				continue
			}
			if err := tx.append("stage_names", id, ""); err != nil {
				return err
			}
		}
		if err := tx.flush(); err != nil {
			return err
		}
		if err := tx.exec(calm, "DELETE FROM names WHERE id IN (SELECT id FROM stage_names)"); err != nil {
			return err
		}
		tx.namesDropped = true
		return tx.exec(calm, "DELETE FROM stage_names")
	})
}

// name is an argument of a query: a text for whose number a parameter stands.
// One that was never stored finds nothing.
type name string

// withNumbers replaces the names among the arguments of a query.
func (s *Store) withNumbers(ctx context.Context, args []any) ([]any, error) {
	resolved := slices.Clone(args)
	missing := make(map[string]int32)
	var texts []any
	s.names.mu.RLock()
	for i, arg := range args {
		wanted, ok := arg.(name)
		if !ok {
			continue
		}
		stored := text(string(wanted))
		if id, ok := s.names.known[stored]; ok {
			resolved[i] = id
		} else if _, ok := missing[stored]; !ok {
			missing[stored] = noName
			texts = append(texts, stored)
		}
	}
	all := s.names.all && !s.names.coming
	s.names.mu.RUnlock()
	if len(texts) > 0 && !all {
		query := "SELECT text, id FROM names WHERE text IN (?" + strings.Repeat(", ?", len(texts)-1) + ")"
		err := s.query(ctx, query, texts, func(rows *sql.Rows) error {
			var text string
			var id int32
			err := rows.Scan(&text, &id)
			missing[text] = id
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("look for known names: %w", err)
		}
	}
	for i, arg := range resolved {
		if wanted, ok := arg.(name); ok {
			resolved[i] = missing[text(string(wanted))]
		}
	}
	return resolved, nil
}

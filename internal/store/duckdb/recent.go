package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"causeway/internal/fme"
	"causeway/internal/store"
)

// claims decides, id by id, what of a batch is new: an id may be taken once,
// by the first who asks, and not at all when an earlier batch took it.
type claims struct {
	places map[fme.ID]int32
	ids    []fme.ID
	taken  []bool
	known  *idFilter
	asked  []int32 // the places of the batch's ids, in their order in the batch
	next   int     // in asked
}

// claimsOf gathers every id that a batch may take.
func claimsOf(batch *store.Batch, known *idFilter) *claims {
	size := len(batch.Impressions) + len(batch.Events)
	for i := range batch.Calls {
		size += max(1, len(batch.Calls[i].Events)+len(batch.Calls[i].Identities))
	}
	c := &claims{known: known, places: make(map[fme.ID]int32, size), ids: make([]fme.ID, 0, size), asked: make([]int32, 0, size)}
	for i := range batch.Calls {
		call := &batch.Calls[i]
		for j := range call.Events {
			c.add(call.Events[j].ID)
		}
		for j := range call.Identities {
			c.add(call.Identities[j].ID)
		}
		if !hasLegs(call) {
			c.add(call.ID)
		}
	}
	for i := range batch.Impressions {
		c.add(batch.Impressions[i].ID)
	}
	for i := range batch.Events {
		c.add(batch.Events[i].ID)
	}
	c.taken = make([]bool, len(c.ids))
	return c
}

// hasLegs says whether a call made anything. What it made is what a repeat is
// known by; a call that made nothing is known by its own id.
func hasLegs(call *store.Call) bool { return len(call.Events)+len(call.Identities) > 0 }

func (c *claims) add(id fme.ID) {
	if id == (fme.ID{}) {
		return
	}
	place, ok := c.places[id]
	if !ok {
		place = int32(len(c.ids))
		c.places[id] = place
		c.ids = append(c.ids, id)
	}
	c.asked = append(c.asked, place)
}

// take reports whether id is new, and takes it. The zero id is always new. It
// must be asked in the order in which claimsOf went through the batch.
func (c *claims) take(id fme.ID) bool {
	if id == (fme.ID{}) {
		return true
	}
	place := c.asked[c.next]
	c.next++
	if c.ids[place] != id {
		panic("the batch is not written in the order it was claimed in")
	}
	if c.taken[place] {
		return false
	}
	c.taken[place] = true
	return true
}

// settle takes the ids that earlier batches took and remembers all others as
// seen now.
func (c *claims) settle(ctx context.Context, tx *transaction, now time.Time) error {
	if len(c.ids) == 0 {
		return nil
	}
	if err := c.lookUp(ctx, tx); err != nil {
		return err
	}
	recent, err := tx.table("recent")
	if err != nil {
		return err
	}
	seen := stamp(now)
	for i, id := range c.ids {
		if c.taken[i] {
			continue
		}
		c.known.add(id)
		recent.uuid(id)
		recent.time(seen)
		if err := tx.end(recent); err != nil {
			return err
		}
	}
	return nil
}

// lookUp takes the ids that are in the table, of those that may be.
func (c *claims) lookUp(ctx context.Context, tx *transaction) error {
	stage, err := tx.table("stage")
	if err != nil {
		return err
	}
	for i, id := range c.ids {
		if !c.known.mayHave(id) {
			continue
		}
		stage.int32(int32(i))
		stage.uuid(id)
		if err := tx.end(stage); err != nil {
			return err
		}
	}
	if stage.rows == 0 {
		return nil
	}
	if err := tx.flush(); err != nil {
		return err
	}
	rows, err := tx.conn.QueryContext(ctx, "SELECT stage.place FROM recent JOIN stage ON recent.id = stage.id")
	if err != nil {
		return fmt.Errorf("look for known ids: %w", err)
	}
	if err := c.mark(rows); err != nil {
		return fmt.Errorf("look for known ids: %w", err)
	}
	if err := tx.exec(ctx, "DELETE FROM stage"); err != nil {
		return fmt.Errorf("clear the stage: %w", err)
	}
	return nil
}

func (c *claims) mark(rows *sql.Rows) error {
	defer rows.Close()
	for rows.Next() {
		var place int
		if err := rows.Scan(&place); err != nil {
			return err
		}
		c.taken[place] = true
	}
	return rows.Err()
}

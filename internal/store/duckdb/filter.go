package duckdb

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"unsafe"

	engine "github.com/duckdb/duckdb-go/v2"
	"github.com/duckdb/duckdb-go/v2/mapping"

	"causeway/internal/fme"
)

// idFilter says of most new ids that they are new, without a look into the
// table recent: a Bloom filter over its ids, in blocks of one cache line. What
// it lets through may be known and is looked up; what it does not was never
// written. It may hold more than the table: ids that were rolled back, or that
// Retain deleted.
//
// With maxFilterBlocks, 64 MiB, one id in a million is looked up for nothing
// while there are ten million, two in a thousand with forty.
type idFilter struct {
	blocks []filterBlock
	ids    int64
	// all says that every id of the table is in. If not, nothing is known.
	all bool
}

type filterBlock [8]uint64

const (
	minFilterBlocks = 1 << 14
	maxFilterBlocks = 1 << 20
	idsInBlock      = 10
	// maxFilterLoad bounds how long Open reads ids: at most a second or two.
	maxFilterLoad = 2 * idsInBlock * maxFilterBlocks
	// loadRows are read at once, 16 bytes each.
	loadRows = 2 << 20
)

// place gives the block of an id and eight bits in it. The ids are parts of
// SHA-256 sums: any of their bits will do.
func (f *idFilter) place(id fme.ID) (block *filterBlock, bits uint64) {
	high, low := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	return &f.blocks[high&uint64(len(f.blocks)-1)], low
}

// mayHave is false only for an id that is not in the table.
func (f *idFilter) mayHave(id fme.ID) bool {
	if !f.all {
		return true
	}
	block, bits := f.place(id)
	for word := range block {
		if block[word]&(1<<(bits&63)) == 0 {
			return false
		}
		bits >>= 6
	}
	return true
}

// add must be told of every id before it is committed.
func (f *idFilter) add(id fme.ID) {
	if !f.all {
		return
	}
	block, bits := f.place(id)
	for word := range block {
		block[word] |= 1 << (bits & 63)
		bits >>= 6
	}
	f.ids++
}

// outgrown says that a larger filter, or a new one, would know better.
func (f *idFilter) outgrown() bool {
	return f.all && len(f.blocks) < maxFilterBlocks && f.ids > int64(len(f.blocks))*idsInBlock
}

// stale says that most of what is in the filter is not in the table any more,
// or that the table has become small enough for a filter.
func (f *idFilter) stale(ctx context.Context, conn *sql.Conn) (bool, error) {
	var rows int64
	if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM recent").Scan(&rows); err != nil {
		return false, fmt.Errorf("count the known ids: %w", err)
	}
	if !f.all {
		return rows <= maxFilterLoad, nil
	}
	return f.ids > 2*rows+minFilterBlocks*idsInBlock && rows <= maxFilterLoad, nil
}

// load fills the filter anew from the table.
func (f *idFilter) load(ctx context.Context, conn *sql.Conn, raw mapping.Connection) error {
	f.all = false
	var rows, last int64
	f.blocks = nil
	if err := conn.QueryRowContext(ctx, "SELECT count(*), coalesce(max(rowid), 0) FROM recent").Scan(&rows, &last); err != nil {
		return fmt.Errorf("count the known ids: %w", err)
	}
	f.ids = 0
	if rows > maxFilterLoad {
		return nil
	}
	blocks := minFilterBlocks
	for blocks < maxFilterBlocks && rows*4 > int64(blocks)*idsInBlock {
		blocks *= 8
	}
	f.blocks, f.all = make([]filterBlock, min(blocks, maxFilterBlocks)), true
	for first := int64(0); first <= last; first += loadRows {
		query := fmt.Sprintf("SELECT id FROM recent WHERE rowid >= %d AND rowid < %d", first, first+loadRows)
		if err := eachID(raw, query, f.add); err != nil {
			f.all = false
			return fmt.Errorf("read the known ids: %w", err)
		}
	}
	return nil
}

// eachID reads ids a vector at a time: through database/sql it takes a hundred
// times as long.
func eachID(raw mapping.Connection, query string, each func(fme.ID)) error {
	var result mapping.Result
	defer mapping.DestroyResult(&result)
	if mapping.Query(raw, query, &result) == mapping.StateError {
		return &engine.Error{Msg: mapping.ResultError(&result)}
	}
	for {
		chunk := mapping.FetchChunk(result)
		if chunk.Ptr == nil {
			return nil
		}
		rows := int(mapping.DataChunkGetSize(chunk))
		data := (*[2]uint64)(mapping.VectorGetData(mapping.DataChunkGetVector(chunk, 0)))
		for _, value := range unsafe.Slice(data, rows) {
			var id fme.ID
			binary.BigEndian.PutUint64(id[:8], value[1]^(1<<63))
			binary.BigEndian.PutUint64(id[8:], value[0])
			each(id)
		}
		mapping.DestroyDataChunk(&chunk)
	}
}

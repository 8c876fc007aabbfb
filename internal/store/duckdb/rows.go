package duckdb

import (
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"time"
	"unsafe"

	engine "github.com/duckdb/duckdb-go/v2"
	"github.com/duckdb/duckdb-go/v2/mapping"
)

// table appends rows to one table, in bulk. Values are written straight into
// the vectors of a chunk, in the order of the table's columns: the driver's
// Appender takes them one by one as interfaces, with a call into C for each,
// which cost as much as all that DuckDB does with a row.
//
// A row begins by itself and ends with end. A value of another type than its
// column's would be read as garbage, so every method checks.
type table struct {
	name     string
	appender mapping.Appender
	types    []mapping.LogicalType
	kinds    []mapping.Type
	chunk    mapping.DataChunk
	vectors  []vector
	row      int // in the chunk
	column   int // of the row, the next to be written
	rows     int
	texts    arena
}

// vector is one column of the chunk.
type vector struct {
	data  unsafe.Pointer
	nulls unsafe.Pointer // a bit for each row, 0 is NULL; nil while there is none
}

// chunkRows is how many rows a chunk has room for.
var chunkRows = int(mapping.VectorSize())

// connectionOf is the C handle of the driver's connection, which the driver
// does not give away.
func connectionOf(conn driver.Conn) (mapping.Connection, error) {
	c, ok := conn.(*engine.Conn)
	if !ok {
		return mapping.Connection{}, fmt.Errorf("the connection is a %T", conn)
	}
	field := reflect.ValueOf(c).Elem().FieldByName("conn")
	if !field.IsValid() || field.Type() != reflect.TypeFor[mapping.Connection]() {
		return mapping.Connection{}, errors.New("this version of the driver keeps its connection elsewhere")
	}
	return *(*mapping.Connection)(field.Addr().UnsafePointer()), nil
}

func newTable(conn mapping.Connection, name string) (*table, error) {
	t := &table{name: name}
	if mapping.AppenderCreateExt(conn, "", "", name, &t.appender) == mapping.StateError {
		err := t.failure()
		mapping.AppenderDestroy(&t.appender)
		return nil, err
	}
	for i := range mapping.AppenderColumnCount(t.appender) {
		kind := mapping.AppenderColumnType(t.appender, i)
		t.types, t.kinds = append(t.types, kind), append(t.kinds, mapping.GetTypeId(kind))
	}
	t.chunk = mapping.CreateDataChunk(t.types)
	t.vectors = make([]vector, len(t.types))
	t.begin()
	return t, nil
}

// begin makes the chunk ready for its first row.
func (t *table) begin() {
	mapping.DataChunkReset(t.chunk)
	for i := range t.vectors {
		t.vectors[i] = vector{data: mapping.VectorGetData(mapping.DataChunkGetVector(t.chunk, mapping.IdxT(i)))}
	}
	t.row = 0
	t.texts.reset()
}

// failure is what the engine says went wrong last.
func (t *table) failure() error {
	data := mapping.AppenderErrorData(t.appender)
	defer mapping.DestroyErrorData(&data)
	return &engine.Error{Type: engine.ErrorType(mapping.ErrorDataErrorType(data)), Msg: mapping.ErrorDataMessage(data)}
}

// next is where the next value of the row belongs.
func (t *table) next(kind mapping.Type, size uintptr) unsafe.Pointer {
	if t.column >= len(t.kinds) || t.kinds[t.column] != kind {
		panic(fmt.Sprintf("%s: value %d of a row does not fit the column", t.name, t.column))
	}
	at := unsafe.Add(t.vectors[t.column].data, uintptr(t.row)*size)
	t.column++
	return at
}

func (t *table) int32(v int32)     { *(*int32)(t.next(mapping.TypeInteger, 4)) = v }
func (t *table) int64(v int64)     { *(*int64)(t.next(mapping.TypeBigInt, 8)) = v }
func (t *table) float64(v float64) { *(*float64)(t.next(mapping.TypeDouble, 8)) = v }
func (t *table) bool(v bool)       { *(*bool)(t.next(mapping.TypeBoolean, 1)) = v }

// time takes what stamp made.
func (t *table) time(v time.Time) { *(*int64)(t.next(mapping.TypeTimestamp, 8)) = v.UnixMicro() }

// uuid is a 128-bit integer whose sign is flipped, so that it sorts.
func (t *table) uuid(v [16]byte) {
	at := (*[2]uint64)(t.next(mapping.TypeUUID, 16))
	at[0], at[1] = binary.BigEndian.Uint64(v[8:]), binary.BigEndian.Uint64(v[:8])^(1<<63)
}

// textHeader is duckdb_string_t: up to 12 bytes in place, else the first four
// and where all of them are.
type textHeader struct {
	length uint32
	prefix [4]byte
	at     unsafe.Pointer // or eight bytes more
}

// text takes what the function text made.
func (t *table) text(s string) {
	header := (*textHeader)(t.next(mapping.TypeVarchar, 16))
	if len(s) <= 12 {
		*(*[16]byte)(unsafe.Pointer(header)) = [16]byte{}
		header.length = uint32(len(s))
		copy(unsafe.Slice(&header.prefix[0], 12), s)
		return
	}
	kept := t.texts.keep(s)
	// Written as a number: it points to pinned memory, and what it overwrites
	// is no pointer of Go's.
	raw := (*[2]uint64)(unsafe.Pointer(header))
	raw[0], raw[1] = uint64(len(s)), uint64(uintptr(unsafe.Pointer(kept)))
	copy(header.prefix[:], s)
}

func (t *table) null() {
	if t.column >= len(t.vectors) {
		panic(t.name + ": a row has too many values")
	}
	v := &t.vectors[t.column]
	if v.nulls == nil {
		of := mapping.DataChunkGetVector(t.chunk, mapping.IdxT(t.column))
		mapping.VectorEnsureValidityWritable(of)
		v.nulls = mapping.VectorGetValidity(of)
	}
	word := (*uint64)(unsafe.Add(v.nulls, t.row/64*8))
	*word &^= 1 << (t.row % 64)
	t.column++
}

// end ends a row.
func (t *table) end() error {
	if t.column != len(t.kinds) {
		panic(fmt.Sprintf("%s: a row has %d values for %d columns", t.name, t.column, len(t.kinds)))
	}
	t.column = 0
	t.row++
	t.rows++
	if t.row < chunkRows {
		return nil
	}
	return t.push()
}

// push hands the rows of the chunk to the engine, which copies them.
func (t *table) push() error {
	if t.row == 0 {
		return nil
	}
	mapping.DataChunkSetSize(t.chunk, mapping.IdxT(t.row))
	if mapping.AppendDataChunk(t.appender, t.chunk) == mapping.StateError {
		return t.failure()
	}
	t.begin()
	return nil
}

// flush puts all rows into the table and ends the appending.
func (t *table) flush() error {
	err := t.push()
	if err == nil && mapping.AppenderFlush(t.appender) == mapping.StateError {
		err = t.failure()
	}
	if err != nil {
		t.discard()
		return err
	}
	t.free()
	return nil
}

// discard gives up what is not flushed.
func (t *table) discard() {
	mapping.AppenderClear(t.appender)
	t.free()
}

func (t *table) free() {
	mapping.DestroyDataChunk(&t.chunk)
	mapping.AppenderDestroy(&t.appender)
	for i := range t.types {
		mapping.DestroyLogicalType(&t.types[i])
	}
	t.texts.free()
}

// arena keeps the texts of one chunk where C may read them.
type arena struct {
	block  []byte // the current one; texts are appended, never moved
	blocks [][]byte
	pins   runtime.Pinner
}

const arenaBlock = 256 << 10

func (a *arena) keep(s string) *byte {
	if len(a.block)+len(s) > cap(a.block) {
		a.block = make([]byte, 0, max(arenaBlock, len(s)))
		a.pins.Pin(unsafe.SliceData(a.block))
		a.blocks = append(a.blocks, a.block)
	}
	at := len(a.block)
	a.block = append(a.block, s...)
	return &a.block[at]
}

// reset makes room: nobody reads the texts any more.
func (a *arena) reset() {
	if len(a.blocks) == 1 {
		a.block = a.blocks[0][:0]
		return
	}
	a.free()
}

func (a *arena) free() {
	a.pins.Unpin()
	a.block, a.blocks = nil, nil
}

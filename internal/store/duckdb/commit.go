package duckdb

import (
	"time"

	engine "github.com/duckdb/duckdb-go/v2"
	"github.com/duckdb/duckdb-go/v2/mapping"
)

// statementPause is how long run sleeps between looks at what it waits for.
const statementPause = 50 * time.Microsecond

// run runs a statement that waits for the disk. The driver would ask the engine
// over and over whether one of its threads is done with it, which burns a whole
// processor for as long as a commit takes, fsync and checkpoint included.
func run(conn mapping.Connection, query string) error {
	var statement mapping.PreparedStatement
	defer mapping.DestroyPrepare(&statement)
	if mapping.Prepare(conn, query, &statement) == mapping.StateError {
		return &engine.Error{Msg: mapping.PrepareError(statement)}
	}
	var pending mapping.PendingResult
	defer mapping.DestroyPending(&pending)
	if mapping.PendingPrepared(statement, &pending) == mapping.StateError {
		return &engine.Error{Msg: mapping.PendingError(pending)}
	}
	for {
		state := mapping.PendingExecuteTask(pending)
		if state == mapping.PendingStateError || mapping.PendingExecutionIsFinished(state) {
			break
		}
		if state == mapping.PendingStateNoTasksAvailable {
			time.Sleep(statementPause)
		}
	}
	var result mapping.Result
	defer mapping.DestroyResult(&result)
	if mapping.ExecutePending(pending, &result) == mapping.StateError {
		return &engine.Error{Type: engine.ErrorType(mapping.ResultErrorType(&result)), Msg: mapping.ResultError(&result)}
	}
	return nil
}

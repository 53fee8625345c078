// Package embedded is the TraceDB engine for one host: a Pebble database in a
// directory that belongs to one process.
//
// # What survives
//
// Write returns after the log was written and synced (fdatasync). An
// acknowledged batch survives the death of the process (kill -9, OOM), a crash
// of the kernel and a loss of power, as far as the disk keeps what it said it
// had stored. A batch is there whole or not at all. What was not acknowledged,
// at most the last second, is lost.
//
// # A full disk
//
// Pebble ends the process when its log or manifest cannot be written. A tracer
// must not: so Write refuses with tracedb.ErrDiskFull while less than
// Options.MinFreeBytes is left, and below Pebble sits a file system that turns
// "no space" into waiting (guardFS). When there is room again, writing goes on
// where it stopped. Any other write error makes the database fail:
// every method then returns tracedb.ErrFailed, and only closing and opening it
// again helps. In no case does the process end.
//
// # Layout
//
//	c | ten-minute number, 4 bytes | container, 8 | start in ns, 8 -> chunk
//	e | kind | 0 | time in ns, 8 | sequence, 4                     -> event
//	m | container, 8 | first seen in ns, 8                         -> JSON
//	v                                                              -> JSON
//
// Numbers are big endian. Chunks are ordered by time first, so new data go to
// the end, tables are seldom rewritten, and retention drops whole tables.
package embedded

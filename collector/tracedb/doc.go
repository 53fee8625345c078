// Package tracedb keeps what Seer measured and decided, so that models can be
// trained on it and reports rebuilt from it (DESIGN.md section 5).
//
// A series is one statistic of one queue of one container. The samples of all
// series of one container over ten seconds form a chunk, the unit of storage:
// one key, one value, encoded by Encoder.AppendChunk. Series share their chunk
// because they share its clock, because an idle queue then costs nothing, and
// because it maps one to one onto a row of a wide-column store: partition
// (host, ten minutes), clustering (container, start), one blob.
//
// Three things are kept apart, everywhere: a value, a measured zero, and a
// sample that was not taken (Valid is false). Timestamps are stored exactly, to
// the nanosecond, as the collector reported them. Values are float32: integers
// up to 2^24 are exact, everything else is within 0.1 %.
//
// Recorder turns ticks into chunks, Store is what an engine must do
// (embedded.DB is one), ReadWindow gives training a dense matrix, and
// tracedb/export writes files.
package tracedb

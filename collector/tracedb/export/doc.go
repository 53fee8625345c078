// Package export writes what the TraceDB holds to files that other tools read.
//
// A file has one row for each tick, container and queue, in order of time (by
// ten seconds), container and queue. Columns, CSV and Parquet alike:
//
//	time_ns       start of the tick, nanoseconds since the epoch, UTC
//	time_ms       the same in milliseconds, for tools without 64-bit integers
//	tick_ns       length of the tick, nanoseconds
//	container_id  as seer inspect shows it: "4711", "v1:4711", "comm:af3e"
//	container     its name at that time
//	service       its service at that time
//	queue         "accept_backlog", see seer inspect queue help
//	unit          of mean, max, depth and limit
//	mean, max, depth, arrivals, departures, wait_ns, limit
//	valid         false: not measured
//
// Where valid is false the statistics are empty (CSV) or null (Parquet), never
// zero: a queue that was not read is not an empty queue. limit is empty or null
// where the queue has none.
//
// A file appears under its name when it is complete, or not at all.
package export

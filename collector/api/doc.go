// Package api is what a running Seer answers: the control socket that
// `seer inspect` and `seer top` ask, and the metrics that Prometheus scrapes.
//
// A Server consumes ticks (it is a collector.Sink) and answers from the last
// one. It never holds up the tick that feeds it: Consume copies the rows into
// a frame that readers then share, allocates nothing once the number of
// containers is steady, and takes only locks that are held for microseconds.
//
// The control socket speaks HTTP/1.1 over a unix socket that only root and
// the user running Seer may use:
//
//	GET /v1/OBJECT?container=NAME&...  one Document
//	GET /v1/stream?every=1s            one snapshot a line (NDJSON), until closed
//
// A Client speaks it. Everything kept is bounded: history (history.go), the
// containers that have their own metrics (totals.go), stream clients, and one
// encoded snapshot per stream client; a client that reads too slowly skips
// snapshots and is told how many.
package api

// Package qos watches promises: a percentile of an entry service's latency and
// its bound. It says from when to when one was broken, by how much, and which
// service started it (docs/VIOLATIONS.md).
//
//	target, err := qos.ParseTarget("frontend p99 20ms")
//	w := qos.NewWatcher(qos.Options{Targets: []qos.Target{target}})
//	w.Observe(start, end, "frontend", served, open) // once a tick
//	for _, v := range w.Changed() { ... }
//
// Nothing here reads a kernel or a clock: time comes with the ticks, so the same
// input gives the same violations, live or replayed.
package qos

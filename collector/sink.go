package collector

// Sink consumes ticks. Consume is called from one goroutine, in order, and
// must not block: the next tick waits for it. It must not keep the Tick, its
// Rows or their slices after it returns.
type Sink interface {
	Consume(*Tick)
}

package window

// Shape is the size of one example.
type Shape struct {
	Queues   int // C
	Services int // N, spare slots included
	Ticks    int // T
}

// Len is the number of cells of one example.
func (s Shape) Len() int { return s.Queues * s.Services * s.Ticks }

// Layout says what the cells of an example are. A model keeps the one that it was
// trained with.
type Layout struct {
	Shape     Shape
	Queues    []string // collector's names, Shape.Queues of them
	Services  []string // topological, back-end first; a spare slot is ""
	Edges     [][2]int // caller's slot, callee's slot
	TickMS    int64
	HorizonMS int64
}

// Batch is some examples. A Source reuses it for the next.
type Batch struct {
	Shape Shape
	Size  int       // examples in it
	X     []float32 // Size x Shape.Len(); 0 where not measured
	Mask  []float32 // the same; 1 where measured, else 0
	Label []int32   // Size; Shape.Services for none
}

// Source yields examples. Next fills a batch with up to cap(b.Label) examples and
// returns io.EOF after the last one. The slices of a batch have that capacity.
type Source interface {
	Layout() *Layout
	Next(b *Batch) error
	// Reset begins again; the order of examples depends on the seed alone.
	Reset(seed uint64) error
}

// Predictor is anything that judges a window: a network, or a baseline.
type Predictor interface {
	// Predict writes the probability that each slot starts a violation within the
	// horizon, and in the last place that none does: Shape.Services+1 in all, which
	// add up to 1. It keeps nothing of x and mask, which are one example's.
	Predict(x, mask, p []float32)
}

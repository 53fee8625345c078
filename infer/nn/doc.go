// Package nn holds the operations that Seer's networks are made of, for gorgonia's
// graphs. Each does a whole layer at once, forward and backward, on matrices: one
// row per tick, example and service, in this order, and one column per channel.
// A layer's weights and bias are one matrix, the bias its last row.
//
// The operations keep their buffers. So a graph belongs to one goroutine, and what
// a node holds is good until the graph runs again.
package nn

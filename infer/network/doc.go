// Package network puts Seer's networks together from the layers of infer/nn: the
// three of the paper's table 2 as references, a repaired hybrid, and the graph network
// that ships. A Graph is one of them, of a fixed batch, for training or evaluation.
package network

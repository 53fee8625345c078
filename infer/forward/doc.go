// Package forward predicts with the graph network: its forward pass alone, over a
// model's weights, without gorgonia and without allocating. The gorgonia pass of
// infer/network is what it is held to.
package forward

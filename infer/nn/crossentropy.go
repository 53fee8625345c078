package nn

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"seer/infer/matrix"
)

// CrossEntropy is how much a softmax over the logits surprises the targets, per
// example. A target row holds the weight of the right answer's class in its place
// and zeros else, so that rare classes can count more. Only used places can be right.
//
// gorgonia's own SoftMax takes one maximum for the whole matrix, and so yields NaN.
func CrossEntropy[T matrix.Float](name string, logits, targets *gorgonia.Node, used []bool) (*gorgonia.Node, error) {
	k := &entropyKernel[T]{batch: logits.Shape()[0], wide: logits.Shape()[1], used: used}
	return apply(name, k, tensor.ScalarShape(), logits, targets)
}

type entropyKernel[T matrix.Float] struct {
	batch, wide int
	used        []bool

	p, dLogits []T
	loss       [1]T
}

func (k *entropyKernel[T]) forward(in [][]T) []T {
	logits, targets := in[0], in[1]
	k.p = sized(k.p, len(logits))
	loss := 0.0
	for b := range k.batch {
		row, p := logits[b*k.wide:][:k.wide], k.p[b*k.wide:][:k.wide]
		logSum := matrix.Softmax(p, row, k.used)
		for i, w := range targets[b*k.wide:][:k.wide] {
			if w != 0 {
				loss += float64(w) * (logSum - float64(row[i]))
			}
		}
	}
	k.loss[0] = T(loss / float64(k.batch))
	return k.loss[:]
}

func (k *entropyKernel[T]) backward(in [][]T, _, grad []T) [][]T {
	targets := in[1]
	k.dLogits = sized(k.dLogits, len(k.p))
	scale := grad[0] / T(k.batch)
	for b := range k.batch {
		target := targets[b*k.wide:][:k.wide]
		weight := T(0)
		for _, w := range target {
			weight += w
		}
		for i, w := range target {
			k.dLogits[b*k.wide+i] = scale * (weight*k.p[b*k.wide+i] - w)
		}
	}
	return [][]T{k.dLogits}
}

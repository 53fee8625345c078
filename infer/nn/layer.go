package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"seer/infer/matrix"
)

// Activation bends what a layer yields.
type Activation int

// Activations.
const (
	Linear Activation = iota
	ReLU
	Sigmoid
	Tanh
)

// Layer is a dense layer, a convolution or a round of message passing.
type Layer struct {
	Name       string
	Rows       int // 0: as many as the input; else the same numbers, cut otherwise
	Activation Activation
	// Neighbourhood, if not nil, is what each row sees besides itself.
	Neighbourhood *Neighbourhood
	// Residual adds the input to what the layer yields.
	Residual bool
}

// Apply computes f(N(x) w + b), plus x if residual. w has a row per channel of N(x)
// and one for b.
func Apply[T matrix.Float](l Layer, x, w *gorgonia.Node) (*gorgonia.Node, error) {
	k := &layerKernel[T]{Layer: l, rows: l.Rows, in: w.Shape()[0] - 1, out: w.Shape()[1]}
	if k.rows == 0 {
		k.rows = x.Shape()[0]
	}
	k.channels = k.in
	if n := l.Neighbourhood; n != nil {
		k.channels = k.in / len(n.Parts)
		if n.Ticks*n.Batch*n.Services != k.rows || k.channels*len(n.Parts) != k.in {
			return nil, fmt.Errorf("%s: %d rows of %d do not fit its neighbourhood", l.Name, k.rows, k.in)
		}
	}
	if x.Shape().TotalSize() != k.rows*k.channels {
		return nil, fmt.Errorf("%s: input %v is not %d rows of %d", l.Name, x.Shape(), k.rows, k.channels)
	}
	if l.Residual && k.channels != k.out {
		return nil, fmt.Errorf("%s: %d channels cannot be added to %d", l.Name, k.channels, k.out)
	}
	k.needX = !isData(x)
	return apply(l.Name, k, tensor.Shape{k.rows, k.out}, x, w)
}

type layerKernel[T matrix.Float] struct {
	Layer
	rows, in, out, channels int
	needX                   bool // whether anybody wants the gradient of x

	seen, bent, y, dSum, dW, dX []T
}

// strip is how many rows of what is seen are written out at a time: a whole
// convolution's, nine times its input, would go through memory and not the cache.
const strip = 256

// strips calls f for the rows of the layer in pieces, with what they see.
func (k *layerKernel[T]) strips(x []T, f func(first, last int, seen []T)) {
	if k.Neighbourhood == nil {
		f(0, k.rows, x)
		return
	}
	k.seen = sized(k.seen, strip*k.in)
	for first := 0; first < k.rows; first += strip {
		last := min(first+strip, k.rows)
		gather(k.Neighbourhood, k.seen, x, k.channels, first, last)
		f(first, last, k.seen)
	}
}

func (k *layerKernel[T]) forward(in [][]T) []T {
	x, w := in[0], in[1]
	k.bent = sized(k.bent, k.rows*k.out)
	k.strips(x, func(first, last int, seen []T) {
		matrix.Linear(k.bent[first*k.out:], seen, w, last-first, k.in, k.out)
	})
	switch k.Activation {
	case ReLU:
		matrix.ReLU(k.bent)
	case Sigmoid:
		matrix.Sigmoid(k.bent)
	case Tanh:
		matrix.Tanh(k.bent)
	}
	if !k.Residual {
		return k.bent
	}
	k.y = sized(k.y, len(k.bent))
	for i, v := range k.bent {
		k.y[i] = v + x[i]
	}
	return k.y
}

func (k *layerKernel[T]) backward(in [][]T, _, grad []T) [][]T {
	x, w := in[0], in[1]
	k.dSum = sized(k.dSum, len(grad))
	switch k.Activation {
	case Linear:
		copy(k.dSum, grad)
	case ReLU:
		for i, v := range k.bent {
			k.dSum[i] = 0
			if v > 0 {
				k.dSum[i] = grad[i]
			}
		}
	case Sigmoid:
		for i, v := range k.bent {
			k.dSum[i] = grad[i] * v * (1 - v)
		}
	case Tanh:
		for i, v := range k.bent {
			k.dSum[i] = grad[i] * (1 - v*v)
		}
	}
	k.dW = sized(k.dW, len(w))
	clear(k.dW)
	k.strips(x, func(first, last int, seen []T) {
		addLinearWeights(k.dW, seen, k.dSum[first*k.out:last*k.out], last-first, k.in, k.out)
	})
	if !k.needX {
		return [][]T{nil, k.dW}
	}
	k.dX = sized(k.dX, len(x))
	if k.Neighbourhood == nil {
		matrix.MulTransB(k.dX, k.dSum, w, k.rows, k.out, k.in, false)
	} else {
		clear(k.dX)
		for first := 0; first < k.rows; first += strip {
			last := min(first+strip, k.rows)
			matrix.MulTransB(k.seen, k.dSum[first*k.out:], w, last-first, k.out, k.in, false)
			scatter(k.Neighbourhood, k.dX, k.seen, k.channels, first, last)
		}
	}
	if k.Residual {
		for i, v := range grad {
			k.dX[i] += v
		}
	}
	return [][]T{k.dX, k.dW}
}

// addLinearWeights adds to dW the gradient of matrix.Linear's weights.
func addLinearWeights[T matrix.Float](dW, x, dY []T, rows, in, out int) {
	matrix.MulTransA(dW, x, dY, in, rows, out, true)
	bias := dW[in*out:][:out]
	for r := range rows {
		for c, v := range dY[r*out:][:out] {
			bias[c] += v
		}
	}
}

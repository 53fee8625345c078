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

	seen, bent, y, dSum, dW, dSeen, dX []T
}

// view is what the weights are multiplied by.
func (k *layerKernel[T]) view(x []T) []T {
	if k.Neighbourhood == nil {
		return x
	}
	k.seen = sized(k.seen, k.rows*k.in)
	return k.seen
}

func (k *layerKernel[T]) forward(in [][]T) []T {
	x, w := in[0], in[1]
	seen := k.view(x)
	if k.Neighbourhood != nil {
		gather(k.Neighbourhood, seen, x, k.channels)
	}
	k.bent = sized(k.bent, k.rows*k.out)
	matrix.Linear(k.bent, seen, w, k.rows, k.in, k.out)
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
	linearWeights(k.dW, k.view(x), k.dSum, k.rows, k.in, k.out)
	if !k.needX {
		return [][]T{nil, k.dW}
	}
	k.dX = sized(k.dX, len(x))
	if k.Neighbourhood == nil {
		matrix.MulTransB(k.dX, k.dSum, w, k.rows, k.out, k.in, false)
	} else {
		k.dSeen = sized(k.dSeen, k.rows*k.in)
		matrix.MulTransB(k.dSeen, k.dSum, w, k.rows, k.out, k.in, false)
		clear(k.dX)
		scatter(k.Neighbourhood, k.dX, k.dSeen, k.channels)
	}
	if k.Residual {
		for i, v := range grad {
			k.dX[i] += v
		}
	}
	return [][]T{k.dX, k.dW}
}

// linearWeights sets dW to the gradient of matrix.Linear's weights.
func linearWeights[T matrix.Float](dW, x, dY []T, rows, in, out int) {
	matrix.MulTransA(dW, x, dY, in, rows, out, false)
	bias := dW[in*out:][:out]
	clear(bias)
	for r := range rows {
		for c, v := range dY[r*out:][:out] {
			bias[c] += v
		}
	}
}

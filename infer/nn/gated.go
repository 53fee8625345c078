package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"seer/infer/matrix"
)

// Gated runs a recurrent layer over ticks whose gate sees the tick and not the
// state: h = z h' + (1 - z) v, with z the sigmoid of one product of x and v another.
// What depends on x is one product for all ticks, in training; in inference a tick's
// is computed once, however long the window (Feng et al. 2024 call it minGRU).
//
// x has ticks times sequences rows; w a row per channel and one for the bias, and
// the columns of z, then of v. It yields the state after the last tick.
func Gated[T matrix.Float](name string, x, w *gorgonia.Node, ticks int) (*gorgonia.Node, error) {
	k := &gatedKernel[T]{ticks: ticks, cells: w.Shape()[1] / 2, in: w.Shape()[0] - 1, needX: !isData(x)}
	if x.Shape().TotalSize()%(k.in*ticks) != 0 {
		return nil, fmt.Errorf("%s: weights %v do not fit %v in %d ticks", name, w.Shape(), x.Shape(), ticks)
	}
	k.rows = x.Shape().TotalSize() / (k.in * ticks)
	return apply(name, k, tensor.Shape{k.rows, k.cells}, x, w)
}

type gatedKernel[T matrix.Float] struct {
	ticks, rows, in, cells int
	needX                  bool

	sums, states  []T // z and v, and h, of every tick
	dSums, dState []T
	dW, dX        []T
}

func (k *gatedKernel[T]) forward(in [][]T) []T {
	x, w := in[0], in[1]
	n := k.rows * k.cells
	k.sums, k.states = sized(k.sums, 2*n*k.ticks), sized(k.states, n*k.ticks)
	matrix.Linear(k.sums, x, w, k.ticks*k.rows, k.in, 2*k.cells)
	for r := range k.ticks * k.rows {
		matrix.Sigmoid(k.sums[r*2*k.cells:][:k.cells])
	}
	clear(k.states[:n])
	for t := range k.ticks {
		states := k.states[t*n:][:n]
		if t > 0 {
			copy(states, k.states[(t-1)*n:])
		}
		matrix.Gate(states, k.sums[t*2*n:], k.cells)
	}
	return k.states[(k.ticks-1)*n:]
}

func (k *gatedKernel[T]) backward(in [][]T, _, grad []T) [][]T {
	x, w := in[0], in[1]
	k.dSums, k.dState = sized(k.dSums, len(k.sums)), sized(k.dState, len(grad))
	copy(k.dState, grad)
	for r := k.ticks*k.rows - 1; r >= 0; r-- {
		z := k.sums[r*2*k.cells:][:k.cells]
		v := k.sums[(r*2+1)*k.cells:][:k.cells]
		dz := k.dSums[r*2*k.cells:][:k.cells]
		dv := k.dSums[(r*2+1)*k.cells:][:k.cells]
		dh := k.dState[r%k.rows*k.cells:][:k.cells]
		for c, d := range dh {
			before := T(0)
			if r >= k.rows {
				before = k.states[(r-k.rows)*k.cells+c]
			}
			dz[c] = d * (before - v[c]) * z[c] * (1 - z[c])
			dv[c] = d * (1 - z[c])
			dh[c] = d * z[c]
		}
	}
	k.dW = sized(k.dW, len(w))
	clear(k.dW)
	addLinearWeights(k.dW, x, k.dSums, k.ticks*k.rows, k.in, 2*k.cells)
	if !k.needX {
		return [][]T{nil, k.dW}
	}
	k.dX = sized(k.dX, len(x))
	matrix.MulTransB(k.dX, k.dSums, w, k.ticks*k.rows, 2*k.cells, k.in, false)
	return [][]T{k.dX, k.dW}
}

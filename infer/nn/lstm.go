package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"seer/infer/matrix"
)

// LSTM runs a long short-term memory over ticks, from zeros, for each sequence by
// itself: x has ticks times sequences rows. w has a row per channel of x, one per
// cell, one for the bias, and the columns of the input, forget, cell and output
// gates. It yields the hidden state of every tick, or of the last alone.
func LSTM[T matrix.Float](name string, x, w *gorgonia.Node, ticks int, last bool) (*gorgonia.Node, error) {
	cells := w.Shape()[1] / 4
	k := &lstmKernel[T]{ticks: ticks, cells: cells, in: w.Shape()[0] - 1 - cells, last: last, needX: !isData(x)}
	if k.in <= 0 || x.Shape().TotalSize()%(k.in*ticks) != 0 {
		return nil, fmt.Errorf("%s: weights %v do not fit %v in %d ticks", name, w.Shape(), x.Shape(), ticks)
	}
	k.rows = x.Shape().TotalSize() / (k.in * ticks)
	out := tensor.Shape{ticks * k.rows, cells}
	if last {
		out[0] = k.rows
	}
	return apply(name, k, out, x, w)
}

type lstmKernel[T matrix.Float] struct {
	ticks, rows, in, cells int
	last, needX            bool

	gates, cell, bent, hidden []T // of every tick
	dGates, dCell, dHidden    []T
	dW, dX                    []T
}

// split separates the rows of the input, of the state and of the bias.
func (k *lstmKernel[T]) split(w []T) (wx, wh, bias []T) {
	wide := 4 * k.cells
	return w[:k.in*wide], w[k.in*wide:][:k.cells*wide], w[(k.in+k.cells)*wide:]
}

func (k *lstmKernel[T]) forward(in [][]T) []T {
	x, w := in[0], in[1]
	n := k.rows * k.cells // of one tick
	wx, wh, bias := k.split(w)
	k.gates = sized(k.gates, 4*n*k.ticks)
	k.cell, k.bent, k.hidden = sized(k.cell, n*k.ticks), sized(k.bent, n*k.ticks), sized(k.hidden, n*k.ticks)
	for r := range k.ticks * k.rows {
		copy(k.gates[r*4*k.cells:], bias)
	}
	matrix.Mul(k.gates, x, wx, k.ticks*k.rows, k.in, 4*k.cells, true)
	for t := range k.ticks {
		gates := k.gates[t*4*n:][:4*n]
		if t > 0 {
			matrix.Mul(gates, k.hidden[(t-1)*n:t*n], wh, k.rows, k.cells, 4*k.cells, true)
		}
		for r := range k.rows {
			g := gates[r*4*k.cells:][:4*k.cells]
			matrix.Sigmoid(g[:2*k.cells])
			matrix.Tanh(g[2*k.cells : 3*k.cells])
			matrix.Sigmoid(g[3*k.cells:])
			at := t*n + r*k.cells
			for c := range k.cells {
				v := g[c] * g[2*k.cells+c]
				if t > 0 {
					v += g[k.cells+c] * k.cell[at-n+c]
				}
				k.cell[at+c] = v
			}
		}
		bent := k.bent[t*n:][:n]
		copy(bent, k.cell[t*n:])
		matrix.Tanh(bent)
		for r := range k.rows {
			open := gates[(r*4+3)*k.cells:][:k.cells]
			for c, o := range open {
				k.hidden[t*n+r*k.cells+c] = o * bent[r*k.cells+c]
			}
		}
	}
	if k.last {
		return k.hidden[(k.ticks-1)*n:]
	}
	return k.hidden
}

func (k *lstmKernel[T]) backward(in [][]T, _, grad []T) [][]T {
	x, w := in[0], in[1]
	n := k.rows * k.cells
	wx, wh, _ := k.split(w)
	k.dGates = sized(k.dGates, len(k.gates))
	k.dCell, k.dHidden = sized(k.dCell, n), sized(k.dHidden, n)
	clear(k.dCell)
	clear(k.dHidden)
	for t := k.ticks - 1; t >= 0; t-- {
		switch {
		case !k.last:
			for i, v := range grad[t*n:][:n] {
				k.dHidden[i] += v
			}
		case t == k.ticks-1:
			copy(k.dHidden, grad)
		}
		for r := range k.rows {
			g := k.gates[(t*k.rows+r)*4*k.cells:][:4*k.cells]
			d := k.dGates[(t*k.rows+r)*4*k.cells:][:4*k.cells]
			for c := range k.cells {
				i := r*k.cells + c
				in, forget, cell, out := g[c], g[k.cells+c], g[2*k.cells+c], g[3*k.cells+c]
				bent := k.bent[t*n+i]
				dh := k.dHidden[i]
				dc := k.dCell[i] + dh*out*(1-bent*bent)
				d[c] = dc * cell * in * (1 - in)
				d[k.cells+c] = 0
				if t > 0 {
					d[k.cells+c] = dc * k.cell[(t-1)*n+i] * forget * (1 - forget)
				}
				d[2*k.cells+c] = dc * in * (1 - cell*cell)
				d[3*k.cells+c] = dh * bent * out * (1 - out)
				k.dCell[i] = dc * forget
			}
		}
		if t > 0 {
			matrix.MulTransB(k.dHidden, k.dGates[t*4*n:][:4*n], wh, k.rows, 4*k.cells, k.cells, false)
		}
	}

	k.dW = sized(k.dW, len(w))
	dWx, dWh, dBias := k.split(k.dW)
	matrix.MulTransA(dWx, x, k.dGates, k.in, k.ticks*k.rows, 4*k.cells, false)
	// The state of a tick meets the gates of the next.
	matrix.MulTransA(dWh, k.hidden, k.dGates[4*n:], k.cells, (k.ticks-1)*k.rows, 4*k.cells, false)
	clear(dBias)
	for r := range k.ticks * k.rows {
		for c, v := range k.dGates[r*4*k.cells:][:4*k.cells] {
			dBias[c] += v
		}
	}
	if !k.needX {
		return [][]T{nil, k.dW}
	}
	k.dX = sized(k.dX, len(x))
	matrix.MulTransB(k.dX, k.dGates, wx, k.ticks*k.rows, 4*k.cells, k.in, false)
	return [][]T{k.dX, k.dW}
}

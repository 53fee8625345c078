package nn

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"seer/infer/matrix"
)

// Pool yields for each example the mean of its services, then their maximum. used
// says which services there are.
func Pool[T matrix.Float](name string, x *gorgonia.Node, used []bool) (*gorgonia.Node, error) {
	k := &poolKernel[T]{used: used, channels: x.Shape()[1], batch: x.Shape()[0] / len(used)}
	for _, u := range used {
		if u {
			k.share++
		}
	}
	k.share = 1 / max(k.share, 1)
	return apply(name, k, tensor.Shape{k.batch, 2 * k.channels}, x)
}

type poolKernel[T matrix.Float] struct {
	used            []bool
	channels, batch int
	share           T // of one service in the mean

	y, dX []T
	most  []int // where each maximum was found
}

func (k *poolKernel[T]) forward(in [][]T) []T {
	x := in[0]
	k.y = sized(k.y, k.batch*2*k.channels)
	if k.most == nil {
		k.most = make([]int, k.batch*k.channels)
	}
	clear(k.y)
	for b := range k.batch {
		mean := k.y[b*2*k.channels:][:k.channels]
		most := k.y[(b*2+1)*k.channels:][:k.channels]
		at := k.most[b*k.channels:][:k.channels]
		first := true
		for s, used := range k.used {
			if !used {
				continue
			}
			row := (b*len(k.used) + s) * k.channels
			for c, v := range x[row:][:k.channels] {
				mean[c] += v * k.share
				if first || v > most[c] {
					most[c], at[c] = v, row+c
				}
			}
			first = false
		}
	}
	return k.y
}

func (k *poolKernel[T]) backward(in [][]T, _, grad []T) [][]T {
	k.dX = sized(k.dX, len(in[0]))
	clear(k.dX)
	for b := range k.batch {
		mean := grad[b*2*k.channels:][:k.channels]
		most := grad[(b*2+1)*k.channels:][:k.channels]
		for s, used := range k.used {
			if used {
				for c, v := range mean {
					k.dX[(b*len(k.used)+s)*k.channels+c] += v * k.share
				}
			}
		}
		for c, v := range most {
			k.dX[k.most[b*k.channels+c]] += v
		}
	}
	return [][]T{k.dX}
}

// Join puts the score of none after the scores of an example's services.
func Join[T matrix.Float](name string, scores, none *gorgonia.Node) (*gorgonia.Node, error) {
	batch := none.Shape()[0]
	k := &joinKernel[T]{batch: batch, services: scores.Shape().TotalSize() / batch}
	return apply(name, k, tensor.Shape{batch, k.services + 1}, scores, none)
}

type joinKernel[T matrix.Float] struct {
	batch, services  int
	y, dScore, dNone []T
}

func (k *joinKernel[T]) forward(in [][]T) []T {
	k.y = sized(k.y, k.batch*(k.services+1))
	for b := range k.batch {
		row := k.y[b*(k.services+1):][:k.services+1]
		copy(row, in[0][b*k.services:][:k.services])
		row[k.services] = in[1][b]
	}
	return k.y
}

func (k *joinKernel[T]) backward(_ [][]T, _, grad []T) [][]T {
	k.dScore, k.dNone = sized(k.dScore, k.batch*k.services), sized(k.dNone, k.batch)
	for b := range k.batch {
		row := grad[b*(k.services+1):][:k.services+1]
		copy(k.dScore[b*k.services:][:k.services], row)
		k.dNone[b] = row[k.services]
	}
	return [][]T{k.dScore, k.dNone}
}

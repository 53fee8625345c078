package nn

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"seer/infer/matrix"
)

// Abreast puts the ticks of a row side by side, as channels: what follows sees the
// whole window at once.
func Abreast[T matrix.Float](name string, x *gorgonia.Node, ticks int) (*gorgonia.Node, error) {
	k := &abreastKernel[T]{ticks: ticks, rows: x.Shape()[0] / ticks, channels: x.Shape()[1]}
	return apply(name, k, tensor.Shape{k.rows, ticks * k.channels}, x)
}

type abreastKernel[T matrix.Float] struct {
	ticks, rows, channels int
	y, dX                 []T
}

func (k *abreastKernel[T]) forward(in [][]T) []T {
	k.y = sized(k.y, len(in[0]))
	for t := range k.ticks {
		for r := range k.rows {
			copy(k.y[(r*k.ticks+t)*k.channels:][:k.channels], in[0][(t*k.rows+r)*k.channels:])
		}
	}
	return k.y
}

func (k *abreastKernel[T]) backward(_ [][]T, _, grad []T) [][]T {
	k.dX = sized(k.dX, len(grad))
	for t := range k.ticks {
		for r := range k.rows {
			copy(k.dX[(t*k.rows+r)*k.channels:][:k.channels], grad[(r*k.ticks+t)*k.channels:])
		}
	}
	return [][]T{k.dX}
}

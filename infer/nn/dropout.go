package nn

import (
	"math/rand/v2"

	"gorgonia.org/gorgonia"

	"seer/infer/matrix"
)

// Dropout silences a share of the numbers at random, other ones in every run, and
// scales up the rest. Graphs for evaluation have none.
func Dropout[T matrix.Float](name string, x *gorgonia.Node, share float64, rng *rand.Rand) (*gorgonia.Node, error) {
	return apply(name, &dropoutKernel[T]{share: share, rng: rng}, x.Shape(), x)
}

type dropoutKernel[T matrix.Float] struct {
	share       float64
	rng         *rand.Rand
	keep, y, dX []T
}

func (k *dropoutKernel[T]) forward(in [][]T) []T {
	x := in[0]
	k.keep, k.y = sized(k.keep, len(x)), sized(k.y, len(x))
	// Four draws of 16 bits from each number: the generator is what costs.
	below := uint64(k.share * (1 << 16))
	scale := T(1 / (1 - k.share))
	var bits uint64
	for i, v := range x {
		if i%4 == 0 {
			bits = k.rng.Uint64()
		}
		k.keep[i] = 0
		if bits&0xffff >= below {
			k.keep[i] = scale
		}
		bits >>= 16
		k.y[i] = v * k.keep[i]
	}
	return k.y
}

func (k *dropoutKernel[T]) backward(_ [][]T, _, grad []T) [][]T {
	k.dX = sized(k.dX, len(grad))
	for i, v := range grad {
		k.dX[i] = v * k.keep[i]
	}
	return [][]T{k.dX}
}

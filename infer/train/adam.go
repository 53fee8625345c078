package train

import (
	"math"

	"seer/infer/model"
)

// adam is the optimiser of Kingma and Ba. gorgonia has one, but keeps its moments to
// itself, and a training that goes on after an interruption needs them.
type adam struct {
	first, second [][]float32 // moments, as the weights
	step          int
}

func newAdam(weights []model.Tensor) *adam {
	a := &adam{}
	for _, w := range weights {
		a.first = append(a.first, make([]float32, len(w.Numbers)))
		a.second = append(a.second, make([]float32, len(w.Numbers)))
	}
	return a
}

const (
	decay1, decay2, epsilon = .9, .999, 1e-8
	// longest is the gradient's length beyond which it is shortened: one odd batch
	// must not undo an epoch.
	longest = 5
)

// update moves the weights against their gradients.
func (a *adam) update(weights []model.Tensor, grads [][]float32, rate float64) {
	square := 0.0
	for _, g := range grads {
		for _, v := range g {
			square += float64(v) * float64(v)
		}
	}
	shorten := float32(1)
	if length := math.Sqrt(square); length > longest {
		shorten = float32(longest / length)
	}
	a.step++
	// Both moments begin at 0; this takes out what that does to their means.
	by := float32(rate * math.Sqrt(1-math.Pow(decay2, float64(a.step))) / (1 - math.Pow(decay1, float64(a.step))))
	for i, w := range weights {
		first, second := a.first[i], a.second[i]
		for j, g := range grads[i] {
			g *= shorten
			first[j] = decay1*first[j] + (1-decay1)*g
			second[j] = decay2*second[j] + (1-decay2)*g*g
			w.Numbers[j] -= by * first[j] / (float32(math.Sqrt(float64(second[j]))) + epsilon)
		}
	}
}

package baseline

import (
	"context"
	"math"

	"seer/infer/window"
)

// Logistic is a conditional logit: a slot's score is linear in its view, none's is
// 0, and the probabilities are their softmax.
type Logistic struct {
	Weight []float32 // [queue][views]
	Bias   []float32 // [slot]
}

// logistic predicts by one.
type logistic struct {
	m       *Logistic
	v       *view
	seen    []float32 // [slot][queue][views]
	present []bool
}

func newLogistic(l *window.Layout, m *Logistic) *logistic {
	v := newView(l)
	return &logistic{m: m, v: v, seen: make([]float32, l.Shape.Services*v.width()), present: make([]bool, l.Shape.Services)}
}

// Predict implements window.Predictor.
func (g *logistic) Predict(x, mask, p []float32) {
	g.v.look(x, mask, g.seen)
	g.v.present(mask, g.present)
	none := len(p) - 1
	width := g.v.width()
	highest := 0.0
	for n := range none {
		p[n] = float32(math.Inf(-1))
		if g.present[n] {
			p[n] = g.m.Bias[n] + dot(g.m.Weight, g.seen[n*width:(n+1)*width])
			highest = max(highest, float64(p[n]))
		}
	}
	p[none] = 0
	sum := 0.0
	for n := range p {
		e := math.Exp(float64(p[n]) - highest)
		p[n] = float32(e)
		sum += e
	}
	for n := range p {
		p[n] = float32(float64(p[n]) / sum)
	}
}

func dot(a, b []float32) float32 {
	sum := float32(0)
	b = b[:len(a)]
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

const (
	logisticEpochs = 8
	logisticRate   = 3e-3
	logisticBatch  = 32
	logisticDecay  = 1e-4
	logisticWait   = 2 // epochs without improvement after which it stops
)

// fitLogistic trains by Adam, and keeps the weights that did best on validation.
func fitLogistic(ctx context.Context, train, validation window.Source, progress func(float64)) (*Logistic, error) {
	l := train.Layout()
	width := newView(l).width()
	m := &Logistic{Weight: make([]float32, width), Bias: make([]float32, l.Shape.Services)}
	for n := range m.Bias {
		m.Bias[n] = -4 // onsets are rare
	}
	g := newLogistic(l, m)
	steps := [2]adam{newAdam(width), newAdam(l.Shape.Services)}
	gradient := [2][]float32{make([]float32, width), make([]float32, l.Shape.Services)}
	p := make([]float32, l.Shape.Services+1)
	best, bestLoss, waited := clone(m), math.Inf(1), 0
	for epoch := range logisticEpochs {
		collected := 0
		step := func() {
			for i := range m.Weight {
				gradient[0][i] = gradient[0][i]/float32(collected) + logisticDecay*m.Weight[i]
			}
			for i := range m.Bias {
				gradient[1][i] /= float32(collected)
			}
			steps[0].step(m.Weight, gradient[0], logisticRate)
			steps[1].step(m.Bias, gradient[1], logisticRate)
			clear(gradient[0])
			clear(gradient[1])
			collected = 0
		}
		source := epochOf{train, uint64(epoch)}
		err := each(ctx, source, func(x, mask []float32, label int) {
			g.Predict(x, mask, p)
			for n := range l.Shape.Services {
				d := p[n]
				if n == label {
					d--
				}
				if d == 0 || !g.present[n] {
					continue
				}
				gradient[1][n] += d
				for i, v := range g.seen[n*width : (n+1)*width] {
					gradient[0][i] += d * v
				}
			}
			if collected++; collected == logisticBatch {
				step()
			}
		})
		if err != nil {
			return nil, err
		}
		if collected > 0 {
			step()
		}
		loss, err := lossOf(ctx, validation, g)
		if err != nil {
			return nil, err
		}
		if loss < bestLoss {
			best, bestLoss, waited = clone(m), loss, 0
		} else if waited++; waited == logisticWait {
			break
		}
		if progress != nil {
			progress(float64(epoch+1) / logisticEpochs)
		}
	}
	return best, nil
}

func clone(m *Logistic) *Logistic {
	return &Logistic{append([]float32(nil), m.Weight...), append([]float32(nil), m.Bias...)}
}

// epochOf is a source whose every Reset draws the examples of one epoch.
type epochOf struct {
	window.Source
	epoch uint64
}

// Reset implements window.Source.
func (e epochOf) Reset(seed uint64) error { return e.Source.Reset(seed<<32 | e.epoch) }

// lossOf returns the mean cross entropy of a predictor.
func lossOf(ctx context.Context, source window.Source, predictor window.Predictor) (float64, error) {
	p := make([]float32, source.Layout().Shape.Services+1)
	sum, n := 0.0, 0
	err := each(ctx, source, func(x, mask []float32, label int) {
		predictor.Predict(x, mask, p)
		sum -= math.Log(max(1e-9, float64(p[label])))
		n++
	})
	return sum / float64(max(1, n)), err
}

// adam is the optimiser of that name.
type adam struct {
	m, v []float32
	t    int
}

func newAdam(n int) adam { return adam{m: make([]float32, n), v: make([]float32, n)} }

func (a *adam) step(w, gradient []float32, rate float64) {
	const b1, b2, epsilon = 0.9, 0.999, 1e-8
	a.t++
	scale := rate * math.Sqrt(1-math.Pow(b2, float64(a.t))) / (1 - math.Pow(b1, float64(a.t)))
	for i, g := range gradient {
		a.m[i] = b1*a.m[i] + (1-b1)*g
		a.v[i] = b2*a.v[i] + (1-b2)*g*g
		w[i] -= float32(scale * float64(a.m[i]) / (math.Sqrt(float64(a.v[i])) + epsilon))
	}
}

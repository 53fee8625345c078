package matrix

import "math"

// Float is what networks are computed in: float32 in use, float64 where gradients
// are checked against finite differences.
type Float interface{ float32 | float64 }

// Sigmoid replaces every x by 1 / (1 + exp(-x)).
func Sigmoid[T Float](x []T) {
	switch x := any(x).(type) {
	case []float32:
		if wide {
			x = bendWide(x, -1, 1, 0)
		}
		for i, v := range x {
			x[i] = 1 / (1 + exp32(-v))
		}
	case []float64:
		for i, v := range x {
			x[i] = 1 / (1 + math.Exp(-v))
		}
	}
}

// Tanh replaces every x by its hyperbolic tangent.
func Tanh[T Float](x []T) {
	switch x := any(x).(type) {
	case []float32:
		if wide {
			x = bendWide(x, -2, 2, -1)
		}
		for i, v := range x {
			x[i] = 2/(1+exp32(-2*v)) - 1
		}
	case []float64:
		for i, v := range x {
			x[i] = math.Tanh(v)
		}
	}
}

// ReLU replaces what is below zero by zero.
func ReLU[T Float](x []T) {
	if f, ok := any(x).([]float32); ok && wide {
		x = any(reluWide(f)).([]T)
	}
	for i, v := range x {
		x[i] = max(v, 0)
	}
}

// Add adds x to y, element by element.
func Add[T Float](y, x []T) {
	x = x[:len(y)]
	if f, ok := any(y).([]float32); ok && wide {
		rest := addWide(f, any(x).([]float32))
		y, x = y[len(y)-rest:], x[len(x)-rest:]
	}
	for i, v := range x {
		y[i] += v
	}
}

// Gate moves every state h towards v by what its gate z lets through: to z h +
// (1 - z) v. A row of gates holds its z, then its v; a row of h as many cells.
func Gate[T Float](h, gates []T, cells int) {
	if f, ok := any(h).([]float32); ok && wide && cells%8 == 0 {
		gateWide(f, any(gates).([]float32), cells)
		return
	}
	for len(h) >= cells {
		z, v := gates[:cells], gates[cells:2*cells]
		for c, old := range h[:cells] {
			h[c] = v[c] + z[c]*(old-v[c])
		}
		h, gates = h[cells:], gates[2*cells:]
	}
}

// Of exp32: ln 2 in two parts, the first exact in few bits, and the polynomial.
const (
	log2e   = 1.44269504088896341
	ln2High = 0.693359375
	ln2Low  = -2.12194440e-4

	exp0 = 1.9875691500e-4
	exp1 = 1.3981999507e-3
	exp2 = 8.3334519073e-3
	exp3 = 4.1665795894e-2
	exp4 = 1.6666665459e-1
	exp5 = 5.0000001201e-1
)

// exp32 is within 3e-7 of exp, relatively, and cheap: a training step of the graph
// network computes some million of them. Cephes' expf: exp(x) = 2^n exp(r), with
// |r| <= ln(2) / 2.
func exp32(x float32) float32 {
	x = min(max(x, -87), 88)
	n := int32(x*log2e + 0.5)
	if x < 0 {
		n = int32(x*log2e - 0.5)
	}
	r := x - float32(n)*ln2High
	r -= float32(n) * ln2Low
	p := float32(exp0)
	p = p*r + exp1
	p = p*r + exp2
	p = p*r + exp3
	p = p*r + exp4
	p = p*r + exp5
	return (p*r*r + r + 1) * math.Float32frombits(uint32(n+127)<<23)
}

// Wide says whether this build and processor multiply eight numbers at a time.
func Wide() bool { return wide }

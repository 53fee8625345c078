package matrix

import "math"

// Softmax writes the probabilities of the used places, 0 to the others, and returns
// the logarithm of what they were divided by.
func Softmax[T Float](p, logits []T, used []bool) float64 {
	most := math.Inf(-1)
	for i, v := range logits {
		if used[i] {
			most = max(most, float64(v))
		}
	}
	sum := 0.0
	for i, v := range logits {
		p[i] = 0
		if used[i] {
			e := math.Exp(float64(v) - most)
			p[i] = T(e)
			sum += e
		}
	}
	for i := range p {
		p[i] /= T(sum)
	}
	return most + math.Log(sum)
}

package sim

import (
	"math"
	"math/bits"
)

// distribution is a distribution of mean 1 as a table of its quantiles.
//
// Sampling is a look-up and integer arithmetic: fast, and the same on every
// machine, which math.Exp and math.Log are not (they are assembly on some). The
// bins halve in width towards the tail, so that 1 in 10^9 is as exact as 1 in 2.
type distribution struct {
	quantiles [octaves * (octaveBins + 1)]int64 // unit 1/one
}

const (
	octaves    = 36
	octaveBins = 64
	one        = 1 << 20
	// maxSample keeps mean x sample within 63 bits for means up to 1000 s.
	maxSample = 8000 * one
)

// newDistribution tabulates the quantile function that takes the probability of
// a larger value.
func newDistribution(quantile func(upper float64) float64) *distribution {
	var q [octaves * (octaveBins + 1)]float64
	mean := 0.0
	for o := range octaves {
		width := math.Ldexp(1, -o-1)
		row := q[o*(octaveBins+1):]
		for k := range octaveBins + 1 {
			upper := float64(width * float64(1+float64(k)/octaveBins))
			row[k] = quantile(upper)
			if k > 0 {
				// Trapezoid: sampling interpolates between bins, too.
				mean += float64(float64(row[k]+row[k-1]) * float64(width/octaveBins/2))
			}
		}
	}
	d := new(distribution)
	for i, v := range q {
		d.quantiles[i] = int64(min(float64(v/mean*one)+0.5, maxSample))
	}
	return d
}

// sample returns mean times the quantile that bits select.
func (d *distribution) sample(mean int64, r uint64) int64 {
	r |= 1 << (64 - octaves)
	octave := bits.LeadingZeros64(r)
	r <<= octave + 1
	at := octave*(octaveBins+1) + int(r>>58)
	fraction := int64(r << 6 >> 44)
	low, high := d.quantiles[at], d.quantiles[at+1]
	return scale(mean, low+(high-low)*fraction>>20)
}

// scale returns mean x factor / one.
func scale(mean, factor int64) int64 {
	hi, lo := bits.Mul64(uint64(mean), uint64(factor))
	return int64(hi<<44 | lo>>20)
}

// exponential has the quantiles of the exponential distribution.
func exponential(upper float64) float64 { return -ln(upper) }

// constant is 1.
func constant(float64) float64 { return 1 }

// logNormal has those of the log-normal one with a coefficient of variation.
func logNormal(cv float64) func(upper float64) float64 {
	sigma := math.Sqrt(ln(1 + float64(cv*cv)))
	return func(upper float64) float64 {
		if upper >= 1 {
			return 0
		}
		return exp(-float64(sigma * probit(upper)))
	}
}

// The conversions below that change no type forbid the compiler to fuse a
// product and a sum into one rounding, which it does on some machines only.

// ln is the natural logarithm, to about 1e-15.
func ln(x float64) float64 {
	m, e := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m, e = m*2, e-1
	}
	// ln m = 2 atanh((m-1)/(m+1))
	y := (m - 1) / (m + 1)
	y2 := float64(y * y)
	sum := 0.0
	for k := 25; k >= 1; k -= 2 {
		sum = float64(sum*y2) + 1/float64(k)
	}
	return float64(2*float64(y*sum)) + float64(float64(e)*math.Ln2)
}

// exp is e to the power of x, to about 1e-14.
func exp(x float64) float64 {
	n := math.Floor(float64(x/math.Ln2) + 0.5)
	r := x - float64(n*math.Ln2)
	sum := 1.0
	for k := 16; k >= 1; k-- {
		sum = 1 + float64(float64(r*sum)/float64(k))
	}
	return math.Ldexp(sum, int(n))
}

// probit is the quantile function of the normal distribution, to a relative
// error of 1.2e-9 (Acklam 2003).
func probit(p float64) float64 {
	a := [...]float64{-3.969683028665376e+01, 2.209460984245205e+02, -2.759285104469687e+02, 1.383577518672690e+02, -3.066479806614716e+01, 2.506628277459239e+00}
	b := [...]float64{-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02, 6.680131188771972e+01, -1.328068155288572e+01, 1}
	c := [...]float64{-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00, -2.549732539343734e+00, 4.374664141464968e+00, 2.938163982698783e+00}
	d := [...]float64{0, 7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00, 3.754408661907416e+00, 1}
	const low = 0.02425
	switch {
	case p < low:
		q := math.Sqrt(-2 * ln(p))
		return polynomial(c[:], q) / polynomial(d[:], q)
	case p > 1-low:
		q := math.Sqrt(-2 * ln(1-p))
		return -polynomial(c[:], q) / polynomial(d[:], q)
	}
	q := p - 0.5
	r := float64(q * q)
	return float64(polynomial(a[:], r)*q) / polynomial(b[:], r)
}

func polynomial(coefficients []float64, x float64) float64 {
	sum := 0.0
	for _, c := range coefficients {
		sum = float64(sum*x) + c
	}
	return sum
}

package campaign

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Shape is how the load changes over a campaign.
type Shape string

// The shapes.
const (
	ShapeConstant Shape = "constant"
	ShapeDiurnal  Shape = "diurnal" // rises and falls like a day
	ShapeSpiky    Shape = "spiky"   // short bursts, which are no faults: most do no harm
)

// Shapes lists every shape.
var Shapes = []Shape{ShapeConstant, ShapeDiurnal, ShapeSpiky}

// ParseShape returns the shape called name.
func ParseShape(name string) (Shape, error) {
	if s := Shape(name); slices.Contains(Shapes, s) {
		return s, nil
	}
	return "", fmt.Errorf("load %q: want one of %q", name, Shapes)
}

// Bursts of the spiky shape: how far apart on average, how long, how high.
const (
	burstGap      = 20 * time.Second
	burstShortest = time.Second
	burstLongest  = 5 * time.Second
	burstLowest   = 1.2
	burstHighest  = 1.8
)

// Load is the rate at which users send requests, over time.
type Load struct {
	Base     float64 // requests per second
	Swing    float64 // the day's highest and lowest rate differ from Base by this share
	PeriodMS int64   // of a day, 0: none
	PhaseMS  int64   // how far the first day has come when the campaign begins
	Levels   []Level // bursts of the spiky shape, and load spikes; by time
}

// Level multiplies the rate from a time on, until the next one.
type Level struct {
	FromMS int64
	Factor float64
}

// burst is a time during which the rate is multiplied.
type burst struct {
	onsetMS, endMS int64
	factor         float64
}

// levels returns what bursts come to that may overlap.
func levels(bursts []burst) []Level {
	var edges []int64
	for _, b := range bursts {
		edges = append(edges, b.onsetMS, b.endMS)
	}
	slices.Sort(edges)
	slices.SortStableFunc(bursts, func(a, b burst) int { return cmp.Compare(a.onsetMS, b.onsetMS) })
	var out []Level
	var active []burst
	next := 0
	for _, at := range slices.Compact(edges) {
		for ; next < len(bursts) && bursts[next].onsetMS <= at; next++ {
			active = append(active, bursts[next])
		}
		active = slices.DeleteFunc(active, func(b burst) bool { return b.endMS <= at })
		factor := 1.0
		for _, b := range active {
			factor *= b.factor
		}
		out = append(out, Level{at, factor})
	}
	return out
}

// Rate returns the rate at a time, in requests per second.
//
// Products are converted explicitly: some CPUs would else fuse them with the
// next addition, and round differently from others.
func (l *Load) Rate(tMS float64) float64 {
	factor, _ := l.level(tMS)
	rate := l.Base * factor
	if l.PeriodMS > 0 {
		rate *= l.day(tMS)
	}
	return rate
}

// day returns the factor of a time of day. Its two half-waves are parabolas:
// within 6 % of a sine, and the same to the last bit on any machine.
func (l *Load) day(tMS float64) float64 {
	period := float64(l.PeriodMS)
	phase := (tMS + float64(l.PhaseMS)) / period
	phase -= float64(int64(phase))
	half, sign := float64(2*phase), 1.0
	if half >= 1 {
		half, sign = half-1, -1
	}
	wave := float64(4*half) * (1 - half)
	return 1 + float64(sign*float64(l.Swing*wave))
}

// level returns the factor of a time, and when it changes next.
func (l *Load) level(tMS float64) (factor, untilMS float64) {
	i, _ := slices.BinarySearchFunc(l.Levels, tMS, func(v Level, t float64) int {
		if float64(v.FromMS) <= t {
			return -1
		}
		return 1
	})
	factor, untilMS = 1, math.Inf(1)
	if i > 0 {
		factor = l.Levels[i-1].Factor
	}
	if i < len(l.Levels) {
		untilMS = float64(l.Levels[i].FromMS)
	}
	return factor, untilMS
}

// spiky draws the bursts of the spiky shape.
func spiky(rng *rand.Rand, duration time.Duration) []burst {
	var out []burst
	for t := int64(0); ; {
		t += memoryless(rng, burstGap)
		b := burst{onsetMS: t, factor: between(rng, burstLowest, burstHighest)}
		t += int64(between(rng, float64(burstShortest.Milliseconds()), float64(burstLongest.Milliseconds())))
		if b.endMS = t; t >= duration.Milliseconds() {
			return out
		}
		out = append(out, b)
	}
}

// between draws from [low, high), with three digits after the point.
func between(rng *rand.Rand, low, high float64) float64 {
	thousandths := int64(low*1000) + rng.Int64N(max(1, int64(high*1000)-int64(low*1000)))
	return float64(thousandths) / 1000
}

// step is the grain of times drawn by memoryless.
const step = 100 * time.Millisecond

// memoryless draws a time in milliseconds, with the given mean, that is no
// more likely to end the longer it has lasted: nothing can be learned from a
// clock. It tosses a coin every step, which needs no logarithm: those differ
// between machines in the last bit.
func memoryless(rng *rand.Rand, mean time.Duration) int64 {
	steps := max(1, int64(mean/step))
	n := int64(0)
	for rng.Int64N(steps) != 0 {
		n++
	}
	return n*step.Milliseconds() + rng.Int64N(step.Milliseconds())
}

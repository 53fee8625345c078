package model

import (
	"errors"
	"fmt"
	"io"
	"math"

	"seer/infer/window"
)

// Norm makes the queues of different services comparable: it subtracts a queue's
// usual depth at a service and divides by its usual deviation. Queues x Services
// numbers each, like an example's cells without ticks.
type Norm struct {
	Mean []float32
	// Scale is 1 / deviation; 0 for a queue that never moved anywhere, which is
	// thereby left out.
	Scale []float32
}

// leastShare of a queue's deviation over all services is the least that one service
// is thought to have: one that was still while the model was trained must not drown
// out everything when it first moves.
const leastShare = 1. / 8

// Counts are what a source holds.
type Counts struct {
	Examples int
	Positive int   // before a violation
	Of       []int // per slot that starts it, and none
}

// ErrLabel marks an example whose answer cannot be right.
var ErrLabel = errors.New("a label of no service")

// Survey reads a source once, for its statistics and counts. Only quiet examples make
// the statistics, if there are any: it is from the usual that the unusual differs.
func Survey(s window.Source, batch int) (Norm, Counts, error) {
	l := s.Layout()
	var quiet, all moments
	cells := l.Shape.Queues * l.Shape.Services
	quiet.reset(cells)
	all.reset(cells)
	used := Used(l)
	c := Counts{Of: make([]int, len(used))}
	b := NewBatch(l.Shape, batch)
	for {
		err := s.Next(b)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Norm{}, c, err
		}
		for e, label := range b.Label[:b.Size] {
			if label < 0 || int(label) >= len(used) || !used[label] {
				return Norm{}, c, fmt.Errorf("%w: slot %d of %d is no service", ErrLabel, label, l.Shape.Services)
			}
			c.Examples++
			c.Of[label]++
			x, mask := b.X[e*l.Shape.Len():][:l.Shape.Len()], b.Mask[e*l.Shape.Len():][:l.Shape.Len()]
			if err := all.add(l, x, mask); err != nil {
				return Norm{}, c, err
			}
			if int(label) == l.Shape.Services {
				if err := quiet.add(l, x, mask); err != nil {
					return Norm{}, c, err
				}
			}
		}
	}
	c.Positive = c.Examples - c.Of[l.Shape.Services]
	if c.Positive == c.Examples {
		quiet = all
	}
	return quiet.norm(l), c, nil
}

// NewBatch makes room for a batch.
func NewBatch(s window.Shape, size int) *window.Batch {
	return &window.Batch{
		Shape: s,
		X:     make([]float32, size*s.Len()),
		Mask:  make([]float32, size*s.Len()),
		Label: make([]int32, size),
	}
}

// moments of every cell, by Welford's method.
type moments struct {
	n, mean, about []float64
}

func (m *moments) reset(cells int) {
	m.n, m.mean, m.about = make([]float64, cells), make([]float64, cells), make([]float64, cells)
}

func (m *moments) add(l *window.Layout, x, mask []float32) error {
	for i, v := range x {
		if mask[i] == 0 {
			continue
		}
		v := float64(v)
		cell := i / l.Shape.Ticks
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%w: %v in queue %s of service %q: mask what was not measured",
				ErrNumber, v, l.Queues[cell/l.Shape.Services], l.Services[cell%l.Shape.Services])
		}
		m.n[cell]++
		d := v - m.mean[cell]
		m.mean[cell] += d / m.n[cell]
		m.about[cell] += d * (v - m.mean[cell])
	}
	return nil
}

// ErrNumber marks data with a number that is none.
var ErrNumber = errors.New("not a number")

func (m *moments) norm(l *window.Layout) Norm {
	n := Norm{Mean: make([]float32, len(m.n)), Scale: make([]float32, len(m.n))}
	for q := range l.Shape.Queues {
		first := q * l.Shape.Services
		var count, variance, mean float64
		for i := first; i < first+l.Shape.Services; i++ {
			if m.n[i] > 0 {
				count++
				variance += m.about[i] / m.n[i]
				mean += m.mean[i]
			}
		}
		if count == 0 || variance <= 0 {
			// Its mean is kept, as the first layer sees zero at rest either way.
			for i := first; i < first+l.Shape.Services; i++ {
				n.Mean[i] = float32(m.mean[i])
			}
			continue
		}
		mean, variance = mean/count, variance/count
		for i := first; i < first+l.Shape.Services; i++ {
			n.Mean[i], n.Scale[i] = float32(mean), float32(1/math.Sqrt(variance))
			if m.n[i] > 0 {
				least := leastShare * math.Sqrt(variance)
				n.Mean[i] = float32(m.mean[i])
				n.Scale[i] = float32(1 / max(math.Sqrt(m.about[i]/m.n[i]), least))
			}
		}
	}
	return n
}

// withMeans returns the statistics with those of some slots replaced by the means of
// the services that a layout names.
func (n *Norm) withMeans(l *window.Layout, slots []int) Norm {
	filled := Norm{Mean: append([]float32{}, n.Mean...), Scale: append([]float32{}, n.Scale...)}
	for q := range l.Shape.Queues {
		var mean, scale, count float32
		for i, name := range l.Services {
			if name != "" {
				mean += n.Mean[q*l.Shape.Services+i]
				scale += n.Scale[q*l.Shape.Services+i]
				count++
			}
		}
		for _, i := range slots {
			filled.Mean[q*l.Shape.Services+i] = mean / max(count, 1)
			filled.Scale[q*l.Shape.Services+i] = scale / max(count, 1)
		}
	}
	return filled
}

// Channels is how many numbers a network sees per service and tick: the queues, and
// which share of them was measured.
func Channels(s window.Shape) int { return s.Queues + 1 }

// Apply normalises one tick of an example: to[service*stride+channel]. x and mask are
// the example's.
func (n *Norm) Apply(to []float32, stride int, s window.Shape, tick int, x, mask []float32) {
	share := 1 / float32(s.Queues)
	for service := range s.Services {
		row := to[service*stride:][:s.Queues+1]
		measured := float32(0)
		for q := range s.Queues {
			cell := q*s.Services + service
			at := cell*s.Ticks + tick
			row[q] = bend((x[at]-n.Mean[cell])*n.Scale[cell]) * mask[at]
			measured += mask[at]
		}
		row[s.Queues] = measured * share
	}
}

// bend leaves a deviation up to 1 as it is and grows by 1 with every doubling beyond:
// a queue of a thousand deviations is worse than one of a hundred, but must not drown
// the others. It is log2(1 + |z|) with straight lines between the powers of two, which
// is how a float's bits read as a number.
func bend(z float32) float32 {
	const one = 0x3f800000
	if z < 0 {
		return -float32(int32(math.Float32bits(1-z))-one) * (1. / (1 << 23))
	}
	return float32(int32(math.Float32bits(1+z))-one) * (1. / (1 << 23))
}

package baseline

import (
	"fmt"
	"math"
	"slices"

	"seer/collector"
	"seer/infer/window"
)

// A surprise is by how many deviations a service is off its normal. At surpriseEven
// an onset is as likely as not; that is a convention, as are all probabilities of
// these baselines: the alarm's threshold decides.
const (
	surpriseEven  = 8
	surpriseScale = 2
)

// surprised turns surprises, one a slot, into probabilities.
func surprised(z, p []float32) {
	highest := float32(0)
	for _, v := range z {
		highest = max(highest, v)
	}
	sum := float32(0)
	for n, v := range z {
		p[n] = float32(math.Exp(float64(v - highest)))
		sum += p[n]
	}
	onset := float32(1 / (1 + math.Exp(float64(surpriseEven-highest)/surpriseScale)))
	for n := range z {
		p[n] *= onset / sum
	}
	p[len(z)] = 1 - onset
}

// depth is the threshold on some queues' depths.
type depth struct {
	v      *view
	queues []int // of the layout
	z      []float32
}

// newDepth returns the threshold on the depths of a layout's queues that are wanted.
func newDepth(l *window.Layout, wanted func(collector.Queue) bool) (*depth, error) {
	d := &depth{v: newView(l), z: make([]float32, l.Shape.Services)}
	for i, name := range l.Queues {
		f, err := window.ParseFeature(name)
		if err != nil {
			return nil, err
		}
		if f.IsDepth() && wanted(f.Queue) {
			d.queues = append(d.queues, i)
		}
	}
	if len(d.queues) == 0 {
		return nil, fmt.Errorf("none of its queues is among the inputs (%v): choose others with --queues", l.Queues)
	}
	return d, nil
}

// Predict implements window.Predictor.
func (d *depth) Predict(x, mask, p []float32) {
	for n := range d.z {
		d.z[n] = 0
		for _, q := range d.queues {
			if at := d.v.last(q, n); mask[at] != 0 {
				d.z[n] = max(d.z[n], x[at])
			}
		}
	}
	surprised(d.z, p)
}

func anyQueue(collector.Queue) bool { return true }

// utilised are the queues that say that a resource is short.
func utilised(q collector.Queue) bool {
	return q == collector.QueueRun || q == collector.QueueBlockIO
}

// index returns the position of a feature in a layout, -1 without it.
func index(l *window.Layout, f window.Feature) int { return slices.Index(l.Queues, f.String()) }

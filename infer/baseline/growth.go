package baseline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"seer/collector"
	"seer/collector/tracedb"
	"seer/infer/window"
)

// Nominal is what is normal of each service, all that growth needs to know.
type Nominal struct {
	// Time is how many ticks a request stays in the service itself, on average:
	// by Little's law, what it holds over what arrives in a tick.
	Time []float32
	// Deviation is how far what it holds usually is from what arrives times Time.
	Deviation []float32
}

// minDeviation of what a service holds, in requests: half a request more is no
// surprise, whatever was seen before.
const minDeviation = 0.25

// growth is the detector by Little's law.
type growth struct {
	v       *view
	scale   *window.Scale
	nominal *Nominal

	outstanding, downstream, unread, arrivals int // of the layout; all but the first may be -1
	z                                         []float32
}

func newGrowth(l *window.Layout, s *window.Scale, n *Nominal) (*growth, error) {
	mean := func(q collector.Queue) int { return index(l, window.Feature{Queue: q, Stat: tracedb.StatMean}) }
	g := &growth{
		v: newView(l), scale: s, nominal: n,
		outstanding: mean(collector.QueueOutstanding), downstream: mean(collector.QueueDownstream), unread: mean(collector.QueueUnreadRequests),
		arrivals: index(l, window.Feature{Queue: collector.QueueOutstanding, Stat: tracedb.StatArrivals}),
		z:        make([]float32, l.Shape.Services),
	}
	if g.outstanding < 0 || g.arrivals < 0 {
		return nil, fmt.Errorf("growth needs outstanding requests and their arrivals, which are not among the inputs (%v): choose others with --queues", l.Queues)
	}
	return g, nil
}

// cell returns the value of a queue in the last tick, 0 where not measured.
func (g *growth) cell(x, mask []float32, q, n int) float32 {
	if q < 0 || mask[g.v.last(q, n)] == 0 {
		return 0
	}
	return g.scale.Invert(q*g.v.shape.Services+n, x[g.v.last(q, n)])
}

// held returns how many requests a service holds itself, and how many arrived: those
// that wait for a callee are the callee's.
func (g *growth) held(x, mask []float32, n int) (held, arrived float32, ok bool) {
	if mask[g.v.last(g.outstanding, n)] == 0 {
		return 0, 0, false
	}
	waiting := min(g.cell(x, mask, g.downstream, n), g.cell(x, mask, g.outstanding, n))
	held = g.cell(x, mask, g.outstanding, n) - waiting + g.cell(x, mask, g.unread, n)
	return held, g.cell(x, mask, g.arrivals, n), true
}

// Predict implements window.Predictor.
func (g *growth) Predict(x, mask, p []float32) {
	for n := range g.z {
		g.z[n] = 0
		if held, arrived, ok := g.held(x, mask, n); ok {
			g.z[n] = max(0, (held-arrived*g.nominal.Time[n])/g.nominal.Deviation[n])
		}
	}
	surprised(g.z, p)
}

// fitNominal learns what is normal from the examples without an onset.
func fitNominal(ctx context.Context, source window.Source, s *window.Scale) (*Nominal, error) {
	l := source.Layout()
	services := l.Shape.Services
	nominal := &Nominal{Time: make([]float32, services), Deviation: make([]float32, services)}
	g, err := newGrowth(l, s, nominal)
	if err != nil {
		return nil, err
	}
	type sums struct{ n, held, arrived, held2, arrived2, both float64 }
	all := make([]sums, services)
	err = each(ctx, source, func(x, mask []float32, label int) {
		if label != services {
			return
		}
		for n := range all {
			if held, arrived, ok := g.held(x, mask, n); ok {
				h, a, t := float64(held), float64(arrived), &all[n]
				t.n++
				t.held, t.arrived = t.held+h, t.arrived+a
				t.held2, t.arrived2, t.both = t.held2+h*h, t.arrived2+a*a, t.both+h*a
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for n, t := range all {
		if t.arrived > 0 {
			nominal.Time[n] = float32(t.held / t.arrived)
		}
		// Of held - Time x arrived, whose mean is 0.
		w := float64(nominal.Time[n])
		deviation := 0.0
		if t.n > 0 {
			deviation = math.Sqrt(max(0, (t.held2-2*w*t.both+w*w*t.arrived2)/t.n))
		}
		nominal.Deviation[n] = float32(max(minDeviation, deviation))
	}
	return nominal, nil
}

// each calls fn for every example of a source, from its beginning.
func each(ctx context.Context, source window.Source, fn func(x, mask []float32, label int)) error {
	if err := source.Reset(1); err != nil {
		return err
	}
	shape := source.Layout().Shape
	b := window.NewBatch(shape, 32)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := source.Next(b); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		for i := range b.Size {
			fn(b.X[i*shape.Len():(i+1)*shape.Len()], b.Mask[i*shape.Len():(i+1)*shape.Len()], int(b.Label[i]))
		}
	}
}

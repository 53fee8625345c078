package forward

import (
	"fmt"

	"seer/infer/matrix"
	"seer/infer/model"
	"seer/infer/window"
)

// Kind is the network that this package computes; infer/network builds the same.
const Kind = "graph"

// Widths of the network.
const (
	mixed = 24 // channels of the round of messages in every tick
	cells = 32 // of the recurrent layer, and of the rounds after it
)

// Predictor is the graph network with a model's weights. It is for one goroutine.
//
// What a tick adds to the state depends on that tick alone. So it is kept, and when
// the window slides by one tick, only the new one is computed: Push, then Judge.
// Predict computes a window from nothing.
type Predictor struct {
	layout window.Layout
	norm   model.Norm
	// calibration
	temperature, noneBias float32
	used                  []bool
	calls                 calls

	mix0, own, gated, mix1, mix2, scores, none []float32

	x []float32 // channels of one tick
	// of one strip of services
	seen, mixed, mixedMore []float32
	ring                   []float32 // gates and values of the last ticks, a row per service
	next                   int       // place in the ring of the next tick
	pushed                 int       // ticks since Reset, no more than a window's

	h, more  []float32 // states after the last tick, and what a round adds
	pooled   [2 * cells]float32
	logits   []float32
	channels int
}

// New makes a predictor of a model.
func New(m *model.Model) (*Predictor, error) {
	if m.Kind != Kind {
		return nil, fmt.Errorf("%w: a %s network, where %s is needed: run `seer train`", model.ErrOther, m.Kind, Kind)
	}
	s := m.Layout.Shape
	p := &Predictor{
		layout: m.Layout, norm: m.Norm, temperature: m.Temperature, noneBias: m.NoneBias,
		used:     model.Used(&m.Layout),
		calls:    newCalls(s.Services, m.Layout.Edges),
		channels: model.Channels(s),
	}
	for _, w := range []struct {
		to            *[]float32
		name          string
		rows, columns int
	}{
		{&p.mix0, "mix0", 3*p.channels + 1, mixed},
		{&p.own, "tick", mixed + 1, mixed},
		{&p.gated, "gated", mixed + 1, 2 * cells},
		{&p.mix1, "mix1", 3*cells + 1, cells},
		{&p.mix2, "mix2", 3*cells + 1, cells},
		{&p.scores, "scores", cells + 1, 1},
		{&p.none, "none", 2*cells + 1, 1},
	} {
		var err error
		if *w.to, err = m.Find(w.name, w.rows, w.columns); err != nil {
			return nil, err
		}
	}
	p.x = make([]float32, s.Services*p.channels)
	p.seen = make([]float32, strip*3*max(p.channels, cells))
	p.mixed, p.mixedMore = make([]float32, strip*mixed), make([]float32, strip*mixed)
	p.ring = make([]float32, s.Ticks*s.Services*2*cells)
	p.h, p.more = make([]float32, s.Services*cells), make([]float32, s.Services*cells)
	p.logits = make([]float32, s.Services+1)
	return p, nil
}

// Reset forgets the ticks that were pushed.
func (p *Predictor) Reset() { p.next, p.pushed = 0, 0 }

// Push adds a tick: a number per queue and service, queue by queue, as of an example of
// one tick.
func (p *Predictor) Push(x, mask []float32) {
	s := p.layout.Shape
	s.Ticks = 1
	p.tick(s, 0, x, mask)
}

// Ready says whether a whole window has been pushed.
func (p *Predictor) Ready() bool { return p.pushed == p.layout.Shape.Ticks }

// Predict judges a window.
func (p *Predictor) Predict(x, mask, probabilities []float32) {
	p.Reset()
	for t := range p.layout.Shape.Ticks {
		p.tick(p.layout.Shape, t, x, mask)
	}
	p.Judge(probabilities)
}

// tick computes what tick t of an example of shape s adds.
func (p *Predictor) tick(s window.Shape, t int, x, mask []float32) {
	p.norm.Apply(p.x, p.channels, s, t, x, mask)
	row := s.Services * 2 * cells
	ring := p.ring[p.next*row:][:row]
	for first := 0; first < s.Services; first += strip {
		last := min(first+strip, s.Services)
		p.calls.gather(p.seen, p.x, p.channels, first, last)
		matrix.Linear(p.mixed, p.seen, p.mix0, last-first, 3*p.channels, mixed)
		matrix.ReLU(p.mixed)
		n := (last - first) * mixed
		matrix.Linear(p.mixedMore, p.mixed, p.own, last-first, mixed, mixed)
		matrix.ReLU(p.mixedMore[:n])
		matrix.Add(p.mixed[:n], p.mixedMore[:n])
		gates := ring[first*2*cells : last*2*cells]
		matrix.Linear(gates, p.mixed, p.gated, last-first, mixed, 2*cells)
		for len(gates) > 0 {
			matrix.Sigmoid(gates[:cells])
			gates = gates[2*cells:]
		}
	}
	p.next = (p.next + 1) % p.layout.Shape.Ticks
	p.pushed = min(p.pushed+1, p.layout.Shape.Ticks)
}

// Judge predicts from the ticks that were pushed last; fewer than a window's are as if
// what was before had left no trace.
func (p *Predictor) Judge(probabilities []float32) {
	s := p.layout.Shape
	row := s.Services * 2 * cells
	clear(p.h)
	for t := range p.pushed {
		at := (p.next - p.pushed + t + s.Ticks) % s.Ticks
		matrix.Gate(p.h, p.ring[at*row:][:row], cells)
	}
	p.round(p.mix1)
	p.round(p.mix2)
	matrix.Linear(p.logits, p.h, p.scores, s.Services, cells, 1)
	p.pool()
	matrix.Linear(p.logits[s.Services:], p.pooled[:], p.none, 1, 2*cells, 1)
	for i := range p.logits {
		p.logits[i] /= p.temperature
	}
	p.logits[s.Services] += p.noneBias
	matrix.Softmax(probabilities, p.logits, p.used)
}

// strip is how many services a round writes out at a time, so that what they see stays
// in the cache.
const strip = 256

// round adds to every state what its neighbours tell.
func (p *Predictor) round(w []float32) {
	services := p.layout.Shape.Services
	for first := 0; first < services; first += strip {
		last := min(first+strip, services)
		p.calls.gather(p.seen, p.h, cells, first, last)
		more := p.more[first*cells : last*cells]
		matrix.Linear(more, p.seen, w, last-first, 3*cells, cells)
		matrix.ReLU(more)
		matrix.Add(more, p.h[first*cells:last*cells])
	}
	p.h, p.more = p.more, p.h
}

// pool takes the mean and the maximum over services.
func (p *Predictor) pool() {
	mean, most := p.pooled[:cells], p.pooled[cells:]
	clear(p.pooled[:])
	count := float32(0)
	for n, used := range p.used[:p.layout.Shape.Services] {
		if !used {
			continue
		}
		for c, v := range p.h[n*cells:][:cells] {
			mean[c] += v
			if count == 0 || v > most[c] {
				most[c] = v
			}
		}
		count++
	}
	for c := range mean {
		mean[c] /= max(count, 1)
	}
}

package window

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"seer/infer/campaign"
)

// ErrAcceptance is returned, wrapped with the run, for a run that is kept for
// acceptance.
var ErrAcceptance = errors.New("kept for acceptance: nothing is trained or tuned on it")

// SampleOptions say which windows are learnt from; zero values mean the defaults.
type SampleOptions struct {
	// Negatives is the share of windows labelled none that take part, drawn anew
	// at each Reset. All others do. Default 0.05.
	Negatives float64
	// Disturbed is that share where a fault is there, which users do not feel, or
	// not yet: rare, and what false alarms are made of. Default 0.2.
	Disturbed float64
	// GuardMS leaves out windows that lie less than this before the horizon of an
	// onset: what is wrong may show already. Default 2000, none: -1.
	GuardMS int64
	// ShuffleLabels gives the examples each other's labels: a model that still
	// predicts has seen what it should not.
	ShuffleLabels bool
}

const (
	defaultNegatives = 0.05
	defaultDisturbed = 0.2
	defaultGuardMS   = 2000
)

// example is a window fit to learn from.
type example struct {
	run, tick, label int32
}

// Sample is a Source of training: all windows before an onset, and a share of the
// others, in random order. Memory holds 12 bytes a tick.
type Sample struct {
	runs      []*Run
	scale     *Scale
	options   SampleOptions
	positives []example
	negatives []example // labelled none, nothing wrong
	disturbed []example // labelled none, during a fault
	order     []example
	at        int
	buffer    Buffer
}

// NewSample returns a Source over runs of one layout. It refuses runs that are kept
// for acceptance, and ones from which nothing can be learnt.
func NewSample(runs []*Run, s *Scale, o SampleOptions) (*Sample, error) {
	if o.Negatives == 0 {
		o.Negatives = defaultNegatives
	}
	if o.Disturbed == 0 {
		o.Disturbed = defaultDisturbed
	}
	switch {
	case o.GuardMS == 0:
		o.GuardMS = defaultGuardMS
	case o.GuardMS < 0:
		o.GuardMS = 0
	}
	if len(runs) == 0 {
		return nil, errors.New("no runs to learn from")
	}
	out := &Sample{runs: runs, scale: s, options: o}
	if err := s.Validate(runs[0].Layout.Shape); err != nil {
		return nil, err
	}
	for i, r := range runs {
		if r.Seed >= campaign.FirstAcceptanceSeed {
			return nil, fmt.Errorf("%s: seed %d: %w", r.Name, r.Seed, ErrAcceptance)
		}
		if r.Layout != runs[0].Layout {
			return nil, fmt.Errorf("%s: another layout than %s: open all with one", r.Name, runs[0].Name)
		}
		for tick := r.first; tick < r.last; tick++ {
			label, fit := r.Label(tick, o.GuardMS)
			switch {
			case !fit:
			case int(label) == r.Layout.Shape.Services && r.disturbed(r.EndMS(tick)):
				out.disturbed = append(out.disturbed, example{int32(i), int32(tick), label})
			case int(label) == r.Layout.Shape.Services:
				out.negatives = append(out.negatives, example{int32(i), int32(tick), label})
			default:
				out.positives = append(out.positives, example{int32(i), int32(tick), label})
			}
		}
	}
	if len(out.positives) == 0 {
		return nil, fmt.Errorf("%d runs, from %s on, hold no violation with a known culprit: record some with faults (seersim, seerbed campaign)", len(runs), runs[0].Name)
	}
	if len(out.negatives) == 0 {
		return nil, fmt.Errorf("%d runs, from %s on, hold no tick without a violation near: record some normal load", len(runs), runs[0].Name)
	}
	return out, out.Reset(0)
}

// Positives and Negatives return how many windows there are to learn from, before
// negatives are drawn.
func (s *Sample) Positives() int { return len(s.positives) }

// Negatives returns how many windows are labelled none.
func (s *Sample) Negatives() int { return len(s.negatives) + len(s.disturbed) }

// Layout implements Source.
func (s *Sample) Layout() *Layout { return s.runs[0].Layout }

// Scale returns the normalisation of the examples.
func (s *Sample) Scale() *Scale { return s.scale }

// Reset implements Source: it draws the negatives and the order.
func (s *Sample) Reset(seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	s.order, s.at = append(s.order[:0], s.positives...), 0
	s.draw(rng, s.negatives, s.options.Negatives)
	s.draw(rng, s.disturbed, s.options.Disturbed)
	rng.Shuffle(len(s.order), func(i, j int) { s.order[i], s.order[j] = s.order[j], s.order[i] })
	if s.options.ShuffleLabels {
		rng.Shuffle(len(s.order), func(i, j int) { s.order[i].label, s.order[j].label = s.order[j].label, s.order[i].label })
	}
	return nil
}

// draw takes a share of some examples.
func (s *Sample) draw(rng *rand.Rand, from []example, share float64) {
	for _, e := range from {
		if rng.Float64() < share {
			s.order = append(s.order, e)
		}
	}
}

// Next implements Source.
func (s *Sample) Next(b *Batch) error {
	if s.at == len(s.order) {
		return io.EOF
	}
	n := min(cap(b.Label), len(s.order)-s.at)
	b.begin(s.Layout().Shape, n)
	for i, e := range s.order[s.at : s.at+n] {
		if err := s.runs[e.run].Example(s.scale, int(e.tick), b.x(i), b.mask(i), &s.buffer); err != nil {
			return err
		}
		b.Label[i] = e.label
	}
	s.at += n
	return nil
}

// Sequence is a Source of evaluation: every window that is fit to be judged, in
// order of time, run after run.
type Sequence struct {
	runs   []*Run
	scale  *Scale
	run    int
	tick   int
	buffer Buffer
}

// NewSequence returns a Source over runs of one layout.
func NewSequence(runs []*Run, s *Scale) (*Sequence, error) {
	if len(runs) == 0 {
		return nil, errors.New("no runs to go through")
	}
	for _, r := range runs {
		if r.Layout != runs[0].Layout {
			return nil, fmt.Errorf("%s: another layout than %s: open all with one", r.Name, runs[0].Name)
		}
	}
	if err := s.Validate(runs[0].Layout.Shape); err != nil {
		return nil, err
	}
	out := &Sequence{runs: runs, scale: s}
	return out, out.Reset(0)
}

// Layout implements Source.
func (s *Sequence) Layout() *Layout { return s.runs[0].Layout }

// Reset implements Source; the order is always the same.
func (s *Sequence) Reset(uint64) error {
	s.run, s.tick = 0, s.runs[0].first
	return nil
}

// Next implements Source.
func (s *Sequence) Next(b *Batch) error {
	b.begin(s.Layout().Shape, cap(b.Label))
	n := 0
	for n < cap(b.Label) && s.run < len(s.runs) {
		r := s.runs[s.run]
		if s.tick >= r.last {
			if s.run++; s.run < len(s.runs) {
				s.tick = s.runs[s.run].first
			}
			continue
		}
		label, fit := r.Label(s.tick, 0)
		if fit {
			if err := r.Example(s.scale, s.tick, b.x(n), b.mask(n), &s.buffer); err != nil {
				return err
			}
			b.Label[n] = label
			n++
		}
		s.tick++
	}
	if n == 0 {
		return io.EOF
	}
	b.begin(b.Shape, n)
	return nil
}

// NewBatch returns a batch for up to size examples.
func NewBatch(shape Shape, size int) *Batch {
	return &Batch{
		Shape: shape,
		X:     make([]float32, 0, size*shape.Len()),
		Mask:  make([]float32, 0, size*shape.Len()),
		Label: make([]int32, 0, size),
	}
}

// begin sets the number of examples.
func (b *Batch) begin(shape Shape, n int) {
	b.Shape, b.Size = shape, n
	b.X, b.Mask, b.Label = b.X[:n*shape.Len()], b.Mask[:n*shape.Len()], b.Label[:n]
}

func (b *Batch) x(i int) []float32    { return b.X[i*b.Shape.Len() : (i+1)*b.Shape.Len()] }
func (b *Batch) mask(i int) []float32 { return b.Mask[i*b.Shape.Len() : (i+1)*b.Shape.Len()] }

package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"seer/infer/model"
	"seer/infer/network"
	"seer/infer/window"
)

// ErrTooLittle marks sources that nothing can be learned from.
var ErrTooLittle = errors.New("too little to learn from")

// leastPositive is how many examples before a violation each source must have: fewer
// than this and neither a network nor its threshold means anything.
const leastPositive = 8

// Train makes a model from the training source. The validation source decides when to
// stop, and calibrates; it must be of the same layout, and of other runs or times.
func Train(ctx context.Context, training, validation window.Source, options Options) (*model.Model, error) {
	o, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &run{Options: o, layout: *training.Layout(), training: training, validation: validation}
	if err := r.prepare(); err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.epochs(ctx); err != nil {
		return nil, err
	}
	m, err := r.finish(ctx)
	if err != nil {
		return nil, err
	}
	if o.Checkpoint != "" {
		if err := os.Remove(o.Checkpoint); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return m, nil
}

// run is one training.
type run struct {
	Options
	layout               window.Layout
	training, validation window.Source
	counts, held         model.Counts // of the two sources
	norm                 model.Norm
	// What an example before a violation counts in the loss, and another. Violations
	// are rare; the root keeps false alarms from being drowned in their stead.
	positive, quiet float32

	weights []model.Tensor // shared by all graphs
	best    [][]float32    // weights of the best epoch
	adam    *adam
	history []model.Epoch
	grads   [][]float32 // mean of the workers'

	learners, judges *team
	pages            *pages // of the training source
	heldPages        *pages // of the validation source
	began            time.Time
	resumed          int // epochs that were over when this run began
}

func (r *run) prepare() error {
	if err := r.survey(); err != nil {
		return err
	}
	var err error
	if r.weights, err = network.Initial(r.Kind, &r.layout, r.Seed); err != nil {
		return err
	}
	if r.From != nil {
		if err := r.goOn(); err != nil {
			return err
		}
	}
	r.adam = newAdam(r.weights)
	for _, w := range r.weights {
		r.best = append(r.best, append([]float32{}, w.Numbers...))
		r.grads = append(r.grads, make([]float32, len(w.Numbers)))
	}
	if err := r.resume(); err != nil {
		return err
	}
	r.learners, err = newTeam(r.Batch, r.Workers, &r.norm, func(part int) (*network.Graph, error) {
		return network.NewTraining(r.Kind, &r.layout, part, r.weights, r.Dropout)
	})
	if err != nil {
		return err
	}
	r.judges, err = newTeam(r.Batch, r.Workers, &r.norm, func(part int) (*network.Graph, error) {
		return network.New(r.Kind, &r.layout, part, r.weights)
	})
	r.pages, r.heldPages = newPages(r.training, r.Batch), newPages(r.validation, r.Batch)
	return err
}

func (r *run) close() {
	for _, t := range []*team{r.learners, r.judges} {
		if t != nil {
			t.close()
		}
	}
}

// survey reads both sources once.
func (r *run) survey() error {
	if l := r.validation.Layout(); l.Shape != r.layout.Shape {
		return fmt.Errorf("training examples are %+v, those to validate with %+v: make both from one layout", r.layout.Shape, l.Shape)
	}
	var err error
	if err = r.training.Reset(r.Seed); err == nil {
		r.norm, r.counts, err = model.Survey(r.training, r.Batch)
	}
	if err != nil {
		return fmt.Errorf("training examples: %w", err)
	}
	if err = r.validation.Reset(r.Seed); err == nil {
		_, r.held, err = model.Survey(r.validation, r.Batch)
	}
	if err != nil {
		return fmt.Errorf("examples to validate with: %w", err)
	}
	for _, s := range []struct {
		name string
		c    model.Counts
	}{{"training", r.counts}, {"validation", r.held}} {
		if quiet := s.c.Examples - s.c.Positive; s.c.Positive < leastPositive || quiet < leastPositive {
			return fmt.Errorf("%w: the %s set has %d examples before a violation and %d others, and needs %d of each: "+
				"record longer, add campaigns, or run `seer twin`", ErrTooLittle, s.name, s.c.Positive, quiet, leastPositive)
		}
	}
	n, pos := float64(r.counts.Examples), float64(r.counts.Positive)
	heavy := math.Sqrt((n - pos) / pos)
	mean := (heavy*pos + n - pos) / n
	r.positive, r.quiet = float32(heavy/mean), float32(1/mean)
	return nil
}

// goOn takes the weights of an earlier model, and its statistics if they are of these
// services.
func (r *run) goOn() error {
	if r.Kind != r.From.Kind {
		return fmt.Errorf("%w: a %s network cannot go on as %s", model.ErrOther, r.From.Kind, r.Kind)
	}
	for _, w := range r.weights {
		numbers, err := r.From.Find(w.Name, w.Rows, w.Columns)
		if err != nil {
			return fmt.Errorf("the model to go on from: %w", err)
		}
		copy(w.Numbers, numbers)
	}
	if same, err := r.From.For(&r.layout); err == nil {
		r.norm = same.Norm
	}
	return nil
}

// epochs learns until the validation loss does not fall any more.
func (r *run) epochs(ctx context.Context) error {
	r.began = time.Now()
	for !r.over() {
		began := time.Now()
		loss, err := r.epoch(ctx)
		if err != nil {
			return err
		}
		held, err := r.judge(ctx)
		if err != nil {
			return err
		}
		if math.IsNaN(loss) || math.IsNaN(held) {
			return fmt.Errorf("training diverged in epoch %d, loss %v: try a lower learning rate than %v", len(r.history)+1, loss, r.LearningRate)
		}
		r.history = append(r.history, model.Epoch{Loss: loss, Validation: held, Seconds: time.Since(began).Seconds()})
		if r.bestEpoch() == len(r.history)-1 {
			for i, w := range r.weights {
				copy(r.best[i], w.Numbers)
			}
		}
		if err := r.save(); err != nil {
			return err
		}
	}
	for i, w := range r.weights {
		copy(w.Numbers, r.best[i])
	}
	return nil
}

// bestEpoch is where the validation loss was least; -1 before the first.
func (r *run) bestEpoch() int {
	best := -1
	for i, e := range r.history {
		if best < 0 || e.Validation < r.history[best].Validation {
			best = i
		}
	}
	return best
}

func (r *run) over() bool {
	return len(r.history) >= r.Epochs || len(r.history)-1-r.bestEpoch() >= r.Patience
}

// epoch passes over the training set once and returns the mean loss.
func (r *run) epoch(ctx context.Context) (float64, error) {
	number := len(r.history)
	for i, g := range r.learners.graphs {
		g.Seed(r.Seed+uint64(i), uint64(number))
	}
	batches := (r.counts.Examples + r.Batch - 1) / r.Batch
	sum, done, examples := 0.0, 0, 0
	err := r.pages.each(r.Seed+uint64(number), func(b *window.Batch, meanwhile func() error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := r.learners.run(b, func(g *network.Graph, place, example int) {
			if example < 0 {
				g.Target(place, 0, 0)
				return
			}
			g.Target(place, b.Label[example], r.weightOf(b.Label[example]))
		}, meanwhile)
		if err != nil {
			return err
		}
		for i, w := range r.grads {
			clear(w)
			for _, g := range r.learners.graphs {
				for j, v := range g.Gradient(i) {
					w[j] += v / float32(len(r.learners.graphs))
				}
			}
		}
		for _, g := range r.learners.graphs {
			sum += float64(g.Loss()) * float64(r.learners.part)
		}
		r.adam.update(r.weights, r.grads, r.rate(number, done, batches))
		done++
		examples += b.Size
		r.report(done, batches, sum/float64(examples))
		return nil
	})
	return sum / float64(max(examples, 1)), err
}

func (r *run) weightOf(label int32) float32 {
	if int(label) == r.layout.Shape.Services {
		return r.quiet
	}
	return r.positive
}

// rate falls from the first to a twentieth of it, along a cosine; over a few hundred
// batches it first rises, while the moments are young.
func (r *run) rate(epoch, batch, batches int) float64 {
	const last, rise = .05, 50
	done := float64(epoch*batches+batch) / float64(r.Epochs*max(batches, 1))
	rate := r.LearningRate * (last + (1-last)*(1+math.Cos(math.Pi*min(done, 1)))/2)
	return rate * min(1, float64(r.adam.step+1)/rise)
}

func (r *run) report(batch, batches int, loss float64) {
	if r.Progress == nil {
		return
	}
	passed := time.Since(r.began)
	p := Progress{Epoch: len(r.history) + 1, Epochs: r.Epochs, Batch: batch, Batches: batches, Loss: loss,
		Passed: passed, History: r.history}
	done := float64(len(r.history)-r.resumed) + float64(batch)/float64(max(batches, 1))
	p.Left = time.Duration(float64(passed) / done * (float64(r.Epochs-r.resumed) - done))
	r.Progress(p)
}

// judge returns the loss on the validation set.
func (r *run) judge(ctx context.Context) (float64, error) {
	sum, weight := 0.0, 0.0
	p := make([]float32, r.layout.Shape.Services+1)
	err := r.visitHeld(ctx, func(g *network.Graph, place int, label int32) {
		g.Probabilities(place, 1, 0, p)
		w := float64(r.weightOf(label))
		sum -= w * math.Log(max(float64(p[label]), 1e-12))
		weight += w
	})
	return sum / weight, err
}

// visitHeld visits the examples of the validation set with their logits.
func (r *run) visitHeld(ctx context.Context, visit func(g *network.Graph, place int, label int32)) error {
	return r.heldPages.each(r.Seed, func(b *window.Batch, meanwhile func() error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.judges.run(b, nil, meanwhile); err != nil {
			return err
		}
		for e, label := range b.Label[:b.Size] {
			visit(r.judges.graphs[e/r.judges.part], e%r.judges.part, label)
		}
		return nil
	})
}

package network

import (
	"fmt"
	"math/rand/v2"

	"gorgonia.org/gorgonia"

	"seer/infer/matrix"
	"seer/infer/model"
	"seer/infer/nn"
	"seer/infer/window"
)

// Graph is a network for batches of one size, for one goroutine. It shares the numbers
// of its weights with whoever made it.
type Graph struct {
	layout  window.Layout
	batch   int
	x       []float32 // a row per tick, example and service
	targets []float32 // of training
	logits  *gorgonia.Node
	loss    *gorgonia.Node
	grads   gorgonia.Nodes
	used    []bool
	random  *rand.PCG // dropout's
	machine gorgonia.VM
}

// Seed makes dropout begin again: a training that was resumed at an epoch is to go on
// like one that was not.
func (g *Graph) Seed(seed, epoch uint64) { g.random.Seed(seed, epoch) }

// Initial draws the weights of a new network.
func Initial(kind string, l *window.Layout, seed uint64) ([]model.Tensor, error) {
	b := newBuilder(l, 1)
	b.rng = rand.New(rand.NewPCG(seed, 0x5ee4))
	if _, err := b.build(kind); err != nil {
		return nil, err
	}
	return b.weights, nil
}

// New makes a graph that only predicts.
func New(kind string, l *window.Layout, batch int, weights []model.Tensor) (*Graph, error) {
	g, _, err := build(kind, l, batch, weights, 0)
	if err == nil {
		g.machine = gorgonia.NewTapeMachine(g.logits.Graph())
	}
	return g, err
}

// NewTraining makes a graph that computes gradients. Dropout silences a share of the
// numbers between layers.
func NewTraining(kind string, l *window.Layout, batch int, weights []model.Tensor, dropout float64) (*Graph, error) {
	g, b, err := build(kind, l, batch, weights, dropout)
	if err != nil {
		return nil, err
	}
	targets := b.input(" targets", batch, len(g.used))
	g.targets = targets.Value().Data().([]float32)
	if g.loss, err = nn.CrossEntropy[float32]("loss", g.logits, targets, g.used); err != nil {
		return nil, err
	}
	if g.grads, err = gorgonia.Grad(g.loss, b.learned...); err != nil {
		return nil, fmt.Errorf("network %s: %w", kind, err)
	}
	g.machine = gorgonia.NewTapeMachine(b.g)
	return g, nil
}

func build(kind string, l *window.Layout, batch int, weights []model.Tensor, dropout float64) (*Graph, *builder, error) {
	b := newBuilder(l, batch)
	b.stored = weights
	b.silent = dropout
	random := rand.NewPCG(0, 0)
	b.rng = rand.New(random)
	logits, err := b.build(kind)
	if err != nil {
		return nil, nil, err
	}
	return &Graph{
		layout: *l,
		batch:  batch,
		x:      b.x.Value().Data().([]float32),
		logits: logits,
		used:   model.Used(l),
		random: random,
	}, b, nil
}

// Batch is how many examples the graph takes at once.
func (g *Graph) Batch() int { return g.batch }

// Set puts an example into place i of the batch.
func (g *Graph) Set(i int, n *model.Norm, x, mask []float32) {
	s := g.layout.Shape
	channels := model.Channels(s)
	for t := range s.Ticks {
		n.Apply(g.x[(t*g.batch+i)*s.Services*channels:], channels, s, t, x, mask)
	}
}

// Target says what is right for place i and how much it counts; 0 for an example that
// is not there.
func (g *Graph) Target(i int, label int32, weight float32) {
	row := g.targets[i*len(g.used):][:len(g.used)]
	clear(row)
	row[label] = weight
}

// Run computes the batch.
func (g *Graph) Run() error {
	g.machine.Reset()
	return g.machine.RunAll()
}

// Logits are of the last run, a row per example.
func (g *Graph) Logits() []float32 { return g.logits.Value().Data().([]float32) }

// Probabilities writes those of example i of the last run, with a model's calibration.
func (g *Graph) Probabilities(i int, temperature, noneBias float32, p []float32) {
	logits := g.Logits()[i*len(g.used):][:len(g.used)]
	for j, v := range logits {
		p[j] = v / temperature
	}
	p[len(p)-1] += noneBias
	matrix.Softmax(p, p, g.used)
}

// Loss is of the last run, per place of the batch.
func (g *Graph) Loss() float32 { return g.loss.Value().Data().(float32) }

// Gradient of the weights that were given i-th, of the last run.
func (g *Graph) Gradient(i int) []float32 { return g.grads[i].Value().Data().([]float32) }

// Close frees the machine.
func (g *Graph) Close() error { return g.machine.Close() }

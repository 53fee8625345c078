package network

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"seer/infer/model"
	"seer/infer/nn"
	"seer/infer/window"
)

// builder adds layers to a graph. The first error stays, and what is added after it
// is nothing.
type builder struct {
	g                      *gorgonia.ExprGraph
	batch, services, ticks int
	edges                  [][2]int
	used                   []bool // services that there are
	x                      *gorgonia.Node

	// stored are weights to take; without them, new ones are drawn.
	stored  []model.Tensor
	rng     *rand.Rand
	weights []model.Tensor
	learned gorgonia.Nodes

	silent float64 // share that dropout silences; 0: none
	err    error
}

func newBuilder(l *window.Layout, batch int) *builder {
	s := l.Shape
	b := &builder{
		g:     gorgonia.NewGraph(),
		batch: batch, services: s.Services, ticks: s.Ticks,
		edges: l.Edges,
		used:  model.Used(l)[:s.Services],
	}
	b.x = b.input(" x", s.Ticks*batch*s.Services, model.Channels(s))
	return b
}

func (b *builder) input(name string, rows, columns int) *gorgonia.Node {
	t := tensor.New(tensor.WithShape(rows, columns), tensor.WithBacking(make([]float32, rows*columns)))
	return gorgonia.NewMatrix(b.g, tensor.Float32, gorgonia.WithName(nn.Data+name),
		gorgonia.WithShape(rows, columns), gorgonia.WithValue(t))
}

// weight adds a matrix of weights, the stored one or what draw fills in. A stored one
// is not copied: graphs may share it.
func (b *builder) weight(name string, rows, columns int, draw func(w []float32)) *gorgonia.Node {
	numbers := make([]float32, rows*columns)
	if b.stored == nil {
		draw(numbers)
	} else {
		m := model.Model{Weights: b.stored}
		found, err := m.Find(name, rows, columns)
		if err == nil {
			numbers = found
		}
		b.err = errors.Join(b.err, err)
	}
	b.weights = append(b.weights, model.Tensor{Name: name, Rows: rows, Columns: columns, Numbers: numbers})
	n := gorgonia.NewMatrix(b.g, tensor.Float32, gorgonia.WithName(name), gorgonia.WithShape(rows, columns),
		gorgonia.WithValue(tensor.New(tensor.WithShape(rows, columns), tensor.WithBacking(numbers))))
	b.learned = append(b.learned, n)
	return n
}

// normal fills all rows but the last, the bias, so that a layer passes on the
// variance of its inputs times gain.
func (b *builder) normal(w []float32, columns int, gain float64) {
	rows := len(w)/columns - 1
	deviation := math.Sqrt(gain / float64(rows))
	for i := range rows * columns {
		w[i] = float32(b.rng.NormFloat64() * deviation)
	}
}

func (b *builder) keep(n *gorgonia.Node, err error) *gorgonia.Node {
	b.err = errors.Join(b.err, err)
	return n
}

func (b *builder) layer(l nn.Layer, x *gorgonia.Node, out int) *gorgonia.Node {
	if b.err != nil {
		return nil
	}
	in := x.Shape()[1]
	if l.Rows > 0 {
		in = x.Shape().TotalSize() / l.Rows
	}
	if l.Neighbourhood != nil {
		in *= len(l.Neighbourhood.Parts)
	}
	gain := 1.
	if l.Activation == nn.ReLU {
		gain = 2
	}
	w := b.weight(l.Name, in+1, out, func(w []float32) { b.normal(w, out, gain) })
	return b.keep(nn.Apply[float32](l, x, w))
}

func (b *builder) lstm(name string, x *gorgonia.Node, cells int, forget float32, last bool) *gorgonia.Node {
	if b.err != nil {
		return nil
	}
	in := x.Shape()[1]
	w := b.weight(name, in+cells+1, 4*cells, func(w []float32) {
		b.normal(w, 4*cells, 1)
		bias := w[(in+cells)*4*cells:]
		for c := range cells {
			bias[cells+c] = forget
		}
	})
	return b.keep(nn.LSTM[float32](name, x, w, b.ticks, last))
}

func (b *builder) gated(name string, x *gorgonia.Node, cells int) *gorgonia.Node {
	if b.err != nil {
		return nil
	}
	in := x.Shape()[1]
	w := b.weight(name, in+1, 2*cells, func(w []float32) {
		b.normal(w, 2*cells, 1)
		// Memories from one tick to the whole window, so that growth shows as the
		// difference between short and long ones from the start.
		bias := w[in*2*cells:]
		for c := range cells {
			memory := math.Pow(float64(max(b.ticks, 2)), (float64(c)+.5)/float64(cells))
			bias[c] = float32(math.Log(max(memory-1, .1)))
		}
	})
	return b.keep(nn.Gated[float32](name, x, w, b.ticks))
}

func (b *builder) abreast(x *gorgonia.Node) *gorgonia.Node {
	if b.err != nil {
		return nil
	}
	return b.keep(nn.Abreast[float32]("abreast", x, b.ticks))
}

func (b *builder) dropout(x *gorgonia.Node) *gorgonia.Node {
	if b.err != nil || b.silent == 0 {
		return x
	}
	return b.keep(nn.Dropout[float32]("dropout", x, b.silent, b.rng))
}

// none scores that there will be no violation, from all services together.
func (b *builder) none(x *gorgonia.Node) *gorgonia.Node {
	if b.err != nil {
		return nil
	}
	pooled := b.keep(nn.Pool[float32]("pool", x, b.used))
	return b.layer(nn.Layer{Name: "none"}, pooled, 1)
}

// build adds a network of a kind and returns its logits.
func (b *builder) build(kind string) (*gorgonia.Node, error) {
	n, ok := networks[kind]
	if !ok {
		return nil, unknown(kind)
	}
	scores, none := n.build(b)
	if b.err == nil && none != nil {
		scores = b.keep(nn.Join[float32]("join", scores, none))
	}
	if b.err != nil {
		return nil, fmt.Errorf("network %s: %w", kind, b.err)
	}
	return scores, nil
}

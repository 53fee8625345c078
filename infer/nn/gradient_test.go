package nn

import (
	"math"
	"math/rand/v2"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

type node = *gorgonia.Node

// gradientCase is an operation over inputs that are all learned, so that the
// gradient of each is checked.
type gradientCase struct {
	name   string
	inputs [][2]int
	build  func(in []node) (node, error)
}

func cases() []gradientCase {
	const ticks, batch, services = 3, 2, 4
	edges := [][2]int{{3, 0}, {3, 1}, {2, 0}}
	callers := Callers(ticks, batch, services, edges)
	grid := Grid(ticks, batch, services, 3, 3)
	rows := ticks * batch * services
	used := []bool{true, true, false, true}
	return []gradientCase{
		{"dense linear", [][2]int{{5, 3}, {4, 2}}, func(in []node) (node, error) {
			return Apply[float64](Layer{Name: "l"}, in[0], in[1])
		}},
		{"dense, rows cut otherwise", [][2]int{{6, 3}, {10, 4}}, func(in []node) (node, error) {
			return Apply[float64](Layer{Name: "l", Rows: 2, Activation: Tanh}, in[0], in[1])
		}},
		{"dense sigmoid residual", [][2]int{{5, 3}, {4, 3}}, func(in []node) (node, error) {
			return Apply[float64](Layer{Name: "l", Activation: Sigmoid, Residual: true}, in[0], in[1])
		}},
		{"convolution", [][2]int{{rows, 2}, {19, 3}}, func(in []node) (node, error) {
			return Apply[float64](Layer{Name: "l", Activation: ReLU, Neighbourhood: &grid}, in[0], in[1])
		}},
		{"residual convolution", [][2]int{{rows, 2}, {19, 2}}, func(in []node) (node, error) {
			return Apply[float64](Layer{Name: "l", Activation: Tanh, Neighbourhood: &grid, Residual: true}, in[0], in[1])
		}},
		{"message passing", [][2]int{{rows, 3}, {10, 5}}, func(in []node) (node, error) {
			return Apply[float64](Layer{Name: "l", Activation: Tanh, Neighbourhood: &callers}, in[0], in[1])
		}},
		{"residual message passing", [][2]int{{rows, 3}, {10, 3}}, func(in []node) (node, error) {
			return Apply[float64](Layer{Name: "l", Activation: ReLU, Neighbourhood: &callers, Residual: true}, in[0], in[1])
		}},
		{"message passing in strips", [][2]int{{2 * 40 * services, 1}, {4, 1}}, func(in []node) (node, error) {
			large := Callers(2, 40, services, edges)
			return Apply[float64](Layer{Name: "l", Activation: Tanh, Neighbourhood: &large}, in[0], in[1])
		}},
		{"two layers", [][2]int{{5, 3}, {4, 4}, {5, 2}}, func(in []node) (node, error) {
			l, err := Apply[float64](Layer{Name: "1", Activation: Tanh}, in[0], in[1])
			if err != nil {
				return nil, err
			}
			return Apply[float64](Layer{Name: "2"}, l, in[2])
		}},
		{"lstm, all ticks", [][2]int{{12, 3}, {3 + 2 + 1, 8}}, func(in []node) (node, error) {
			return LSTM[float64]("l", in[0], in[1], 4, false)
		}},
		{"lstm, last tick", [][2]int{{12, 3}, {3 + 2 + 1, 8}}, func(in []node) (node, error) {
			return LSTM[float64]("l", in[0], in[1], 4, true)
		}},
		{"gated", [][2]int{{12, 3}, {4, 10}}, func(in []node) (node, error) {
			return Gated[float64]("l", in[0], in[1], 4)
		}},
		{"pool", [][2]int{{8, 3}}, func(in []node) (node, error) {
			return Pool[float64]("l", in[0], used)
		}},
		{"abreast", [][2]int{{6, 3}}, func(in []node) (node, error) {
			return Abreast[float64]("l", in[0], 3)
		}},
		{"join", [][2]int{{8, 1}, {2, 1}}, func(in []node) (node, error) {
			return Join[float64]("l", in[0], in[1])
		}},
		{"a node used twice", [][2]int{{8, 3}, {4, 1}, {7, 1}}, func(in []node) (node, error) {
			h, err := Apply[float64](Layer{Name: "h", Activation: Tanh}, in[0], in[1])
			if err != nil {
				return nil, err
			}
			p, err := Pool[float64]("p", in[0], used)
			if err != nil {
				return nil, err
			}
			none, err := Apply[float64](Layer{Name: "n"}, p, in[2])
			if err != nil {
				return nil, err
			}
			return Join[float64]("l", h, none)
		}},
		{"cross-entropy", [][2]int{{3, 5}}, func(in []node) (node, error) {
			targets := tensor.New(tensor.WithShape(3, 5), tensor.WithBacking([]float64{
				0, 2, 0, 0, 0,
				0, 0, 0, 0, .5,
				0, 0, 0, 0, 0,
			}))
			t := gorgonia.NewMatrix(in[0].Graph(), tensor.Float64, gorgonia.WithName(Data+" targets"),
				gorgonia.WithShape(3, 5), gorgonia.WithValue(targets))
			return CrossEntropy[float64]("l", in[0], t, []bool{true, true, true, false, true})
		}},
	}
}

// TestGradients holds every operation's gradient to finite differences, through
// gorgonia's own differentiation and machine.
func TestGradients(t *testing.T) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			g := gorgonia.NewGraph()
			var in []node
			for i, shape := range c.inputs {
				data := make([]float64, shape[0]*shape[1])
				for j := range data {
					data[j] = rng.NormFloat64()
				}
				in = append(in, gorgonia.NewMatrix(g, tensor.Float64, gorgonia.WithShape(shape[0], shape[1]),
					gorgonia.WithName(string(rune('a'+i))),
					gorgonia.WithValue(tensor.New(tensor.WithShape(shape[0], shape[1]), tensor.WithBacking(data)))))
			}
			out, err := c.build(in)
			if err != nil {
				t.Fatal(err)
			}
			loss := out
			if !out.IsScalar() {
				k := &weighted{}
				for range out.Shape().TotalSize() {
					k.weights = append(k.weights, rng.NormFloat64())
				}
				if loss, err = apply("weighted", k, tensor.ScalarShape(), out); err != nil {
					t.Fatal(err)
				}
			}
			grads, err := gorgonia.Grad(loss, in...)
			if err != nil {
				t.Fatal(err)
			}
			machine := gorgonia.NewTapeMachine(g)
			defer machine.Close()
			run := func() float64 {
				machine.Reset()
				if err := machine.RunAll(); err != nil {
					t.Fatal(err)
				}
				return loss.Value().Data().(float64)
			}
			run()
			for i, n := range in {
				run() // buffers are reused: a run must not see the one before
				got := append([]float64{}, numbers[float64](grads[i].Value())...)
				moved := false
				for j := 0; j < len(got); j += 1 + len(got)/16 { // of large ones, some
					const step = 1e-5
					data := numbers[float64](n.Value())
					at := data[j]
					data[j] = at + step
					up := run()
					data[j] = at - step
					down := run()
					data[j] = at
					want := (up - down) / (2 * step)
					moved = moved || want != 0
					if math.Abs(got[j]-want) > 1e-7*max(1, math.Abs(want)) {
						t.Fatalf("gradient of input %d at %d = %v, want %v", i, j, got[j], want)
					}
				}
				if !moved {
					t.Errorf("input %d changes nothing: the case checks nothing", i)
				}
			}
		})
	}
}

// weighted makes a number of a matrix.
type weighted struct {
	weights []float64
	dX      []float64
}

func (k *weighted) forward(in [][]float64) []float64 {
	sum := 0.0
	for i, v := range in[0] {
		sum += v * k.weights[i]
	}
	return []float64{sum}
}

func (k *weighted) backward(_ [][]float64, _, grad []float64) [][]float64 {
	k.dX = sized(k.dX, len(k.weights))
	for i, w := range k.weights {
		k.dX[i] = w * grad[0]
	}
	return [][]float64{k.dX}
}

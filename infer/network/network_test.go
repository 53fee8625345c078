package network

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"seer/infer/model"
	"seer/infer/window"
)

func layout(services, ticks int) *window.Layout {
	l := &window.Layout{Shape: window.Shape{Queues: 12, Services: services, Ticks: ticks}, TickMS: 100, HorizonMS: 500}
	for q := range 12 {
		l.Queues = append(l.Queues, fmt.Sprint("queue", q))
	}
	for s := range services {
		l.Services = append(l.Services, fmt.Sprint("service", s))
		if s > 0 {
			l.Edges = append(l.Edges, [2]int{s, (s - 1) / 2})
		}
	}
	return l
}

func count(weights []model.Tensor) int {
	n := 0
	for _, w := range weights {
		n += len(w.Numbers)
	}
	return n
}

// TestSizes holds the paper's networks to its table 2, at the size of its Social
// Network.
func TestSizes(t *testing.T) {
	tests := []struct {
		kind    string
		weights float64
		layers  string // how many of which
	}{
		{CNN, 30e3, "conv 8"},
		{LSTM, 52e3, "fc 12, lstm 6"},
		{Hybrid, 80e3, "conv 7, fc 10, lstm 5"},
		{GraphGated, 9.5e3, ""},
		{GraphLSTM, 15e3, ""},
	}
	for _, tt := range tests {
		weights, err := Initial(tt.kind, layout(36, 20), 1)
		if err != nil {
			t.Fatal(err)
		}
		if n := float64(count(weights)); math.Abs(n/tt.weights-1) > .25 {
			t.Errorf("%s has %v weights, want about %v", tt.kind, n, tt.weights)
		}
		if tt.layers == "" {
			continue
		}
		kinds := map[string]int{}
		for _, w := range weights {
			kinds[strings.TrimRight(w.Name, "0123456789")]++
		}
		var got []string
		for _, k := range []string{"conv", "fc", "lstm"} {
			if kinds[k] > 0 {
				got = append(got, fmt.Sprint(k, " ", kinds[k]))
			}
		}
		if s := strings.Join(got, ", "); s != tt.layers {
			t.Errorf("%s has %s, want %s", tt.kind, s, tt.layers)
		}
	}
	few, _ := Initial(GraphGated, layout(5, 20), 1)
	many, _ := Initial(GraphGated, layout(50, 20), 1)
	if count(few) != count(many) {
		t.Errorf("the graph network has %d weights for 5 services, %d for 50: want as many", count(few), count(many))
	}
}

// draw returns an example of random numbers, a tenth of them not measured.
func draw(rng *rand.Rand, s window.Shape) (x, mask []float32) {
	x, mask = make([]float32, s.Len()), make([]float32, s.Len())
	for i := range x {
		if rng.IntN(10) > 0 {
			x[i], mask[i] = float32(rng.NormFloat64()), 1
		}
	}
	return x, mask
}

func plain(s window.Shape) *model.Norm {
	n := &model.Norm{Mean: make([]float32, s.Queues*s.Services), Scale: make([]float32, s.Queues*s.Services)}
	for i := range n.Scale {
		n.Scale[i] = 1
	}
	return n
}

// TestLearnsByHeart has each network fit one batch. The paper's deep stacks take
// their time, as in the design's experiment: theirs need only begin to.
func TestLearnsByHeart(t *testing.T) {
	for _, kind := range Kinds() {
		t.Run(kind, func(t *testing.T) {
			l := layout(5, 6)
			l.Services[4] = ""
			const batch, steps = 6, 40
			weights, err := Initial(kind, l, 3)
			if err != nil {
				t.Fatal(err)
			}
			g, err := NewTraining(kind, l, batch, weights, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			rng := rand.New(rand.NewPCG(5, 6))
			labels := []int32{0, 1, 2, 3, 5, 5}
			for i := range batch {
				x, mask := draw(rng, l.Shape)
				g.Set(i, plain(l.Shape), x, mask)
				g.Target(i, labels[i], 1)
			}
			var first, last float32
			squares := make([][]float32, len(weights))
			for step := range steps {
				if err := g.Run(); err != nil {
					t.Fatal(err)
				}
				last = g.Loss()
				if step == 0 {
					first = last
				}
				for i, w := range weights {
					if squares[i] == nil {
						squares[i] = make([]float32, len(w.Numbers))
					}
					for j, d := range g.Gradient(i) {
						squares[i][j] = .9*squares[i][j] + .1*d*d
						w.Numbers[j] -= .01 * d / (1e-4 + float32(math.Sqrt(float64(squares[i][j]))))
					}
				}
			}
			want := first * .5
			if kind == LSTM || kind == Hybrid {
				want = first * .99
			}
			if !(last < want) {
				t.Errorf("after %d steps the loss is %v of first %v, want below %v", steps, last, first, want)
			}
			p := make([]float32, 6)
			for i := range batch {
				g.Probabilities(i, 1, 0, p)
				sum := float32(0)
				for _, v := range p {
					sum += v
				}
				if p[4] != 0 || math.Abs(float64(sum)-1) > 1e-5 {
					t.Errorf("probabilities %v: want 0 for the spare slot and 1 in all", p)
				}
			}
		})
	}
}

// TestGraphNetworkSeesTheGraph renumbers the services: what the graph network says of
// each must move with it, and depend on who calls whom.
func TestGraphNetworkSeesTheGraph(t *testing.T) {
	l := layout(6, 5)
	order := []int{3, 5, 0, 1, 4, 2} // new slot of each
	moved := *l
	moved.Edges = nil
	for _, e := range l.Edges {
		moved.Edges = append(moved.Edges, [2]int{order[e[0]], order[e[1]]})
	}
	cut := *l
	cut.Edges = l.Edges[1:]

	x, mask := draw(rand.New(rand.NewPCG(7, 8)), l.Shape)
	mx, mm := make([]float32, len(x)), make([]float32, len(x))
	for i := range x {
		t, s, q := i%5, i/5%6, i/30
		mx[(q*6+order[s])*5+t], mm[(q*6+order[s])*5+t] = x[i], mask[i]
	}
	for _, kind := range []string{GraphGated, GraphLSTM} {
		weights, err := Initial(kind, l, 9)
		if err != nil {
			t.Fatal(err)
		}
		predict := func(l *window.Layout, x, mask []float32) []float32 {
			g, err := New(kind, l, 1, weights)
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			g.Set(0, plain(l.Shape), x, mask)
			if err := g.Run(); err != nil {
				t.Fatal(err)
			}
			return slices.Clone(g.Logits())
		}
		was, is, without := predict(l, x, mask), predict(&moved, mx, mm), predict(&cut, x, mask)
		for s := range 7 {
			to := 6
			if s < 6 {
				to = order[s]
			}
			if math.Abs(float64(was[s]-is[to])) > 1e-5 {
				t.Errorf("%s: logits %v, renumbered %v: differ at %d", kind, was, is, s)
				break
			}
		}
		if was[0] == without[0] {
			t.Errorf("%s: the first call makes no difference to its callee", kind)
		}
	}
}

func TestSameSeedSameWeights(t *testing.T) {
	l := layout(4, 4)
	for _, kind := range Kinds() {
		a, _ := Initial(kind, l, 1)
		b, _ := Initial(kind, l, 1)
		c, _ := Initial(kind, l, 2)
		if !slices.Equal(a[0].Numbers, b[0].Numbers) || slices.Equal(a[0].Numbers, c[0].Numbers) {
			t.Errorf("%s: weights do not follow the seed", kind)
		}
	}
	if _, err := Initial("transformer", l, 1); err == nil || !strings.Contains(err.Error(), Hybrid) {
		t.Errorf("Initial(transformer) = %v, want an error that lists the networks", err)
	}
	weights, _ := Initial(GraphGated, l, 1)
	if _, err := New(Residual, l, 1, weights); err == nil || !strings.Contains(err.Error(), "seer train") {
		t.Errorf("New with another network's weights = %v, want an error that says what to run", err)
	}
}

package forward_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"seer/infer/forward"
	"seer/infer/model"
	"seer/infer/network"
	"seer/infer/window"
)

var update = flag.Bool("update", false, "write the stored tensors anew, from gorgonia's pass")

// random returns a model of random weights and statistics, its last slot spare, in
// which every service calls a few before it.
func random(kind string, queues, services, ticks int) *model.Model {
	rng := rand.New(rand.NewPCG(uint64(services), uint64(ticks)))
	m := &model.Model{Kind: kind, Temperature: 1.25, NoneBias: -.75, Threshold: .5}
	l := &m.Layout
	*l = window.Layout{Shape: window.Shape{Queues: queues, Services: services, Ticks: ticks}, TickMS: 100, HorizonMS: 500}
	for q := range queues {
		l.Queues = append(l.Queues, fmt.Sprint("queue", q))
	}
	for s := range services {
		name := fmt.Sprint("service", s)
		if s == services-1 {
			name = ""
		}
		l.Services = append(l.Services, name)
		for range min(s, 2) {
			l.Edges = append(l.Edges, [2]int{s, rng.IntN(s)})
		}
	}
	for range queues * services {
		m.Norm.Mean = append(m.Norm.Mean, float32(10*rng.Float64()))
		m.Norm.Scale = append(m.Norm.Scale, float32(rng.Float64()))
	}
	var err error
	if m.Weights, err = network.Initial(kind, l, 11); err != nil {
		panic(err)
	}
	return m
}

func draw(rng *rand.Rand, s window.Shape) (x, mask []float32) {
	x, mask = make([]float32, s.Len()), make([]float32, s.Len())
	for i := range x {
		if rng.IntN(8) > 0 {
			x[i], mask[i] = float32(20*rng.ExpFloat64()), 1
		}
	}
	return x, mask
}

// gorgonias is what the graph of infer/network says.
func gorgonias(t testing.TB, m *model.Model, x, mask []float32) []float32 {
	t.Helper()
	g, err := network.New(m.Kind, &m.Layout, 1, m.Weights)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	g.Set(0, &m.Norm, x, mask)
	if err := g.Run(); err != nil {
		t.Fatal(err)
	}
	p := make([]float32, m.Layout.Shape.Services+1)
	g.Probabilities(0, m.Temperature, m.NoneBias, p)
	return p
}

func different(got, want []float32) bool {
	for i := range want {
		if !(math.Abs(float64(got[i]-want[i])) <= 1e-4) {
			return true
		}
	}
	return len(got) != len(want)
}

func TestEqualsGorgonia(t *testing.T) {
	for _, size := range [][3]int{{1, 1, 1}, {3, 2, 4}, {12, 36, 20}, {5, 97, 3}, {2, 300, 2}} {
		m := random(forward.Kind, size[0], size[1], size[2])
		p, err := forward.New(m)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 9))
		got := make([]float32, size[1]+1)
		for range 2 { // the second must not see the first
			x, mask := draw(rng, m.Layout.Shape)
			p.Predict(x, mask, got)
			if want := gorgonias(t, m, x, mask); different(got, want) {
				t.Errorf("Predict of %v = %v, gorgonia says %v", size, got, want)
			}
		}
		if got[size[1]-1] != 0 {
			t.Errorf("the spare slot has probability %v, want 0", got[size[1]-1])
		}
	}
}

// TestStoredTensors holds both passes to what gorgonia's once said, so that they
// cannot drift together.
func TestStoredTensors(t *testing.T) {
	const file, tensors = "testdata/small.seer", "testdata/small.json"
	var stored []struct{ X, Mask, P []float32 }
	if *update {
		m := random(forward.Kind, 3, 5, 6)
		if err := m.Write(file); err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(3, 3))
		for range 3 {
			x, mask := draw(rng, m.Layout.Shape)
			stored = append(stored, struct{ X, Mask, P []float32 }{x, mask, gorgonias(t, m, x, mask)})
		}
		b, err := json.Marshal(stored)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(tensors, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, err := model.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(tensors)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &stored); err != nil || len(stored) == 0 {
		t.Fatal(len(stored), err)
	}
	p, err := forward.New(m)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range stored {
		got := make([]float32, len(s.P))
		if p.Predict(s.X, s.Mask, got); different(got, s.P) {
			t.Errorf("Predict of stored %d = %v, want %v", i, got, s.P)
		}
		if got := gorgonias(t, m, s.X, s.Mask); different(got, s.P) {
			t.Errorf("gorgonia's pass of stored %d = %v, want %v", i, got, s.P)
		}
	}
}

// TestWindowSlides pushes ticks one at a time: from the first whole window on, each
// answer must be that of the window computed from nothing.
func TestWindowSlides(t *testing.T) {
	m := random(forward.Kind, 4, 7, 5)
	slides, err := forward.New(m)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := forward.New(m)
	if err != nil {
		t.Fatal(err)
	}
	s := m.Layout.Shape
	one := s
	one.Ticks = 1
	rng := rand.New(rand.NewPCG(2, 2))
	x, mask := make([]float32, s.Len()), make([]float32, s.Len())
	got, want := make([]float32, s.Services+1), make([]float32, s.Services+1)
	for tick := range 14 {
		nx, nm := draw(rng, one)
		for cell := range nx {
			copy(x[cell*s.Ticks:], x[cell*s.Ticks+1:(cell+1)*s.Ticks])
			copy(mask[cell*s.Ticks:], mask[cell*s.Ticks+1:(cell+1)*s.Ticks])
			x[(cell+1)*s.Ticks-1], mask[(cell+1)*s.Ticks-1] = nx[cell], nm[cell]
		}
		slides.Push(nx, nm)
		if ready := tick >= s.Ticks-1; slides.Ready() != ready {
			t.Errorf("Ready after %d of %d ticks = %v, want %v", tick+1, s.Ticks, slides.Ready(), ready)
		}
		if !slides.Ready() {
			continue
		}
		slides.Judge(got)
		if whole.Predict(x, mask, want); different(got, want) {
			t.Fatalf("Judge after %d ticks = %v, the window's Predict = %v", tick+1, got, want)
		}
	}
}

func TestAllocatesNothing(t *testing.T) {
	m := random(forward.Kind, 12, 36, 20)
	p, err := forward.New(m)
	if err != nil {
		t.Fatal(err)
	}
	x, mask := draw(rand.New(rand.NewPCG(1, 1)), m.Layout.Shape)
	probabilities := make([]float32, 37)
	if n := testing.AllocsPerRun(5, func() { p.Predict(x, mask, probabilities) }); n != 0 {
		t.Errorf("Predict allocates %v times, want 0", n)
	}
	cells := 12 * 36
	if n := testing.AllocsPerRun(5, func() { p.Push(x[:cells], mask[:cells]); p.Judge(probabilities) }); n != 0 {
		t.Errorf("Push and Judge allocate %v times, want 0", n)
	}
}

func TestOtherNetworks(t *testing.T) {
	if _, err := forward.New(random(network.Residual, 3, 4, 5)); !errors.Is(err, model.ErrOther) || !strings.Contains(err.Error(), "seer train") {
		t.Errorf("New of a residual network = %v, want an error that says what to run", err)
	}
	m := random(forward.Kind, 3, 4, 5)
	m.Layout.Shape.Queues, m.Layout.Queues = 4, append(m.Layout.Queues, "more")
	if _, err := forward.New(m); !errors.Is(err, model.ErrOther) {
		t.Errorf("New with weights of another width = %v, want %v", err, model.ErrOther)
	}
}

// BenchmarkTick is what a live Seer does per tick; BenchmarkWindow a window from
// nothing, as in evaluation.
func BenchmarkTick(b *testing.B)   { bench(b, true) }
func BenchmarkWindow(b *testing.B) { bench(b, false) }

func bench(b *testing.B, slides bool) {
	for _, services := range []int{36, 386, 4000} {
		b.Run(fmt.Sprint("services=", services), func(b *testing.B) {
			m := random(forward.Kind, 12, services, 20)
			p, err := forward.New(m)
			if err != nil {
				b.Fatal(err)
			}
			x, mask := draw(rand.New(rand.NewPCG(1, 1)), m.Layout.Shape)
			probabilities := make([]float32, services+1)
			p.Predict(x, mask, probabilities)
			cells := 12 * services
			b.ReportAllocs()
			for b.Loop() {
				if slides {
					p.Push(x[:cells], mask[:cells])
					p.Judge(probabilities)
				} else {
					p.Predict(x, mask, probabilities)
				}
			}
		})
	}
}

// Networks measures prediction and training: processor time, so that what else runs
// on the machine matters less, and for training the gain of a second processor.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"seer/infer/forward"
	"seer/infer/matrix"
	"seer/infer/model"
	"seer/infer/network"
	"seer/infer/train"
	"seer/infer/window"
)

const queues, ticks, batch = 12, 20, 32

func main() {
	training := flag.Bool("train", false, "measure training, not prediction")
	kinds := flag.String("kinds", network.GraphGated+","+network.Hybrid, "the networks whose training is measured, comma-separated")
	flag.Parse()
	f := predict
	if *training {
		f = func() error { return learn(strings.Split(*kinds, ",")) }
	}
	if err := f(); err != nil {
		fmt.Fprintln(os.Stderr, "networks:", err)
		os.Exit(1)
	}
}

// suffix tells figures of the two ways to multiply apart.
func suffix() string {
	if matrix.Wide() {
		return "_simd"
	}
	return ""
}

func predict() error {
	for _, services := range []int{36, 386, 4000} {
		m, err := random(network.GraphGated, services)
		if err != nil {
			return err
		}
		p, err := forward.New(m)
		if err != nil {
			return err
		}
		x, mask := example(m.Layout.Shape)
		probabilities := make([]float32, services+1)
		p.Predict(x, mask, probabilities)
		cells := queues * services
		figure(fmt.Sprintf("infer_tick_%d", services), cpu(func() {
			p.Push(x[:cells], mask[:cells])
			p.Judge(probabilities)
		}))
		figure(fmt.Sprintf("infer_window_%d", services), cpu(func() { p.Predict(x, mask, probabilities) }))
	}
	return nil
}

func learn(kinds []string) error {
	for _, kind := range kinds {
		for _, services := range []int{36, 386} {
			m, err := random(kind, services)
			if err != nil {
				return err
			}
			g, err := network.NewTraining(kind, &m.Layout, batch, m.Weights, 0)
			if err != nil {
				return err
			}
			x, mask := example(m.Layout.Shape)
			for i := range batch {
				g.Set(i, &m.Norm, x, mask)
				g.Target(i, int32(i), 1)
			}
			step := cpu(func() {
				if e := g.Run(); e != nil {
					err = e
				}
			})
			if err != nil {
				return err
			}
			figure(fmt.Sprintf("train_step_%s_%d", strings.ReplaceAll(kind, "-", "_"), services), step)
		}
	}
	// What another processor gains: the same epoch by one worker and by two, in turn.
	var ratios []float64
	for range 5 {
		var wall [2]float64
		for i := range wall {
			began := time.Now()
			s := &repeated{examples: 40 * batch}
			s.init()
			_, err := train.Train(context.Background(), s, s, train.Options{Epochs: 1, Workers: 1 + i})
			if err != nil {
				return err
			}
			wall[i] = time.Since(began).Seconds()
		}
		ratios = append(ratios, wall[0]/wall[1])
	}
	slices.Sort(ratios)
	fmt.Printf("BENCH train_two_workers%s %.2f times\n", suffix(), ratios[len(ratios)/2])
	return nil
}

// figure prints the median, and the least: what the machine takes when nothing else
// has the caches.
func figure(name string, seconds []float64) {
	fmt.Printf("BENCH %s%s %.4g ms\n", name, suffix(), 1e3*seconds[len(seconds)/2])
	fmt.Printf("BENCH %s%s_least %.4g ms\n", name, suffix(), 1e3*seconds[0])
}

// cpu is the processor time of one call, in seconds: of 15 runs of a twentieth of a
// second and more, in order.
func cpu(f func()) []float64 {
	f()
	calls := 1
	for used(f, calls) < .05 {
		calls *= 2
	}
	var all []float64
	for range 15 {
		all = append(all, used(f, calls)/float64(calls))
	}
	slices.Sort(all)
	return all
}

func used(f func(), calls int) float64 {
	began := spent()
	for range calls {
		f()
	}
	return (spent() - began).Seconds()
}

func spent() time.Duration {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		panic(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// random returns a model of services that each call two before them.
func random(kind string, services int) (*model.Model, error) {
	m := &model.Model{Kind: kind, Layout: layout(services), Temperature: 1}
	m.Norm.Mean = make([]float32, queues*services)
	for range queues * services {
		m.Norm.Scale = append(m.Norm.Scale, 1)
	}
	var err error
	m.Weights, err = network.Initial(kind, &m.Layout, 1)
	return m, err
}

func layout(services int) window.Layout {
	rng := rand.New(rand.NewPCG(1, 1))
	l := window.Layout{Shape: window.Shape{Queues: queues, Services: services, Ticks: ticks}, TickMS: 100, HorizonMS: 500}
	for q := range queues {
		l.Queues = append(l.Queues, fmt.Sprint("queue", q))
	}
	for s := range services {
		l.Services = append(l.Services, fmt.Sprint("service", s))
		for range min(s, 2) {
			l.Edges = append(l.Edges, [2]int{s, rng.IntN(s)})
		}
	}
	return l
}

func example(s window.Shape) (x, mask []float32) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range s.Len() {
		x = append(x, float32(rng.NormFloat64()))
		mask = append(mask, 1)
	}
	return x, mask
}

// repeated is a source of one window under every answer in turn.
type repeated struct {
	layout   window.Layout
	x, mask  []float32
	examples int
	at       int
}

func (r *repeated) init() {
	r.layout = layout(36)
	r.x, r.mask = example(r.layout.Shape)
}

func (r *repeated) Layout() *window.Layout { return &r.layout }
func (r *repeated) Reset(uint64) error     { r.at = 0; return nil }
func (r *repeated) Next(b *window.Batch) error {
	b.Size = 0
	for ; b.Size < len(b.Label) && r.at < r.examples; r.at++ {
		copy(b.X[b.Size*len(r.x):], r.x)
		copy(b.Mask[b.Size*len(r.x):], r.mask)
		b.Label[b.Size] = int32(r.at % 37)
		b.Size++
	}
	if b.Size == 0 {
		return io.EOF
	}
	return nil
}

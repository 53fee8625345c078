package train

import (
	"fmt"
	"io"
	"math/rand/v2"

	"seer/infer/window"
)

// chain is an application of services that each call the one before. Before a
// violation the queue of its culprit grows, and after it those of its callers, who
// wait; a spike of load, at which all queues grow together, precedes none. Depths
// differ between services by powers of ten.
type chain struct {
	layout window.Layout
	x      [][]float32
	mask   []float32
	label  []int32
	order  []int
}

const services, ticks = 8, 10

func newChain(seed uint64, examples int) *chain {
	c := &chain{layout: window.Layout{
		Shape:  window.Shape{Queues: 2, Services: services + 1, Ticks: ticks},
		Queues: []string{"outstanding", "receive_queue"},
		TickMS: 100, HorizonMS: 500,
	}}
	for s := range services {
		c.layout.Services = append(c.layout.Services, fmt.Sprint("service", s))
		if s > 0 {
			c.layout.Edges = append(c.layout.Edges, [2]int{s, s - 1})
		}
	}
	c.layout.Services = append(c.layout.Services, "") // spare
	c.mask = make([]float32, c.layout.Shape.Len())
	for i := range c.mask {
		if i/ticks%(services+1) < services {
			c.mask[i] = 1
		}
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	for range examples {
		x, label := c.draw(rng)
		c.x = append(c.x, x)
		c.label = append(c.label, label)
		c.order = append(c.order, len(c.order))
	}
	return c
}

func (c *chain) draw(rng *rand.Rand) ([]float32, int32) {
	x := make([]float32, c.layout.Shape.Len())
	label := int32(services + 1)
	culprit, spike := -1, 0.
	switch rng.IntN(6) {
	case 0, 1:
		culprit = rng.IntN(services)
		label = int32(culprit)
	case 2:
		spike = 3 + 3*rng.Float64()
	}
	slope := 3 + 3*rng.Float64()
	for q := range 2 {
		scale := 1.
		for s := range services {
			scale *= 3
			level := 5 * scale
			for t := range ticks {
				grown := 0.
				late := float64(t-4) / (ticks - 4) // growth begins in tick 5
				if late > 0 {
					switch {
					case spike > 0:
						grown = spike * late
					case s == culprit:
						grown = slope * late
					case culprit >= 0 && s > culprit:
						grown = slope * max(late-.1*float64(s-culprit), 0)
					}
				}
				x[(q*(services+1)+s)*ticks+t] = float32(level + scale*(rng.NormFloat64()+grown))
			}
		}
	}
	return x, label
}

func (c *chain) Layout() *window.Layout { return &c.layout }

func (c *chain) Reset(seed uint64) error {
	c.order = rand.New(rand.NewPCG(seed, 2)).Perm(len(c.x))
	return nil
}

func (c *chain) Next(b *window.Batch) error {
	b.Size = 0
	for b.Size < len(b.Label) && len(c.order) > 0 {
		e := c.order[0]
		c.order = c.order[1:]
		copy(b.X[b.Size*len(c.mask):], c.x[e])
		copy(b.Mask[b.Size*len(c.mask):], c.mask)
		b.Label[b.Size] = c.label[e]
		b.Size++
	}
	if b.Size == 0 {
		return io.EOF
	}
	return nil
}

package train

import (
	"errors"
	"io"

	"golang.org/x/sync/errgroup"

	"seer/infer/model"
	"seer/infer/network"
	"seer/infer/window"
)

// team computes batches in parts, a graph and a goroutine per worker.
type team struct {
	graphs []*network.Graph
	norm   *model.Norm
	part   int // examples per worker
}

// newTeam makes graphs that share weights; build makes one for a number of examples.
func newTeam(batch, workers int, norm *model.Norm, build func(part int) (*network.Graph, error)) (*team, error) {
	t := &team{norm: norm, part: (batch + workers - 1) / workers}
	for range workers {
		g, err := build(t.part)
		if err != nil {
			t.close()
			return nil, err
		}
		t.graphs = append(t.graphs, g)
	}
	return t, nil
}

func (t *team) close() {
	for _, g := range t.graphs {
		g.Close()
	}
}

// run computes a batch. prepare, if not nil, is called for every place of a graph with
// the example that is there, or -1. meanwhile runs beside the workers.
func (t *team) run(b *window.Batch, prepare func(g *network.Graph, place, example int), meanwhile func() error) error {
	var work errgroup.Group
	long := b.Shape.Len()
	for i, g := range t.graphs {
		work.Go(func() error {
			for place := range t.part {
				example := i*t.part + place
				if example >= b.Size {
					example = -1
				} else {
					g.Set(place, t.norm, b.X[example*long:][:long], b.Mask[example*long:][:long])
				}
				if prepare != nil {
					prepare(g, place, example)
				}
			}
			return g.Run()
		})
	}
	err := meanwhile()
	if e := work.Wait(); e != nil {
		return e
	}
	return err
}

// pages reads a source a batch ahead.
type pages struct {
	source    window.Source
	now, next *window.Batch
	more      bool
}

func newPages(s window.Source, batch int) *pages {
	shape := s.Layout().Shape
	return &pages{source: s, now: model.NewBatch(shape, batch), next: model.NewBatch(shape, batch)}
}

// each calls work for every batch of one pass; what it gets to run beside its own work
// reads the next.
func (p *pages) each(seed uint64, work func(b *window.Batch, meanwhile func() error) error) error {
	if err := p.source.Reset(seed); err != nil {
		return err
	}
	if err := p.read(); err != nil {
		return err
	}
	for p.more {
		p.now, p.next = p.next, p.now
		if err := work(p.now, p.read); err != nil {
			return err
		}
	}
	return nil
}

func (p *pages) read() error {
	err := p.source.Next(p.next)
	p.more = err == nil
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

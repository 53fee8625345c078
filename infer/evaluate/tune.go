package evaluate

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"seer/infer/window"
)

// Model makes predictors, one for each goroutine.
type Model interface {
	Predictor() (window.Predictor, error)
}

// AskAll lets a model judge every tick of some runs, on all processors.
func AskAll(ctx context.Context, runs []*window.Run, s *window.Scale, m Model, progress func(float64)) ([]*Trace, error) {
	traces := make([]*Trace, len(runs))
	shares := make([]float64, len(runs))
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, r := range runs {
		g.Go(func() error {
			p, err := m.Predictor()
			if err != nil {
				return err
			}
			var tell func(float64)
			if progress != nil {
				tell = func(v float64) {
					mu.Lock()
					defer mu.Unlock()
					shares[i] = v
					sum := 0.0
					for _, s := range shares {
						sum += s
					}
					progress(sum / float64(len(runs)))
				}
			}
			traces[i], err = Ask(ctx, r, s, p, tell)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return traces, nil
}

// DefaultFalseShare is the share of false episodes that a threshold may bring.
const DefaultFalseShare = 0.1

// Tune chooses the threshold of a model's alarms on the validation runs. progress may
// be nil.
func Tune(ctx context.Context, d *window.Data, m Model, falseShare float64, o Options, progress func(float64)) (Point, error) {
	traces, err := AskAll(ctx, d.Validation, d.Scale, m, progress)
	if err != nil {
		return Point{}, err
	}
	return Choose(Curve(traces, o), falseShare)
}

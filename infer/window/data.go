package window

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"seer/infer/campaign"
)

// Data is what a model is trained with: runs to learn from, and runs on which it is
// decided when to stop and from when on there is an alarm.
type Data struct {
	Layout     *Layout
	Scale      *Scale
	Train      []*Run
	Validation []*Run

	opened []*Run
}

// DataOptions say how to open training data.
type DataOptions struct {
	Layout LayoutOptions
	// Validation are directories; without any it is the last part of each run.
	Validation []string
	TempDir    string
	Progress   func(share float64) // may be nil
}

// validationShare of each run is kept from training where there are no other runs.
const validationShare = 0.2

// OpenData opens campaign directories of one application to learn from. It refuses
// acceptance seeds.
func OpenData(ctx context.Context, dirs []string, o DataOptions) (*Data, error) {
	if len(dirs) == 0 {
		return nil, errors.New("nothing to learn from: name a campaign's directory")
	}
	for _, dir := range append(dirs[:len(dirs):len(dirs)], o.Validation...) {
		d, err := campaign.Open(dir)
		if err != nil {
			return nil, err
		}
		if d.Manifest.Seed >= campaign.FirstAcceptanceSeed {
			return nil, fmt.Errorf("%s: seed %d: %w", dir, d.Manifest.Seed, ErrAcceptance)
		}
	}
	first, err := campaign.Open(dirs[0])
	if err != nil {
		return nil, err
	}
	if o.Layout.TickMS == 0 {
		o.Layout.TickMS = first.Manifest.TickMS
	}
	d := &Data{}
	if d.Layout, err = NewLayout(first.Manifest.Topology, o.Layout); err != nil {
		return nil, err
	}
	all, err := OpenCampaigns(ctx, append(dirs[:len(dirs):len(dirs)], o.Validation...), d.Layout, OpenOptions{TempDir: o.TempDir, Progress: share(o.Progress)})
	if err != nil {
		return nil, err
	}
	d.opened = all
	d.Train, d.Validation = all[:len(dirs)], all[len(dirs):]
	if len(o.Validation) == 0 {
		d.Train = nil
		for _, r := range all {
			before, after := r.Split(1 - validationShare)
			d.Train, d.Validation = append(d.Train, before), append(d.Validation, after)
		}
	}
	if d.Scale, err = EstimateScale(d.Train); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func share(progress func(float64)) func(done, total float64) {
	if progress == nil {
		return nil
	}
	return func(done, total float64) { progress(done / total) }
}

// Samples returns what training reads.
func (d *Data) Samples(o SampleOptions) (train, validation *Sample, err error) {
	if train, err = NewSample(d.Train, d.Scale, o); err != nil {
		return nil, nil, fmt.Errorf("training: %w", err)
	}
	o.ShuffleLabels = false
	if validation, err = NewSample(d.Validation, d.Scale, o); err != nil {
		return nil, nil, fmt.Errorf("validation: %w", err)
	}
	return train, validation, nil
}

// Close gives back the disk space of all runs.
func (d *Data) Close() error {
	var all error
	for _, r := range d.opened {
		all = errors.Join(all, r.Close())
	}
	return all
}

// OpenCampaigns opens several directories with one layout, on all processors.
func OpenCampaigns(ctx context.Context, dirs []string, l *Layout, o OpenOptions) ([]*Run, error) {
	runs := make([]*Run, len(dirs))
	shares := make([]float64, len(dirs))
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, dir := range dirs {
		g.Go(func() error {
			each := o
			if o.Progress != nil {
				each.Progress = func(d, t float64) {
					mu.Lock()
					defer mu.Unlock()
					shares[i] = d / t
					o.Progress(sum(shares), float64(len(dirs)))
				}
			}
			var err error
			runs[i], err = OpenCampaign(ctx, dir, l, each)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		for _, r := range runs {
			if r != nil {
				r.Close()
			}
		}
		return nil, err
	}
	return runs, nil
}

func sum(v []float64) float64 {
	total := 0.0
	for _, x := range v {
		total += x
	}
	return total
}

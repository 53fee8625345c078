package window

import (
	"context"
	"fmt"
	"slices"
	"time"

	"seer/infer/campaign"
)

// OpenCampaign reads a campaign's directory. A layout of nil means that of the
// campaign's application, with the defaults.
func OpenCampaign(ctx context.Context, dir string, l *Layout, o OpenOptions) (*Run, error) {
	d, err := campaign.Open(dir)
	if err != nil {
		return nil, err
	}
	if l == nil {
		if l, err = NewLayout(d.Manifest.Topology, LayoutOptions{TickMS: d.Manifest.TickMS}); err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
	}
	m := &d.Manifest
	if m.TickMS > l.TickMS || l.TickMS%m.TickMS != 0 {
		return nil, fmt.Errorf("%s: recorded by ticks of %d ms, the model wants %d: record it again, or train a model for this tick", dir, m.TickMS, l.TickMS)
	}
	r := &Run{Name: dir, Seed: m.Seed, Layout: l}
	if r.Slots, err = l.Slots(m.Services); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if r.Truth, err = truth(d, r.Slots); err != nil {
		return nil, err
	}
	return openRun(ctx, r, d, time.Unix(0, 0), time.Unix(0, 0).Add(time.Duration(m.DurationMS)*time.Millisecond), o)
}

// truth reads what was injected and what users felt. Who started a violation is
// the culprit of its fault; a load spike and a failed network have none.
func truth(d *campaign.Dir, slots []string) (Truth, error) {
	var t Truth
	violations, err := d.Violations()
	if err != nil {
		return t, err
	}
	if t.Faults, err = d.Faults(); err != nil {
		return t, err
	}
	for _, v := range violations {
		w := Violation{OnsetMS: v.OnsetMS, EndMS: v.EndMS, Service: v.Service, Culprit: -1, Fault: v.Fault}
		for _, f := range t.Faults {
			if v.Fault != 0 && f.ID == v.Fault {
				w.Cause, w.FaultMS = f.Cause, f.OnsetMS
				if f.Culprit != "" {
					w.Culprit = slices.Index(slots, f.Culprit)
				}
			}
		}
		t.Violations = append(t.Violations, w)
	}
	return t, nil
}

package replay

import (
	"context"
	"slices"
	"time"

	"seer/collector"
	"seer/collector/container"
	"seer/collector/qos"
	"seer/collector/tracedb"
	"seer/infer/campaign"
)

// Labelled is a violation that a fault explains, and who is said to have started it.
type Labelled struct {
	Violation campaign.Violation
	Fault     campaign.Fault
	First     bool // of this fault
	Label     qos.Label
}

// Want is the label that says the truth. A load spike and a network that fails for
// all have no service to blame.
func (l *Labelled) Want() string {
	switch l.Fault.Cause {
	case campaign.CauseLoadSpike:
		return qos.CulpritLoad
	case campaign.CauseNetworkFailure:
		return qos.CulpritUnknown
	}
	return l.Fault.Culprit
}

// Right says whether the label is the truth.
func (l *Labelled) Right() bool { return l.Label.Culprit == l.Want() }

// Labels labels each violation of a campaign that a fault explains, from what the
// queues showed around its onset.
func Labels(ctx context.Context, dir *campaign.Dir) ([]Labelled, error) {
	violations, err := dir.Violations()
	if err != nil {
		return nil, err
	}
	faults, err := dir.Faults()
	if err != nil {
		return nil, err
	}
	var calls []qos.Call
	for _, e := range dir.Manifest.Topology.Edges() {
		calls = append(calls, qos.Call{Client: e.Caller, Server: e.Callee})
	}
	var labelled []Labelled
	seen := map[int]bool{}
	label := func(h *qos.History, v *campaign.Violation, until time.Time) {
		if v.Fault < 1 || v.Fault > len(faults) {
			return
		}
		f := faults[v.Fault-1]
		c := h.Case(v.Service, append(slices.Clip(calls), circle(&f)...), time.Unix(0, v.OnsetMS*1e6), until)
		labelled = append(labelled, Labelled{*v, f, !seen[f.ID], qos.Annotate(&c)})
		seen[f.ID] = true
	}
	m := &dir.Manifest
	tick, length := time.Duration(m.TickMS)*time.Millisecond, time.Duration(m.DurationMS)*time.Millisecond
	history := qos.NewHistory()
	next := 0 // violation to label
	const piece = time.Minute
	for from := time.Duration(0); from < length; from += piece {
		err := ticks(ctx, dir, from, min(from+piece, length), tick, func(t *collector.Tick) {
			history.Add(t, disturbed(violations, t.End))
			for ; next < len(violations); next++ {
				v := &violations[next]
				// As a live host does: after two seconds, or when it has ended.
				until := time.Unix(0, min(v.EndMS+1000, v.OnsetMS+2000)*1e6)
				if t.End.Before(until) {
					break
				}
				label(history, v, until)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return labelled, nil
}

// circle is the call that a fault adds: Seer would see its connections.
func circle(f *campaign.Fault) []qos.Call {
	if len(f.Peers) != 2 {
		return nil
	}
	return []qos.Call{{Client: f.Peers[1], Server: f.Culprit}}
}

// disturbed says whether a promise is broken, or was until a moment ago.
func disturbed(violations []campaign.Violation, at time.Time) bool {
	ms := at.UnixMilli()
	for i := range violations {
		if violations[i].OnsetMS-2000 <= ms && ms <= violations[i].EndMS+2000 {
			return true
		}
	}
	return false
}

// ticks calls fn for each tick of a campaign in [from, to), with a row for each
// service.
func ticks(ctx context.Context, dir *campaign.Dir, from, to, tick time.Duration, fn func(*collector.Tick)) error {
	services := dir.Manifest.Services
	var queues []collector.Queue
	for _, name := range dir.Manifest.Queues {
		if q, known := collector.QueueByName(name); known {
			queues = append(queues, q)
		}
	}
	stats := []tracedb.Stat{tracedb.StatMean, tracedb.StatArrivals, tracedb.StatDepartures}
	w, err := dir.Window(ctx, from, to, tracedb.Columns(services, queues, stats))
	if err != nil {
		return err
	}
	t := collector.Tick{Rows: make([]collector.Row, len(services))}
	for i, name := range services {
		t.Rows[i].Container = &container.Container{ID: container.ID(i), Name: name, Service: name}
	}
	for i := range w.Rows {
		t.Start = w.From.Add(time.Duration(i) * tick)
		t.End = t.Start.Add(tick)
		values, valid := w.Row(i)
		at := 0
		for s := range services {
			for _, q := range queues {
				t.Rows[s].Cells[q] = collector.Cell{Mean: float64(values[at]), Arrivals: float64(values[at+1]), Departures: float64(values[at+2]), Valid: valid[at]}
				at += len(stats)
			}
		}
		fn(&t)
	}
	return nil
}

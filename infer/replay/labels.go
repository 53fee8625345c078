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

// Cases calls fn for each violation of a campaign that a fault explains, with what
// the queues showed around its onset.
func Cases(ctx context.Context, dir *campaign.Dir, fn func(campaign.Violation, campaign.Fault, qos.Case)) error {
	violations, err := dir.Violations()
	if err != nil {
		return err
	}
	faults, err := dir.Faults()
	if err != nil {
		return err
	}
	var calls []qos.Call
	for _, e := range dir.Manifest.Topology.Edges() {
		calls = append(calls, qos.Call{Client: e.Caller, Server: e.Callee})
	}
	m := &dir.Manifest
	tick := time.Duration(m.TickMS) * time.Millisecond
	history := qos.NewHistory()
	next := 0 // violation to look at
	const piece = time.Minute
	for from := time.Duration(0); from < time.Duration(m.DurationMS)*time.Millisecond; from += piece {
		err := ticks(ctx, dir, from, from+piece, tick, func(t *collector.Tick) {
			history.Add(t, disturbed(violations, t.End))
			for ; next < len(violations); next++ {
				v := &violations[next]
				// Not later than a label is needed.
				until := time.Unix(0, min(v.EndMS+500, v.OnsetMS+3000)*1e6)
				if t.End.Before(until) {
					break
				}
				if v.Fault > 0 && v.Fault <= len(faults) {
					f := faults[v.Fault-1]
					fn(*v, f, history.Case(v.Service, append(slices.Clip(calls), circle(&f)...), time.Unix(0, v.OnsetMS*1e6), until))
				}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
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
	to = min(to, time.Duration(dir.Manifest.DurationMS)*time.Millisecond)
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

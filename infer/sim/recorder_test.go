package sim

import (
	"slices"
	"testing"
	"time"

	"seer/collector"
	"seer/infer/campaign"
	"seer/infer/topology"
	"seer/test/apps"
)

// recorder keeps what a simulation shows.
type recorder struct {
	requests []campaign.Request
	ticks    [][][collector.NumQueues]float64 // mean depths, by tick and container
}

func (r *recorder) Request(q campaign.Request) error {
	r.requests = append(r.requests, q)
	return nil
}

func (r *recorder) Tick(t *Tick) error {
	rows := make([][collector.NumQueues]float64, len(t.Cells))
	for i := range t.Cells {
		for q := range rows[i] {
			rows[i][q] = t.Cells[i][q].Mean
		}
	}
	r.ticks = append(r.ticks, rows)
	return nil
}

// percentile is that of the latencies of the requests meant to be sent in an
// interval.
func (r *recorder) percentile(from, to time.Duration, p float64) time.Duration {
	var latencies []int64
	for _, q := range r.requests {
		if q.IntendedUS >= from.Microseconds() && q.IntendedUS < to.Microseconds() {
			latencies = append(latencies, q.LatencyUS)
		}
	}
	if len(latencies) == 0 {
		return 0
	}
	slices.Sort(latencies)
	return time.Duration(latencies[int(float64(len(latencies))*p/100)]) * time.Microsecond
}

func loadApp(t *testing.T, name string) *topology.App {
	t.Helper()
	app, err := apps.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// play runs a simulation to the end, with actions on the way, and returns it
// with what it showed.
func play(t *testing.T, c Config, until time.Duration, script ...func(*Simulation) error) (*Simulation, *recorder) {
	t.Helper()
	r := &recorder{}
	c.Sink = r
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, do := range script {
		if err := do(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Step(until); err != nil {
		t.Fatal(err)
	}
	return s, r
}

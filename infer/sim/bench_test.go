package sim_test

import (
	"testing"
	"time"

	"seer/infer/sim"
	"seer/test/apps"
)

// BenchmarkEvents is how fast the Social Network runs at 200 requests per second,
// sampling included.
func BenchmarkEvents(b *testing.B) {
	app, err := apps.Load("social-network")
	if err != nil {
		b.Fatal(err)
	}
	s, err := sim.New(sim.Config{App: app, Seed: 1, Nominal: 200})
	if err != nil {
		b.Fatal(err)
	}
	before := s.Events()
	b.ReportAllocs()
	until := time.Duration(0)
	for b.Loop() {
		until += time.Second
		if err := s.Step(until); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(s.Events()-before)/b.Elapsed().Seconds()/1e6, "Mevents/s")
	b.ReportMetric(float64(s.Events()-before)/float64(b.N), "events/s-simulated")
}

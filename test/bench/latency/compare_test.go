//go:build linux

package main

import (
	"math"
	"testing"
	"time"

	"seer/test/lab"
)

func TestCompare(t *testing.T) {
	const ms = time.Millisecond
	var client, server []lab.Timing
	saw := &watcher{atServer: 100, atClient: 102}
	for i := range 100 {
		d := time.Duration(i+1) * ms
		server = append(server, lab.Timing{First: d / 2, Last: d})
		client = append(client, lab.Timing{First: d, Last: 2 * d, Send: 20 * time.Microsecond})
		saw.servedFirst.Add(d / 2)
		saw.served.Add(d * 11 / 10)
		if i > 0 { // one was missed
			saw.called.Add(2 * d)
		}
	}
	client = append(client, lab.Timing{}, lab.Timing{}) // not answered
	got := compare(saw, client, server)
	if got.requests != 100 || got.wrong != 1 || got.send != 20*time.Microsecond {
		t.Errorf("compare = %d requests, %d wrong, %v a send; want 100, 1, 20µs", got.requests, got.wrong, got.send)
	}
	for name, e := range map[string]struct {
		got      deviation
		p50, p99 float64 // percent
		at       time.Duration
	}{
		"served":       {got.served, 10, 10, 50 * ms},
		"served first": {got.servedFirst, 0, 0, 25 * ms},
		"called":       {got.called, 2, 0, 100 * ms}, // the 51st of the truth, as the first is missing
	} {
		if !e.got.known || e.got.p50.want != e.at {
			t.Errorf("%s: p50 of the truth is %v, want %v", name, e.got.p50.want, e.at)
		}
		if d := e.got.p50.percent() - e.p50; math.Abs(d) > 1.6 {
			t.Errorf("%s: p50 is off by %.2f %%, want %v within a bucket", name, e.got.p50.percent(), e.p50)
		}
		if d := e.got.p99.percent() - e.p99; math.Abs(d) > 1.8 {
			t.Errorf("%s: p99 is off by %.2f %%, want %v within a bucket", name, e.got.p99.percent(), e.p99)
		}
	}
	if got := compare(saw, client, nil); got.served.known || got.wrong != 1+2 {
		t.Errorf("compare without a server's truth = %+v, want no deviation, and the client's counts: 3 wrong", got)
	}
}

//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"

	"seer/collector/latency"
	"seer/test/lab"
)

// counts is what one end says.
type counts struct{ begun, answered int64 }

// result compares what was seen at both ends with what was.
type result struct {
	requests int64 // answered, at the client
	wrong    int64 // by how much the four counts of both ends are off, together

	served, servedFirst, called deviation
	send                        time.Duration // the median call to send
}

// deviation is how far a histogram is from the truth.
type deviation struct {
	known          bool // there is a truth
	p50, p99, mean pair
}

type pair struct{ got, want time.Duration }

// percent is how far it is off.
func (p pair) percent() float64 { return (float64(p.got)/float64(p.want) - 1) * 100 }

func (d deviation) String() string {
	if !d.known {
		return "-"
	}
	return fmt.Sprintf("%+.1f, %+.1f, %+.0f", d.p50.percent(), d.p99.percent(), float64(d.mean.got-d.mean.want)/1e3)
}

func (d deviation) truth() string {
	if !d.known {
		return "-"
	}
	return fmt.Sprintf("%.3f, %.3f", d.p50.want.Seconds()*1e3, d.p99.want.Seconds()*1e3)
}

// compare holds what was seen to the client's truth, and to the server's where it
// has one.
func compare(saw *watcher, client, server []lab.Timing) result {
	atClient := countOf(client)
	atServer := atClient
	if server != nil {
		atServer = countOf(server)
	}
	r := result{
		requests: atClient.answered,
		wrong: apart(saw.atServer, atServer.begun) + apart(saw.served.N, atServer.answered) +
			apart(saw.atClient, atClient.begun) + apart(saw.called.N, atClient.answered),
		called: deviationOf(&saw.called, answers(client, toLast)),
		send:   quantile(answers(client, func(t lab.Timing) time.Duration { return t.Send }), .5),
	}
	if server != nil {
		r.served = deviationOf(&saw.served, answers(server, toLast))
		r.servedFirst = deviationOf(&saw.servedFirst, answers(server, func(t lab.Timing) time.Duration { return t.First }))
	}
	return r
}

func toLast(t lab.Timing) time.Duration { return t.Last }

func countOf(log []lab.Timing) counts {
	return counts{begun: int64(len(log)), answered: int64(len(answers(log, toLast)))}
}

func apart(a, b int64) int64 { return max(a-b, b-a) }

// answers returns a time of every request that was answered, ascending.
func answers(log []lab.Timing, of func(lab.Timing) time.Duration) []time.Duration {
	var out []time.Duration
	for _, t := range log {
		if t.Last > 0 {
			out = append(out, of(t))
		}
	}
	slices.Sort(out)
	return out
}

func deviationOf(saw *latency.Histogram, truth []time.Duration) deviation {
	p50, some := saw.Quantile(.5)
	p99, _ := saw.Quantile(.99)
	if len(truth) == 0 || !some {
		return deviation{}
	}
	sum := time.Duration(0)
	for _, d := range truth {
		sum += d
	}
	return deviation{
		known: true, p50: pair{p50, quantile(truth, .5)}, p99: pair{p99, quantile(truth, .99)},
		mean: pair{saw.Mean(), sum / time.Duration(len(truth))},
	}
}

// quantile is the ceil(q*n)-th of n ascending times, as latency.Histogram has it; 0
// of none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(q*float64(len(sorted)) + 1 - 1e-9)
	return sorted[min(max(rank, 1), len(sorted))-1]
}

package replay

import (
	"iter"
	"time"

	"seer/collector/latency"
	"seer/collector/qos"
	"seer/infer/campaign"
)

// Violations watches one promise over a whole campaign. With ages, the watcher
// also knows how old open requests are.
func Violations(requests iter.Seq2[campaign.Request, error], promise campaign.QoS, tick, length time.Duration, ages bool) ([]qos.Violation, error) {
	target := qos.Target{
		Service: promise.Service, Percentile: promise.Percentile,
		Bound: time.Duration(promise.TargetMS * float64(time.Millisecond)),
	}
	var found []*qos.Violation
	m := qos.NewMonitor(target)
	err := Ticks(requests, promise.Service, tick, length, func(start, end time.Time, ended, open *latency.Histogram) {
		if !ages {
			open = nil
		}
		for _, v := range m.Observe(start, end, ended, open) {
			if len(found) == 0 || found[len(found)-1] != v {
				found = append(found, v)
			}
		}
	})
	out := make([]qos.Violation, len(found))
	for i, v := range found {
		out[i] = *v
	}
	return out, err
}

// Agreement is how well violations that were watched agree with those that the
// users' log gives.
type Agreement struct {
	Truth  int // violations that there are
	Found  int // that were watched
	Onsets int // of Truth, seen with an onset within a tick
	Ends   int // with an end within a tick
	Both   int
}

// Share is the part of the violations whose onset and end are within a tick.
func (a Agreement) Share() float64 { return float64(a.Both) / float64(max(a.Truth, 1)) }

// Add sums up.
func (a *Agreement) Add(b Agreement) {
	a.Truth += b.Truth
	a.Found += b.Found
	a.Onsets += b.Onsets
	a.Ends += b.Ends
	a.Both += b.Both
}

// Compare holds the violations of one service to the truth. Each true one is
// held to the one that was watched whose onset is nearest.
func Compare(truth []campaign.Violation, watched []qos.Violation, tick time.Duration) Agreement {
	a := Agreement{Truth: len(truth), Found: len(watched)}
	for i := range truth {
		best, distance := -1, time.Duration(1<<62)
		onset := time.Unix(0, truth[i].OnsetMS*1e6)
		for j := range watched {
			if d := watched[j].Onset.Sub(onset).Abs(); d < distance {
				best, distance = j, d
			}
		}
		if best < 0 {
			continue
		}
		began := distance <= tick
		ended := watched[best].End.Sub(time.Unix(0, truth[i].EndMS*1e6)).Abs() <= tick
		if began {
			a.Onsets++
		}
		if ended {
			a.Ends++
		}
		if began && ended {
			a.Both++
		}
	}
	return a
}

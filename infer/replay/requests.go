package replay

import (
	"iter"
	"time"

	"seer/collector/latency"
	"seer/infer/campaign"
)

// Ticks turns the users' requests for one service, in order of the intended time,
// into what exact mode counts of it: tick by tick the latencies of those that
// ended, and the ages of those open at its end. The campaign starts at the epoch.
// fn must not keep the histograms.
func Ticks(requests iter.Seq2[campaign.Request, error], service string, tick, length time.Duration,
	fn func(start, end time.Time, ended, open *latency.Histogram)) error {
	next, stop := iter.Pull2(requests)
	defer stop()
	var pending []campaign.Request // open, or ended later in this tick
	var ended, open latency.Histogram
	coming, err, more := next()
	for at := time.Duration(0); at < length; at += tick {
		end := at + tick
		for ; more && coming.IntendedUS < end.Microseconds(); coming, err, more = next() {
			if err != nil {
				return err
			}
			if coming.Service == service {
				pending = append(pending, coming)
			}
		}
		ended, open = latency.Histogram{}, latency.Histogram{}
		kept := pending[:0]
		for _, r := range pending {
			if r.IntendedUS+r.LatencyUS < end.Microseconds() {
				ended.Add(time.Duration(r.LatencyUS) * time.Microsecond)
				continue
			}
			open.Add(end - time.Duration(r.IntendedUS)*time.Microsecond)
			kept = append(kept, r)
		}
		pending = kept
		fn(time.Unix(0, int64(at)), time.Unix(0, int64(end)), &ended, &open)
	}
	return err
}

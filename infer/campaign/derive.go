package campaign

import (
	"cmp"
	"iter"
	"math"
	"slices"
)

// When the promise is broken
//
// A request counts at the moment at which its verdict is known: when it ends,
// or when it is as old as the target and has not ended. So the onset does not
// wait for slow requests to end, or to time out, and it is what an observer of
// the users could have known at the time. Requests that ended in an error or a
// timeout count with the time that they took.
//
// The window holds the requests of the last second; where those are fewer than
// 1/(1-p), of which the percentile is just the slowest but one (100 for p99),
// as many as that, but none older than ten seconds. With fewer nothing is said:
// there is no violation. The percentile is the one of rank ceil(p n), and the
// promise is broken while it exceeds the target. The window is looked at
// whenever a verdict arrives.
//
// Stretches less than a second apart are one violation.
const (
	windowUS     = 1_000_000
	longWindowUS = 10_000_000
	mergeUS      = 1_000_000
	worstEveryUS = 100_000 // how often the value of the percentile is looked up
)

// Violations derives the violations of each promise from the users' requests,
// which come in order of the intended time. They are ordered by onset.
func Violations(requests iter.Seq[Request], qos []QoS) []Violation {
	d := newDeriver(qos)
	for r := range requests {
		d.add(&r)
	}
	return d.finish()
}

// explainMS is how long after its end a fault still explains an onset: queues
// drain, and clients that gave up try again.
const explainMS = 5000

// Explain sets the fault of each violation: the last that began before the
// onset, if the onset lies before its end or less than five seconds after. A
// violation that began before the fault is not explained by it.
func Explain(violations []Violation, faults []Fault) {
	for i := range violations {
		v := &violations[i]
		v.Fault = 0
		for _, f := range faults {
			if f.OnsetMS <= v.OnsetMS && v.OnsetMS < f.EndMS+explainMS {
				v.Fault = f.ID
			}
		}
	}
}

// deriver holds a promise's window each.
type deriver struct {
	promises []*promise
}

func newDeriver(qos []QoS) *deriver {
	d := &deriver{}
	for _, q := range qos {
		d.promises = append(d.promises, newPromise(q))
	}
	return d
}

func (d *deriver) add(r *Request) {
	for _, p := range d.promises {
		if p.qos.Service == r.Service {
			p.add(r)
		}
	}
}

func (d *deriver) finish() []Violation {
	var out []Violation
	for _, p := range d.promises {
		out = append(out, p.finish()...)
	}
	slices.SortStableFunc(out, func(a, b Violation) int { return cmp.Compare(a.OnsetMS, b.OnsetMS) })
	return out
}

// verdict is a request in the window.
type verdict struct {
	atUS, latencyUS int64
}

func (v *verdict) before(w *verdict) bool {
	return v.atUS < w.atUS || v.atUS == w.atUS && v.latencyUS < w.latencyUS
}

// promise watches one percentile of one service.
type promise struct {
	qos      QoS
	targetUS int64
	least    int // requests in a window

	coming minHeap[verdict]
	window []verdict // oldest first, from head
	head   int
	late   int

	broken  bool  // since the verdict before
	last    int64 // verdict at which it was
	worst   int64 // value of the percentile during the violation
	looked  int64 // when it was last looked up
	found   []Violation
	highest minHeap[int64] // kept for its memory
}

func newPromise(q QoS) *promise {
	return &promise{
		qos:      q,
		coming:   minHeap[verdict]{less: (*verdict).before},
		highest:  minHeap[int64]{less: func(a, b *int64) bool { return *a < *b }},
		targetUS: int64(math.Round(q.TargetMS * 1000)),
		least:    int(math.Ceil(1/(1-q.Percentile/100) - 1e-9)),
	}
}

func (p *promise) add(r *Request) {
	// Every verdict up to now is known: later requests have later ones.
	p.judge(r.IntendedUS)
	p.coming.push(verdict{r.IntendedUS + min(r.LatencyUS, p.targetUS), r.LatencyUS})
}

// judge takes the verdicts up to a time into the window, one by one.
func (p *promise) judge(untilUS int64) {
	for p.coming.len() > 0 && p.coming.least().atUS <= untilUS {
		v := p.coming.pop()
		p.window = append(p.window, v)
		if v.latencyUS > p.targetUS {
			p.late++
		}
		p.forget(v.atUS)
		p.look(v.atUS)
	}
}

// forget drops what is too old for the window.
func (p *promise) forget(now int64) {
	for {
		oldest := p.window[p.head]
		age := now - oldest.atUS
		if age < windowUS || age < longWindowUS && len(p.window)-p.head <= p.least {
			break
		}
		if oldest.latencyUS > p.targetUS {
			p.late--
		}
		p.head++
	}
	if p.head > len(p.window)/2 {
		p.window = append(p.window[:0], p.window[p.head:]...)
		p.head = 0
	}
}

// look decides whether the promise is broken at a time.
func (p *promise) look(now int64) {
	n := len(p.window) - p.head
	rank := p.rank(n)
	broken := n >= p.least && n-p.late < rank
	if !broken {
		p.broken = false
		return
	}
	if !p.broken {
		p.broken = true
		if len(p.found) == 0 || now-p.last >= mergeUS {
			p.found = append(p.found, Violation{
				OnsetMS: now / 1000, EndMS: now / 1000, Service: p.qos.Service, TargetMS: p.qos.TargetMS,
			})
			p.worst = 0
		}
		p.looked = now - worstEveryUS
	}
	p.last = now
	v := &p.found[len(p.found)-1]
	v.EndMS = now/1000 + 1
	if now-p.looked >= worstEveryUS {
		p.looked = now
		p.worst = max(p.worst, p.percentile(rank))
		v.P99MS = float64(p.worst) / 1000
	}
}

// rank returns the rank of the percentile among n, from 1.
func (p *promise) rank(n int) int {
	return int(math.Ceil(float64(p.qos.Percentile*float64(n))/100 - 1e-9))
}

// percentile returns the latency of a rank in the window: the least of those
// from that rank up, which are few where the percentile is high.
func (p *promise) percentile(rank int) int64 {
	window := p.window[p.head:]
	p.highest.items = p.highest.items[:0]
	for i := range window {
		switch v := window[i].latencyUS; {
		case p.highest.len() <= len(window)-rank:
			p.highest.push(v)
		case v > *p.highest.least():
			p.highest.pop()
			p.highest.push(v)
		}
	}
	return *p.highest.least()
}

func (p *promise) finish() []Violation {
	p.judge(math.MaxInt64)
	return p.found
}

package load

import (
	"errors"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"seer/infer/campaign"
)

// WindowLength is how much time a Window covers.
const WindowLength = 10 * time.Second

// lateAfter is the lateness from which a request counts as sent late.
const lateAfter = time.Millisecond

// tally counts what happens.
type tally struct {
	cfg *Config

	mu       sync.Mutex
	all      *counter
	kinds    []*counter // in the order of App.Requests
	window   *counter
	windows  []Window
	windowNo int64 // of the one under way
	lateness *hdrhistogram.Histogram
	late     int64
	inFlight int
	most     int
	failures map[string]int64 // by message
}

// counter counts requests of one sort.
type counter struct {
	name, service                 string
	ok, errors, timeouts, refused int64
	latency                       *hdrhistogram.Histogram // us
}

func newCounter(name, service string) *counter {
	return &counter{name: name, service: service, latency: newHistogram()}
}

// newHistogram holds microseconds up to ten minutes, to three digits.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, (10 * time.Minute).Microseconds(), 3)
}

func newTally(cfg *Config) *tally {
	t := &tally{
		cfg: cfg, all: newCounter("", ""), window: newCounter("", ""),
		lateness: newHistogram(), failures: map[string]int64{},
	}
	for _, r := range cfg.Plan.App.Requests {
		t.kinds = append(t.kinds, newCounter(r.Name, r.Call.Service))
	}
	return t
}

// begin counts a request that is due, and was reached so much late. It returns
// false where it must not be sent.
func (t *tally) begin(late time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	record(t.lateness, late.Microseconds())
	if late > lateAfter {
		t.late++
	}
	if t.inFlight >= t.cfg.InFlight {
		return false
	}
	t.inFlight++
	t.most = max(t.most, t.inFlight)
	return true
}

// end counts a request that has ended, and has it recorded.
func (t *tally) end(row campaign.Request, err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	refused := errors.Is(err, errRefused)
	if !refused {
		t.inFlight--
	}
	t.advance(row.IntendedUS + row.LatencyUS)
	for _, c := range [...]*counter{t.all, t.window, t.kind(&row)} {
		c.add(&row, refused)
	}
	if err != nil {
		t.fail(err)
	}
	return t.cfg.Record(row)
}

func (t *tally) kind(row *campaign.Request) *counter {
	for _, c := range t.kinds {
		if c.name == row.Type && c.service == row.Service {
			return c
		}
	}
	return t.all // not reached: rows have the names of kinds
}

func (c *counter) add(row *campaign.Request, refused bool) {
	switch campaign.Status(row.Status) {
	case campaign.StatusOK:
		c.ok++
	case campaign.StatusTimeout:
		c.timeouts++
	default:
		c.errors++
	}
	if refused {
		c.refused++
	}
	record(c.latency, row.LatencyUS)
}

// record puts what is beyond the range at its ends.
func record(h *hdrhistogram.Histogram, us int64) {
	us = min(max(us, 0), h.HighestTrackableValue())
	_ = h.RecordValue(us) // it is in range
}

// maxFailures bounds the messages that are told apart.
const maxFailures = 20

func (t *tally) fail(err error) {
	text := err.Error()
	if _, known := t.failures[text]; !known && len(t.failures) >= maxFailures {
		text = "others"
	}
	t.failures[text]++
}

// advance closes the window before the one that a time is in. Windows are by the
// time at which requests end, those of a pause have nothing.
func (t *tally) advance(us int64) {
	no := us / WindowLength.Microseconds()
	if no <= t.windowNo {
		return
	}
	t.closeWindow()
	t.windowNo = no
}

func (t *tally) closeWindow() {
	c := t.window
	if c.total() == 0 {
		return
	}
	w := Window{
		StartS:  float64(t.windowNo) * WindowLength.Seconds(),
		Ended:   c.total(),
		Errors:  c.errors + c.timeouts,
		Latency: c.summary(),
	}
	t.windows = append(t.windows, w)
	t.window = newCounter("", "")
	if t.cfg.Progress != nil {
		t.cfg.Progress(w)
	}
}

func (c *counter) total() int64 { return c.ok + c.errors + c.timeouts }

func (c *counter) summary() Latency { return summarise(c.latency) }

func (t *tally) report(elapsed time.Duration) *Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeWindow()
	p := t.cfg.Plan
	r := &Report{
		App: p.App.Name, Seed: p.Seed, Shape: string(p.Options.Shape),
		DurationS: (elapsed - t.cfg.From).Seconds(),
		Counts:    t.all.counts(), Latency: t.all.summary(),
		Windows:      t.windows,
		Lateness:     summarise(t.lateness),
		Late:         t.late,
		MostInFlight: t.most,
		Failures:     t.failures,
	}
	for _, c := range t.kinds {
		r.Kinds = append(r.Kinds, Kind{c.name, c.service, c.counts(), c.summary()})
	}
	return r
}

func (c *counter) counts() Counts {
	return Counts{c.total(), c.ok, c.errors, c.timeouts, c.refused}
}

func summarise(h *hdrhistogram.Histogram) Latency {
	ms := func(us int64) float64 { return float64(us) / 1000 }
	q := h.ValueAtPercentilesSlice([]float64{50, 90, 95, 99, 99.9})
	return Latency{h.Mean() / 1000, ms(q[0]), ms(q[1]), ms(q[2]), ms(q[3]), ms(q[4]), ms(h.Max())}
}

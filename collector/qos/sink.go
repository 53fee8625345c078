package qos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"seer/collector"
	"seer/collector/container"
	"seer/collector/latency"
)

// Journal keeps what was decided. It is called from Run only.
type Journal interface {
	Violation(context.Context, *Violation) error
	Target(context.Context, Target) error
}

// SinkOptions configure a Sink. The zero value learns every target, keeps
// violations in memory, and labels none, as it knows no calls.
type SinkOptions struct {
	Targets []Target
	// Learned are targets that were learned before.
	Learned []Target
	// Edges returns who calls whom now. Run asks it, at most every ten seconds, while
	// there are requests. nil: no labels, and nothing is learned.
	Edges func(context.Context) ([]collector.Edge, error)
	// Past are violations known before the start, by onset.
	Past    []Violation
	Journal Journal      // nil: none
	Logger  *slog.Logger // default slog.Default()
}

// What a Sink keeps.
const (
	keptViolations = 1000
	queuedEntries  = 256
	callsEvery     = 10 * time.Second
	showEvery      = time.Second
	relabelWithin  = historySteps * historyStep * 2 / 3 // what was nominal is still kept
)

// ErrNoViolation is returned for an ID that is not known, or no longer.
var ErrNoViolation = errors.New("no such violation")

// Sink watches the promises of entry services while exact mode counts their
// requests, and labels violations. It is a collector.Sink.
type Sink struct {
	opts    SinkOptions
	log     *slog.Logger
	watcher *Watcher
	history *History

	// Of the tick being consumed, by service.
	served map[string]*sums
	order  []string

	calls    atomic.Pointer[callGraph]
	names    atomic.Pointer[map[container.ID]string] // services of the containers, now and then
	namedAt  time.Time
	requests atomic.Bool // seen since Run asked last
	queue    chan entry
	dropped  atomic.Uint64

	mu       sync.Mutex
	kept     []Violation // by onset
	promises []Promise

	calmAt  time.Time // before it what is seen is not nominal
	shownAt time.Time // when promises were last set
}

// callGraph is who calls whom.
type callGraph struct {
	calls   []Call
	callers map[string][]string
}

// sums are the requests of one service in a tick.
type sums struct {
	seen          bool
	served, open  latency.Histogram
	rows, openFor int // containers that are counted, and of whose open requests the ages are known
}

// entry is something for the journal.
type entry struct {
	violation *Violation
	target    *Target
}

var _ collector.Sink = (*Sink)(nil)

// NewSink returns a sink that has seen nothing. It starts nothing.
func NewSink(o SinkOptions) *Sink {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Sink{
		opts: o, log: o.Logger, history: NewHistory(),
		served: map[string]*sums{}, queue: make(chan entry, queuedEntries),
		kept: slices.Clone(o.Past[max(0, len(o.Past)-keptViolations):]),
	}
	targets := slices.Clone(o.Targets)
	for _, t := range o.Learned {
		if len(o.Targets) == 0 && len(targets) < maxServices { // as when it was learned
			targets = append(targets, t)
		}
	}
	s.watcher = NewWatcher(Options{Targets: targets, Learn: len(o.Targets) == 0})
	s.promises = s.watcher.Promises()
	for i := range s.kept { // what was open when the last Seer died has ended since
		s.kept[i].Open = false
	}
	return s
}

// Consume implements collector.Sink.
func (s *Sink) Consume(t *collector.Tick) {
	if len(t.Requests) == 0 && len(s.order) == 0 {
		return // exact mode is off: there is nothing to label, so nothing is kept
	}
	s.history.Add(t, t.End.Before(s.calmAt))
	s.requests.Store(true)
	if t.End.Sub(s.namedAt) >= callsEvery/2 {
		s.name(t)
	}
	s.sum(t)
	for _, name := range s.order {
		if !s.watcher.Watches(name) && !s.isEntry(name) {
			continue
		}
		sum := s.served[name]
		open := &sum.open
		if sum.openFor < sum.rows {
			open = nil
		}
		s.watcher.Observe(t.Start, t.End, name, &sum.served, open)
	}
	changed := s.watcher.Changed()
	for _, v := range changed {
		s.calmAt = t.End.Add(nominalBefore)
		s.took(v, t.End)
	}
	for _, target := range s.watcher.Learned() {
		s.log.Info("target learned from nominal latency: give one with --qos to decide yourself", "target", target.String())
		s.send(entry{target: &target})
	}
	if len(changed) == 0 && t.End.Sub(s.shownAt) < showEvery {
		return
	}
	s.shownAt = t.End
	promises := s.watcher.Promises()
	s.mu.Lock()
	s.promises = promises
	s.mu.Unlock()
}

// name tells Run which service a container is of.
func (s *Sink) name(t *collector.Tick) {
	names := make(map[container.ID]string, len(t.Rows))
	for i := range t.Rows {
		names[t.Rows[i].Container.ID] = t.Rows[i].Container.Service
	}
	s.names.Store(&names)
	s.namedAt = t.End
}

// sum adds up the requests of each service's containers. A service that was seen
// before and is not counted now has none: its open requests are unknown.
func (s *Sink) sum(t *collector.Tick) {
	for _, name := range s.order {
		*s.served[name] = sums{rows: 1}
	}
	at := func(row int) *sums {
		if row < 0 || row >= len(t.Rows) {
			return nil
		}
		name := t.Rows[row].Container.Service
		sum := s.served[name]
		if sum == nil {
			if len(s.order) >= maxServices {
				return nil
			}
			sum = &sums{}
			s.served[name] = sum
			s.order = append(s.order, name)
		}
		return sum
	}
	for i := range t.Requests {
		if sum := at(t.Requests[i].Row); sum != nil {
			if !sum.seen {
				sum.seen, sum.rows = true, 0
			}
			sum.rows++
			sum.served.Merge(&t.Requests[i].Served)
		}
	}
	for i := range t.Open {
		if sum := at(t.Open[i].Row); sum != nil && sum.seen {
			sum.openFor++
			sum.open.Merge(&t.Open[i].Ages)
		}
	}
}

// took keeps a violation, labels it when it has lasted for long enough and again when
// it is over, and writes it down when it begins, is labelled, or ends.
func (s *Sink) took(v *Violation, now time.Time) {
	label := v.Label == nil && now.Sub(v.Onset) >= nowAfter
	if !v.Open && (v.Label == nil || now.Sub(v.Onset) < relabelWithin) {
		// The same evidence, but calls that began with the fault are known by now.
		label = true
	}
	if label {
		v.Label = s.annotate(v, now)
	}
	s.mu.Lock()
	at := s.find(v.ID)
	if at < 0 {
		if len(s.kept) == keptViolations {
			s.kept = slices.Delete(s.kept, 0, 1)
		}
		s.kept = append(s.kept, *v)
	} else {
		if kept := s.kept[at].Label; kept != nil && kept.By != ByEvidence {
			v.Label = kept // somebody knew better meanwhile
		}
		s.kept[at] = *v
	}
	s.mu.Unlock()
	if at < 0 || label || !v.Open {
		copied := *v
		s.send(entry{violation: &copied})
	}
	if at < 0 {
		s.log.Warn("violation", "id", v.ID, "service", v.Service, "target_ms", v.TargetMS, "worst_ms", v.WorstMS)
	}
	if label {
		s.log.Warn("violation labelled", "id", v.ID, "culprit", v.Label.Culprit, "why", v.Label.Why)
	}
}

func (s *Sink) annotate(v *Violation, now time.Time) *Label {
	graph := s.calls.Load()
	if graph == nil {
		return &Label{Culprit: CulpritUnknown, By: ByEvidence, Why: "it is not known who calls whom"}
	}
	c := s.history.Case(v.Service, graph.calls, v.Onset, now)
	l := Annotate(&c)
	return &l
}

// send hands over to Run; who cannot keep up loses entries, which are counted.
func (s *Sink) send(e entry) {
	if s.opts.Journal == nil {
		return
	}
	select {
	case s.queue <- e:
	default:
		s.dropped.Add(1)
	}
}

// find returns where a violation is kept, -1 if it is not. mu is held.
func (s *Sink) find(id string) int {
	return slices.IndexFunc(s.kept, func(v Violation) bool { return v.ID == id })
}

// Run asks who calls whom, and writes to the journal, until ctx ends.
func (s *Sink) Run(ctx context.Context) error {
	ticker := time.NewTicker(callsEvery)
	defer ticker.Stop()
	for {
		select {
		case e := <-s.queue:
			s.write(ctx, e)
		case <-ticker.C:
			s.refresh(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			for len(s.queue) > 0 {
				s.write(last, <-s.queue)
			}
			return nil
		}
	}
}

func (s *Sink) write(ctx context.Context, e entry) {
	var err error
	switch {
	case e.violation != nil:
		err = s.opts.Journal.Violation(ctx, e.violation)
	case e.target != nil:
		err = s.opts.Journal.Target(ctx, *e.target)
	}
	if err != nil {
		s.dropped.Add(1)
		s.log.Error("violations: not written down", "err", err)
	}
}

func (s *Sink) refresh(ctx context.Context) {
	names := s.names.Load()
	if s.opts.Edges == nil || names == nil || !s.requests.Swap(false) {
		return
	}
	edges, err := s.opts.Edges(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.log.Warn("violations: who calls whom is not known: the last answer stands", "err", err)
		}
		return
	}
	s.SetCalls(callsOf(edges, *names))
}

// callsOf turns edges between containers into calls between services, each once.
// Those of containers that have gone, and to peers on other hosts, are left out.
func callsOf(edges []collector.Edge, names map[container.ID]string) []Call {
	var calls []Call
	for i := range edges {
		client, known := names[edges[i].Client]
		server, found := names[edges[i].Server]
		if call := (Call{client, server}); known && found && !slices.Contains(calls, call) {
			calls = append(calls, call)
		}
	}
	return calls
}

// SetCalls says who calls whom.
func (s *Sink) SetCalls(calls []Call) {
	g := &callGraph{calls: calls, callers: map[string][]string{}}
	for _, c := range calls {
		if c.Client != c.Server {
			g.callers[c.Server] = append(g.callers[c.Server], c.Client)
		}
	}
	s.calls.Store(g)
}

// isEntry says whether users call a service: nobody does who answers requests
// itself. A load generator on the same host is a user, too.
func (s *Sink) isEntry(service string) bool {
	g := s.calls.Load()
	return g != nil && !slices.ContainsFunc(g.callers[service], s.history.Serves)
}

// Violations returns what is kept, by onset.
func (s *Sink) Violations() []Violation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kept)
}

// Promises returns how every promise stands, by service.
func (s *Sink) Promises() []Promise {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.promises)
}

// Dropped counts what should have been written down and was not.
func (s *Sink) Dropped() uint64 { return s.dropped.Load() }

// Relabel says who started a violation, against what the evidence says, which is
// kept. It is written down before it is shown.
func (s *Sink) Relabel(ctx context.Context, id, culprit, by string) (Violation, error) {
	s.mu.Lock()
	at := s.find(id)
	var v Violation
	if at >= 0 {
		v = s.kept[at]
	}
	s.mu.Unlock()
	if at < 0 {
		return v, fmt.Errorf("violation %q: %w: `seer inspect violation` lists those that are known", id, ErrNoViolation)
	}
	v.Label = Corrected(v.Label, culprit, by)
	if s.opts.Journal != nil {
		if err := s.opts.Journal.Violation(ctx, &v); err != nil {
			return v, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at = s.find(id); at >= 0 {
		s.kept[at].Label = v.Label
		v = s.kept[at]
	}
	return v, nil
}

// Corrected is the label that somebody puts in place of another.
func Corrected(old *Label, culprit, by string) *Label {
	l := &Label{Culprit: culprit, By: by, Why: "corrected by hand"}
	if old != nil {
		l.Evidence = old.Evidence
		l.Why = cmp.Or(old.Was(), l.Why)
	}
	return l
}

// Was says what the evidence said, in a label that replaces it.
func (l *Label) Was() string {
	if l.By != ByEvidence {
		return l.Why
	}
	return fmt.Sprintf("corrected by hand; the evidence said %s: %s", l.Culprit, l.Why)
}

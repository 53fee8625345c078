package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"seer/infer/campaign"
	"seer/infer/topology"
	"seer/test/bed/timerfd"
	"seer/test/bed/wire"
)

// Config says what to send, and where.
type Config struct {
	Plan *campaign.Plan

	// Entries are the services that users call, by name.
	Entries map[string]Entry
	Dial    wire.Dialer // default a net.Dialer's

	// Connections are kept open, over all entries; default the application's.
	Connections int
	// InFlight bounds the requests under way, and so the generator's memory.
	// Those due beyond it are errors. Default 2048.
	InFlight int
	// Timeout is when users give up. Default 5 s.
	Timeout time.Duration

	// Start is the zero of the plan's times; it may lie in the past, as when a
	// campaign is resumed. Default now. Requests due before From are left out.
	Start time.Time
	From  time.Duration

	// Record takes every request at its end; calls do not overlap. An error
	// ends the run.
	Record func(campaign.Request) error
	// Progress is called with what has been seen so far, every Window.
	Progress func(Window)
}

// Entry is a service that users call.
type Entry struct {
	Protocol topology.Protocol
	Addrs    []string // ADDRESS:PORT of each replica
}

// Run sends all requests of the plan and returns once the last has ended. When
// the context is done it sends no more, waits for those under way and returns the
// report of what was, with the context's error.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	r := &runner{cfg: cfg, users: map[string]*users{}, tally: newTally(&cfg)}
	defer r.close()
	if err := r.connect(ctx); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	if r.cfg.Start.IsZero() {
		r.cfg.Start = time.Now()
	}
	// Readings of the monotonic clock from here on.
	r.start = time.Now().Add(-time.Since(r.cfg.Start))
	stopped, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.stop = stop
	err := r.send(stopped)
	r.underWay.Wait()
	report := r.tally.report(time.Since(r.start))
	if cause := context.Cause(stopped); err == nil && cause != nil {
		err = cause
	}
	return report, err
}

func (c *Config) check() error {
	if c.Plan == nil {
		return errors.New("no plan")
	}
	for _, name := range c.Plan.App.Entries() {
		if len(c.Entries[name].Addrs) == 0 {
			return fmt.Errorf("users call %s, of which entries has no address", name)
		}
	}
	c.Connections = cmp.Or(max(c.Connections, 0), c.Plan.App.Load.Connections, 64)
	c.InFlight = cmp.Or(max(c.InFlight, 0), 2048)
	c.Timeout = cmp.Or(max(c.Timeout, 0), 5*time.Second)
	if c.Record == nil {
		c.Record = func(campaign.Request) error { return nil }
	}
	return nil
}

// runner is a run under way.
type runner struct {
	cfg      Config
	start    time.Time // the plan's zero
	users    map[string]*users
	tally    *tally
	stop     context.CancelCauseFunc
	underWay sync.WaitGroup
}

// connect opens the connections, so that the first requests find them.
func (r *runner) connect(ctx context.Context) error {
	each := max(1, r.cfg.Connections/len(r.cfg.Plan.App.Entries()))
	for _, name := range r.cfg.Plan.App.Entries() {
		u := newUsers(r.cfg.Entries[name], each, r.cfg.Dial)
		r.users[name] = u
		dialing, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
		err := u.open(dialing)
		cancel()
		if err != nil {
			return fmt.Errorf("connect to %s: %w", name, err)
		}
	}
	return nil
}

func (r *runner) close() {
	for _, u := range r.users {
		u.close()
	}
}

// send sends what is due when it is due.
func (r *runner) send(ctx context.Context) error {
	timer, err := timerfd.New()
	if err != nil {
		return err
	}
	defer timer.Close()
	arrivals := r.cfg.Plan.Arrivals()
	for n := uint64(1); ; n++ {
		atUS, kind, ok := arrivals.Next()
		if !ok {
			return nil
		}
		at := time.Duration(atUS) * time.Microsecond
		if at < r.cfg.From {
			continue
		}
		if err := timer.Wait(ctx, at-time.Since(r.start)); err != nil {
			if ctx.Err() != nil {
				return nil // Run has the cause
			}
			return err
		}
		req := &r.cfg.Plan.App.Requests[kind]
		if !r.tally.begin(time.Since(r.start) - at) {
			r.refuse(atUS, req)
			continue
		}
		r.underWay.Go(func() { r.one(atUS, req, n) })
	}
}

// one is a user's request, from its due time to its end.
func (r *runner) one(atUS int64, req *topology.Request, n uint64) {
	due := r.start.Add(time.Duration(atUS) * time.Microsecond)
	// Not from the run's context: what is under way when a run is stopped ends
	// as it would have.
	ctx, cancel := context.WithDeadline(context.Background(), due.Add(r.cfg.Timeout))
	defer cancel()
	sent, err := r.users[req.Call.Service].call(ctx, wire.Request{
		Service:  req.Call.Service,
		Endpoint: req.Call.Endpoint,
		Trace:    fmt.Sprintf("00-%016x%016x-%016x-01", r.cfg.Plan.Seed, n, n),
	})
	end := time.Now()
	if sent.IsZero() {
		sent = end // it never was: no connection
	}
	row := campaign.Request{
		IntendedUS: atUS,
		SentUS:     max(atUS, sent.Sub(r.start).Microseconds()),
		LatencyUS:  end.Sub(due).Microseconds(),
		Type:       req.Name,
		Service:    req.Call.Service,
		Status:     string(status(err)),
	}
	// Two clock readings, each cut to whole microseconds.
	row.LatencyUS = max(row.LatencyUS, row.SentUS-atUS)
	r.end(row, err)
}

func status(err error) campaign.Status {
	switch {
	case err == nil:
		return campaign.StatusOK
	case errors.Is(err, context.DeadlineExceeded):
		return campaign.StatusTimeout
	}
	return campaign.StatusError
}

var errRefused = errors.New("not sent: too many requests were under way")

// refuse records a request that was not sent. It counts as if the user had waited
// in vain: to leave it out, or to call it quick, would flatter the application.
func (r *runner) refuse(atUS int64, req *topology.Request) {
	timeoutUS := r.cfg.Timeout.Microseconds()
	r.end(campaign.Request{
		IntendedUS: atUS, SentUS: atUS + timeoutUS, LatencyUS: timeoutUS,
		Type: req.Name, Service: req.Call.Service, Status: string(campaign.StatusError),
	}, errRefused)
}

func (r *runner) end(row campaign.Request, err error) {
	if err := r.tally.end(row, err); err != nil {
		r.stop(fmt.Errorf("load: record a request: %w", err))
	}
}

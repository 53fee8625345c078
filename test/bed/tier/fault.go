package tier

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"seer/infer/campaign"
	"seer/infer/topology"
	"seer/test/bed/wire"
)

// Fault is how a tier is told to misbehave. How hard it hits is in proportion to
// how often the tier was called in the last seconds and to what users are
// promised, so that one intensity means about the same to a busy service and to a
// quiet one, here and in the simulator (infer/sim).
//
//	lock              a lock around every request is held for (0.4 + I) of the time between two
//	slow_dependency   every request waits for something outside, exponential, mean 2 I targets
//	pool              every other call leaks its connection, until what is left sustains
//	                  1.2 - 0.9 I of the usual calls
//	deadlock          a share I of the requests take two locks, half of them in the other order
//	cycle             see Next; a share I of the requests go round
type Fault struct {
	Cause     campaign.Cause `json:"cause"`
	Intensity float64        `json:"intensity"` // I, in (0, 1]

	// Next is, for the last service in a circle, the first: it calls that in
	// addition. For the first service it is nil: there the circle closes.
	Next *Next `json:"next,omitempty"`
}

// Next is a service in a circle.
type Next struct {
	Service string `json:"service"`
	Peer
}

const (
	// Locks are held for no longer than this times the intensity, in targets.
	longestHold = 3
	leakChance  = 0.5
	longestLeak = time.Minute
	// lockTimeout is how long each lock of a deadlock is waited for.
	lockTimeout = topology.DefaultTimeout

	// Where a circle closes, so many requests are worked on at once; those that
	// come round the circle need one of these places, too.
	cyclePlaces  = 2
	cycleTimeout = topology.DefaultTimeout
	// cycleEndpoint is what the last of a circle calls. No topology can have an
	// endpoint of that name.
	cycleEndpoint = "~cycle"
)

// activeFault is a Fault under way.
type activeFault struct {
	Fault
	over  chan struct{}            // closed at its end
	lock  *wire.Slots              // of lock, and the first of a deadlock
	other *wire.Slots              // the second
	hold  time.Duration            // of a lock, or what the dependency takes
	leaks map[string]time.Duration // how long a connection is gone, by peer
	next  *peer
	place *wire.Slots // of a cycle
}

func (t *tier) newFault(f Fault) (*activeFault, error) {
	if !(f.Intensity > 0 && f.Intensity <= 1) {
		return nil, fmt.Errorf("fault %s: intensity %v: want above 0 and at most 1", f.Cause, f.Intensity)
	}
	a := &activeFault{Fault: f, over: make(chan struct{})}
	target := float64(t.cfg.Target)
	gap := float64(time.Second) / max(0.1, t.served.recentRate())
	switch f.Cause {
	case campaign.CauseLock:
		a.lock = wire.NewSlots(1)
		a.hold = time.Duration(min((0.4+f.Intensity)*gap, longestHold*f.Intensity*target))
	case campaign.CauseDeadlock:
		a.lock, a.other = wire.NewSlots(1), wire.NewSlots(1)
		a.hold = time.Duration(min(0.5*gap, target))
	case campaign.CauseSlowDependency:
		a.hold = time.Duration(2 * f.Intensity * target)
	case campaign.CausePool:
		a.leaks = map[string]time.Duration{}
		for name, p := range t.peers {
			sustained := max(0.1, p.calls.recentRate()/float64(len(p.replicas))) * (1.2 - 0.9*f.Intensity)
			a.leaks[name] = min(longestLeak, time.Duration(float64(t.cfg.Service.Pool)/(leakChance*sustained)*float64(time.Second)))
		}
	case campaign.CauseCycle:
		if f.Next == nil {
			a.place = wire.NewSlots(cyclePlaces)
			break
		}
		next, err := newPeer(f.Next.Service, f.Next.Peer, t.cfg.Service.Pool)
		if err != nil {
			return nil, fmt.Errorf("fault %s: %w", f.Cause, err)
		}
		a.next = next
	default:
		return nil, fmt.Errorf("fault %q: a tier can have lock, cycle, deadlock, pool and slow_dependency", f.Cause)
	}
	return a, nil
}

// setFault replaces the fault under way; nil ends it. Whom it holds up by then
// waits to the end: for a lock, or for an answer.
func (t *tier) setFault(a *activeFault) {
	old := t.fault.Swap(a)
	if old == nil {
		return
	}
	close(old.over)
	if old.next != nil {
		old.next.close()
	}
}

func (a *activeFault) hits(rng *rand.Rand) bool { return rng.Float64() < a.Intensity }

func nothing() {}

// misbehave does what the fault under way does to a request before it is
// answered. done is to be called afterwards.
func (r *request) misbehave(endpoint string) (done func(), err error) {
	a := r.fault.Load()
	if a == nil {
		return nothing, nil
	}
	switch a.Cause {
	case campaign.CauseLock:
		return nothing, r.hold(a.lock, exponential(r.rng, a.hold), nil)
	case campaign.CauseSlowDependency:
		return nothing, r.worker.timers.wait(r.ctx, exponential(r.rng, a.hold))
	case campaign.CauseDeadlock:
		return nothing, r.lockBoth(a)
	case campaign.CauseCycle:
		return r.goRound(a, endpoint)
	}
	return nothing, nil
}

// hold waits for a lock, holds it for a while, and goes on to then before it lets
// go.
func (r *request) hold(lock *wire.Slots, d time.Duration, then func() error) error {
	if err := lock.Acquire(r.ctx); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	defer lock.Release()
	if err := r.worker.timers.wait(r.ctx, d); err != nil || then == nil {
		return err
	}
	return then()
}

// lockBoth takes two locks in one of both orders: two requests at the same time
// wait for each other, everybody else for them, until one gives up.
func (r *request) lockBoth(a *activeFault) error {
	if !a.hits(r.rng) {
		return nil
	}
	first, second := a.lock, a.other
	if r.rng.Float64() < 0.5 {
		first, second = second, first
	}
	b := *r
	var cancel context.CancelFunc
	b.ctx, cancel = context.WithTimeout(r.ctx, 2*lockTimeout)
	defer cancel()
	return b.hold(first, a.hold, func() error {
		ctx, cancel := context.WithTimeout(b.ctx, lockTimeout)
		defer cancel()
		if err := second.Acquire(ctx); err != nil {
			return fmt.Errorf("deadlock: %w", err)
		}
		second.Release()
		return nil
	})
}

// goRound passes a request on to the first service of the circle, or holds one of
// the places where it closes.
func (r *request) goRound(a *activeFault, endpoint string) (done func(), err error) {
	if a.next == nil {
		if err := a.place.Acquire(r.ctx); err != nil {
			return nil, err
		}
		return a.place.Release, nil
	}
	if endpoint == cycleEndpoint || !a.hits(r.rng) {
		return nothing, nil
	}
	ctx, cancel := context.WithTimeout(r.ctx, cycleTimeout)
	defer cancel()
	c := call{service: a.next.name, endpoint: cycleEndpoint, trace: r.trace.traceparent(spanID(r.rng))}
	return nothing, a.next.call(ctx, c, nil)
}

// leak says what becomes of the connection of a call to a peer: nil if it is
// given back, else a function that returns when it is found again.
func (r *request) leak(p *peer) func() {
	a := r.fault.Load()
	if a == nil || a.Cause != campaign.CausePool || r.rng.Float64() >= leakChance {
		return nil
	}
	return func() {
		found := time.NewTimer(a.leaks[p.name])
		defer found.Stop()
		select {
		case <-found.C:
		case <-a.over:
		}
	}
}

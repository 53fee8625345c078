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

// Fault is how a tier is told to misbehave. How hard each cause hits at an
// intensity of 1 is in the constants below; everything is in proportion to it.
type Fault struct {
	Cause     campaign.Cause `json:"cause"`
	Intensity float64        `json:"intensity"` // in (0, 1]

	// Next, of a cycle, makes every request call the next service in the
	// circle; without it the service is the one where the circle closes.
	Next *Next `json:"next,omitempty"`
}

// Next is a service in a circle.
type Next struct {
	Service string `json:"service"`
	Peer
}

const (
	// A lock is held so much longer. A service without a lock gets one around
	// each request.
	lockHold = 20 * time.Millisecond

	// Something outside takes so much longer on average, for every request.
	slowWait = 100 * time.Millisecond

	// Every call leaks its connection (with a probability of the intensity),
	// and it takes so long until it is found and given back.
	poolLeak = time.Second

	// Every request (the same) takes two locks, in one order or the other, with
	// a pause between them.
	deadlockPause   = 5 * time.Millisecond
	deadlockTimeout = topology.DefaultTimeout

	// Where the circle closes, so many requests are worked on at once; those
	// that come round the circle need one of these places, too.
	cyclePlaces  = 2
	cycleTimeout = topology.DefaultTimeout
	// cycleEndpoint is what the last of a circle calls. No topology can have an
	// endpoint of that name.
	cycleEndpoint = "~cycle"
)

// activeFault is a Fault under way.
type activeFault struct {
	Fault
	lock   *wire.Slots // of a service that has none
	first  *wire.Slots // of a deadlock
	second *wire.Slots
	places *wire.Slots // of a cycle
	next   *peer
}

func (t *tier) newFault(f Fault) (*activeFault, error) {
	if f.Intensity < 0 || f.Intensity > 1 {
		return nil, fmt.Errorf("fault %s: intensity %v: want above 0 and at most 1", f.Cause, f.Intensity)
	}
	a := &activeFault{Fault: f}
	switch f.Cause {
	case campaign.CauseLock:
		if !t.hasLock {
			a.lock = wire.NewSlots(1)
		}
	case campaign.CauseDeadlock:
		a.first, a.second = wire.NewSlots(1), wire.NewSlots(1)
	case campaign.CauseCycle:
		if f.Next == nil {
			a.places = wire.NewSlots(cyclePlaces)
			break
		}
		next, err := newPeer(f.Next.Service, f.Next.Peer, t.cfg.Service.Pool)
		if err != nil {
			return nil, fmt.Errorf("fault %s: %w", f.Cause, err)
		}
		a.next = next
	case campaign.CausePool, campaign.CauseSlowDependency:
	default:
		return nil, fmt.Errorf("fault %q: a tier can have lock, cycle, deadlock, pool and slow_dependency", f.Cause)
	}
	return a, nil
}

// setFault replaces the fault under way; nil ends it. Requests that it holds up
// are held up to their end.
func (t *tier) setFault(a *activeFault) {
	if old := t.fault.Swap(a); old != nil && old.next != nil {
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
		if a.lock == nil {
			return nothing, nil // holdLonger does it
		}
		if err := a.lock.Acquire(r.ctx); err != nil {
			return nil, err
		}
		return a.lock.Release, r.holdLonger()
	case campaign.CauseSlowDependency:
		mean := time.Duration(a.Intensity * float64(slowWait))
		return nothing, r.worker.timers.wait(r.ctx, exponential(r.rng, mean))
	case campaign.CauseDeadlock:
		return nothing, r.lockBoth(a)
	case campaign.CauseCycle:
		return r.goRound(a, endpoint)
	}
	return nothing, nil
}

// holdLonger is called with a lock held.
func (r *request) holdLonger() error {
	if a := r.fault.Load(); a != nil && a.Cause == campaign.CauseLock {
		return r.worker.timers.wait(r.ctx, time.Duration(a.Intensity*float64(lockHold)))
	}
	return nil
}

// leak returns how long a call keeps its connection after its end.
func (r *request) leak(rng *rand.Rand) time.Duration {
	if a := r.fault.Load(); a != nil && a.Cause == campaign.CausePool && a.hits(rng) {
		return poolLeak
	}
	return 0
}

// lockBoth takes two locks in one of both orders: two requests at the same time
// wait for each other, everybody else for them, until one gives up.
func (r *request) lockBoth(a *activeFault) error {
	if !a.hits(r.rng) {
		return nil
	}
	first, second := a.first, a.second
	if r.rng.Float64() < 0.5 {
		first, second = second, first
	}
	ctx, cancel := context.WithTimeout(r.ctx, deadlockTimeout)
	defer cancel()
	if err := first.Acquire(ctx); err != nil {
		return fmt.Errorf("deadlock: first lock: %w", err)
	}
	defer first.Release()
	if err := r.worker.timers.wait(ctx, deadlockPause); err != nil {
		return err
	}
	if err := second.Acquire(ctx); err != nil {
		return fmt.Errorf("deadlock: second lock: %w", err)
	}
	second.Release()
	return nil
}

// goRound passes a request on to the next service of the circle, or holds one of
// the places where it closes.
func (r *request) goRound(a *activeFault, endpoint string) (done func(), err error) {
	if a.next == nil {
		if err := a.places.Acquire(r.ctx); err != nil {
			return nil, err
		}
		return a.places.Release, nil
	}
	if endpoint == cycleEndpoint || !a.hits(r.rng) {
		return nothing, nil
	}
	ctx, cancel := context.WithTimeout(r.ctx, cycleTimeout)
	defer cancel()
	c := call{service: a.next.name, endpoint: cycleEndpoint, trace: r.trace.traceparent(spanID(r.rng))}
	return nothing, a.next.call(ctx, c, 0)
}

package tier

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"seer/infer/topology"
	"seer/test/bed/wire"
)

// request is one request being answered.
type request struct {
	*tier
	ctx   context.Context
	trace traceContext
	span  string
	reply *size
	rng   *rand.Rand // of this branch: it is not safe for use by two
}

// size is that of an answer, which parallel steps add to.
type size struct {
	mu    sync.Mutex
	bytes int
}

func (s *size) add(n topology.Bytes) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes += int(n)
}

// handle answers a request.
func (t *tier) handle(ctx context.Context, r wire.Request) wire.Reply {
	t.served.enter()
	defer t.served.leave()
	start := time.Now()
	rng := rand.New(rand.NewPCG(t.seed, t.number.Add(1)))
	req := &request{tier: t, ctx: ctx, trace: parseTrace(rng, r.Trace), span: spanID(rng), reply: &size{}, rng: rng}
	err := req.answer(r.Endpoint)
	t.counts.add(err)
	t.spans.add(&Span{
		Trace: req.trace.trace, ID: req.span, Parent: req.trace.parent, Kind: "server",
		Service: t.cfg.Service.Name, Replica: t.cfg.Name, Name: r.Endpoint,
	}, start, time.Now(), err)
	return wire.Reply{Size: req.reply.bytes, Err: err}
}

func (r *request) answer(endpoint string) error {
	done, err := r.misbehave(endpoint)
	if err != nil {
		return err
	}
	defer done()
	if endpoint == cycleEndpoint {
		return nil
	}
	steps, ok := r.cfg.Service.Endpoints[endpoint]
	if !ok {
		return fmt.Errorf("%s has no endpoint %q", r.cfg.Service.Name, endpoint)
	}
	return r.run(steps)
}

// run takes steps one after the other, up to the first that fails.
func (r *request) run(steps []topology.Step) error {
	for i := range steps {
		step := &steps[i]
		for range max(1, step.Repeat) {
			if step.Chance > 0 && step.Chance < 1 && r.rng.Float64() >= step.Chance {
				continue
			}
			if err := r.take(step); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *request) take(step *topology.Step) error {
	switch {
	case step.Work != nil:
		r.reply.add(step.Work.Reply)
		return r.worker.do(r.ctx, r.rng, step.Work)
	case step.Call != nil:
		c := newCall(r.rng, *step.Call, "")
		if step.Async {
			return r.later(c, step)
		}
		return r.callRetrying(c, step)
	case step.Cache != nil:
		return r.lookAside(step.Cache)
	case step.Parallel != nil:
		return r.parallel(step.Parallel)
	case step.Lock != nil:
		return r.locked(step.Lock)
	}
	return nil
}

// callRetrying makes a call, and again if it fails and the step allows.
func (r *request) callRetrying(c call, step *topology.Step) error {
	for tries := 0; ; tries++ {
		err := r.call(c, step.Timeout)
		if err == nil || tries >= step.Retries || r.ctx.Err() != nil {
			return err
		}
	}
}

// call makes one call, under a span of its own.
func (r *request) call(c call, timeout time.Duration) error {
	p := r.peers[c.service]
	if p == nil {
		return fmt.Errorf("call of %s.%s: no such peer", c.service, c.endpoint)
	}
	if timeout <= 0 {
		timeout = topology.DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(r.ctx, timeout)
	defer cancel()
	start, span := time.Now(), spanID(r.rng)
	c.trace = r.trace.traceparent(span)
	err := p.call(ctx, c, r.leak(p))
	r.spans.add(&Span{
		Trace: r.trace.trace, ID: span, Parent: r.span, Kind: "client",
		Service: r.cfg.Service.Name, Replica: r.cfg.Name, Peer: c.service, Name: c.endpoint,
	}, start, time.Now(), err)
	return err
}

// maxAsync bounds the calls nobody waits for. Beyond it they are refused, as by
// the full queue of an executor.
const maxAsync = 1024

var errAsync = errors.New("too many asynchronous calls under way")

// later makes a call that the answer does not wait for.
func (r *request) later(c call, step *topology.Step) error {
	if r.async.Add(1) > maxAsync {
		r.async.Add(-1)
		r.asyncRefused.Add(1)
		return errAsync
	}
	background := *r
	background.ctx = context.WithoutCancel(r.ctx)
	background.rng = branch(r.rng)
	r.tier.background.Go(func() {
		defer r.async.Add(-1)
		// Nobody is left to tell; the peer's counts have it.
		_ = background.callRetrying(c, step)
	})
	return nil
}

// branch returns a generator for what goes on beside the one given.
func branch(rng *rand.Rand) *rand.Rand {
	return rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
}

// lookAside asks a cache, and on a miss takes the long way. A cache that does not
// answer is a miss, and one that does not take the value is no error.
func (r *request) lookAside(c *topology.Cache) error {
	get := newCall(r.rng, c.Call, "")
	get.miss = r.rng.Float64() >= c.Hit
	if err := r.call(get, 0); err == nil && !get.miss {
		return nil
	}
	if err := r.run(c.Miss); err != nil {
		return err
	}
	if c.Fill != nil {
		fill := newCall(r.rng, *c.Fill, "")
		_ = r.call(fill, 0)
	}
	return nil
}

// parallel takes all steps at once and waits for the last.
func (r *request) parallel(steps []topology.Step) error {
	errs := make([]error, len(steps))
	var wg sync.WaitGroup
	for i := range steps {
		b := *r
		b.rng = branch(r.rng)
		wg.Go(func() { errs[i] = b.run(steps[i : i+1]) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// locked takes the steps of a lock while it is held.
func (r *request) locked(l *topology.Lock) error {
	mu := r.lock(l.Name)
	if err := mu.Acquire(r.ctx); err != nil {
		return fmt.Errorf("lock %s: %w", l.Name, err)
	}
	defer mu.Release()
	return r.run(l.Steps)
}

package tier

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"seer/infer/topology"
	"seer/test/bed/wire"
)

// call is one call to a peer.
type call struct {
	service  string
	endpoint string
	trace    string // traceparent
	key      uint64 // chooses the row or the key
	miss     bool   // of a cache: ask for what it does not have
}

// client speaks to one replica, over as many connections as there are calls at
// once: replica bounds those.
type client interface {
	// prepare puts into a store what calls will look for, once.
	prepare(ctx context.Context) error
	call(ctx context.Context, c call) error
	close()
}

// peer is a service that is called.
type peer struct {
	name     string
	kind     topology.Kind
	replicas []*replica
	turn     atomic.Uint64

	calls  level // sent and not answered
	asleep atomic.Int64
	counts counts
}

// replica is one of a peer's.
type replica struct {
	client client
	slots  *wire.Slots // connections; nil where calls share one
}

// counts are how calls and requests ended.
type counts struct {
	ok, errors, timeouts atomic.Int64
}

func (c *counts) add(err error) {
	switch {
	case err == nil:
		c.ok.Add(1)
	case errors.Is(err, context.DeadlineExceeded):
		c.timeouts.Add(1)
	default:
		c.errors.Add(1)
	}
}

func newPeer(name string, cfg Peer, pool int) (*peer, error) {
	p := &peer{name: name, kind: cfg.Kind}
	for _, addr := range cfg.Addrs {
		c, err := newClient(cfg, addr, pool)
		if err != nil {
			p.close()
			return nil, fmt.Errorf("peer %s at %s: %w", name, addr, err)
		}
		r := &replica{client: c, slots: wire.NewSlots(pool)}
		if cfg.Protocol == topology.ProtocolGRPC {
			r.slots = nil
		}
		p.replicas = append(p.replicas, r)
	}
	return p, nil
}

func newClient(cfg Peer, addr string, pool int) (client, error) {
	switch cfg.Protocol {
	case topology.ProtocolThrift, topology.ProtocolHTTP, topology.ProtocolGRPC:
		return newAppClient(cfg.Protocol, addr), nil
	case topology.ProtocolMemcached:
		return newMemcachedClient(addr, pool, cfg.Sizes), nil
	case topology.ProtocolRedis:
		return newRedisClient(addr, pool, cfg.Sizes), nil
	case topology.ProtocolPostgreSQL:
		return newPostgresClient(addr, pool, cfg.Sizes)
	case topology.ProtocolMySQL:
		return newMySQLClient(addr, pool, cfg.Sizes)
	case topology.ProtocolAMQP:
		return newAMQPClient(addr, cfg.Sizes), nil
	}
	return nil, fmt.Errorf("no client for protocol %q", cfg.Protocol)
}

// prepare prepares all replicas, and tries until it has or the context is done.
func (p *peer) prepare(ctx context.Context) error {
	for _, r := range p.replicas {
		for {
			attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
			err := r.client.prepare(attempt)
			cancel()
			if err == nil {
				break
			}
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
				return fmt.Errorf("peer %s: %w", p.name, err)
			}
		}
	}
	return nil
}

// call makes one call to the replica whose turn it is. The connection is kept
// from others until leak returns, if that is not nil.
func (p *peer) call(ctx context.Context, c call, leak func()) error {
	r := p.replicas[p.turn.Add(1)%uint64(len(p.replicas))]
	p.asleep.Add(1)
	err := r.slots.Acquire(ctx)
	p.asleep.Add(-1)
	if err != nil {
		err = fmt.Errorf("%s: no free connection: %w", p.name, err)
		p.counts.add(err)
		return err
	}
	p.calls.enter()
	err = r.client.call(ctx, c)
	p.calls.leave()
	if leak != nil && r.slots != nil {
		go func() {
			leak()
			r.slots.Release()
		}()
	} else {
		r.slots.Release()
	}
	if err != nil {
		err = fmt.Errorf("%s.%s: %w", p.name, c.endpoint, err)
	}
	p.counts.add(err)
	return err
}

func (p *peer) close() {
	for _, r := range p.replicas {
		r.client.close()
	}
}

func newCall(rng *rand.Rand, t topology.Target, traceparent string) call {
	return call{service: t.Service, endpoint: t.Endpoint, trace: traceparent, key: rng.Uint64()}
}

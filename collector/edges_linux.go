package collector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"

	"seer/bpf"
	"seer/collector/container"
)

// How often the graph is renewed: soon after start, so that there are rates, then
// every two seconds, or as often as a part of the budget pays for listing sockets.
const (
	edgesFirst = time.Second
	edgesEvery = 2 * time.Second
	edgesMost  = 20 * time.Second
)

// edges follows who calls whom, on housekeeping's goroutine.
type edges struct {
	table   *edgeTable
	calls   *ebpf.Map
	keys    []bpf.SocketCallKey
	values  []bpf.SocketCallCounts
	sockets []Socket
	took    time.Duration
	updates int
	entries map[container.ID]bool // as last chosen for exact mode
}

func newEdges(maps map[string]*ebpf.Map) *edges {
	const batch = 1024
	served := maps["served_at"]
	return &edges{
		table: newEdgeTable(func(p place) container.ID {
			var owner uint64
			if err := served.Lookup(keyOf(p), &owner); err != nil {
				return 0 // nobody was reached there
			}
			return container.ID(owner)
		}),
		calls: maps["calls"], keys: make([]bpf.SocketCallKey, batch), values: make([]bpf.SocketCallCounts, batch),
	}
}

// drain takes away what closed connections left behind.
func (e *edges) drain(now time.Time) error {
	var cursor ebpf.MapBatchCursor
	for {
		n, err := e.calls.BatchLookupAndDelete(&cursor, e.keys, e.values, nil)
		for i := range n {
			c := closedOf(&e.keys[i], &e.values[i])
			e.table.close(&c, now)
		}
		switch {
		case errors.Is(err, ebpf.ErrKeyNotExist):
			return nil // that was the last of them
		case err != nil:
			return fmt.Errorf("connections that have closed: %w", err)
		}
	}
}

// followEdges renews the graph if it is time to.
func (c *Collector) followEdges(ctx context.Context, now time.Time) {
	e := c.edges
	if e == nil {
		return
	}
	if err := e.drain(now); err != nil {
		c.log.Warn("who calls whom", "err", err)
	}
	every := edgesEvery
	if e.updates < 2 {
		every = edgesFirst
	}
	every = max(every, min(edgesMost, time.Duration(float64(e.took)/c.rareShare())))
	if !e.table.last.IsZero() && now.Sub(e.table.last) < every-houseEvery/2 {
		return
	}
	began := time.Now()
	sockets, err := c.Sockets(ctx, e.sockets[:0])
	if err != nil {
		if ctx.Err() == nil {
			c.log.Warn("who calls whom", "err", err)
		}
		return
	}
	e.sockets = sockets
	e.table.update(now, sockets)
	e.took = time.Since(began)
	e.updates++
	list := e.table.list()
	c.statusMu.Lock()
	c.graph = list
	c.statusMu.Unlock()
	if c.countEntries.Load() {
		e.chooseEntries(&c.choice, list)
	}
}

// chooseEntries has those counted exactly at which requests come in.
func (e *edges) chooseEntries(choice *choice, list []LiveEdge) {
	entries := Entries(list)
	if maps.Equal(entries, e.entries) {
		return
	}
	e.entries = entries
	if len(entries) == 0 {
		choice.set("entry", nil)
		return
	}
	choice.set("entry", func(c *container.Container) bool { return entries[c.ID] })
}

// CountEntries has the requests counted of every container at which requests come in
// (Entries), as the graph shows them. It is called before Run.
func (c *Collector) CountEntries() { c.countEntries.Store(true) }

// Graph returns who called whom lately, and how often, renewed every two seconds or
// as the budget allows; in order of client, server and port.
func (c *Collector) Graph() []LiveEdge {
	c.statusMu.Lock()
	defer c.statusMu.Unlock()
	return c.graph
}

func closedOf(k *bpf.SocketCallKey, v *bpf.SocketCallCounts) closedCalls {
	return closedCalls{
		owner: container.ID(k.Owner), role: Role(k.Role),
		peer:    place{addrPort(k.Peer.Address, k.Peer.Port), k.Peer.Netns},
		counted: Edge{Connections: int(v.Closed), Requests: v.Requests, Waited: time.Duration(v.WaitedNs), Failed: v.Failed, Unanswered: v.Unanswered},
	}
}

// keyOf is a place as the programs know it.
func keyOf(p place) bpf.SocketListenerKey {
	key := bpf.SocketListenerKey{Netns: p.netns, Port: p.address.Port()}
	key.Address = words(p.address.Addr())
	return key
}

// words is the inverse of addrPort's.
func words(a netip.Addr) (w [4]uint32) {
	b := a.As16()
	for i := range w {
		w[i] = uint32(b[4*i]) | uint32(b[4*i+1])<<8 | uint32(b[4*i+2])<<16 | uint32(b[4*i+3])<<24
	}
	return w
}

package collector

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"seer/bpf"
)

// exactMode counts every request by hooks on receive and send (DESIGN.md
// section 3.2). Its programs are loaded at start, so that the verifier's word
// is known, and attached only while it is on.
type exactMode struct {
	flavour  string
	rejected []error // flavours that this kernel refuses, in order of preference
	attach   func() ([]link.Link, error)
	rows     *exactRows

	links []link.Link
	epoch uint32
	past  map[uint32]exactPast
}

// exactRows are the counters of the hooks, by slot. A request that is open when
// nobody counts any more would be in its queue for ever, so a row begins anew
// when the hooks go on, and when its slot goes to another container.
type exactRows struct {
	rows *ebpf.Map                       // exact_rows
	cpus []bpf.RequestTracepointExactRow // scratch, one per CPU
	zero []bpf.RequestTracepointExactRow
}

func newExactRows(rows *ebpf.Map) (*exactRows, error) {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, fmt.Errorf("exact counters: %w", err)
	}
	return &exactRows{rows, make([]bpf.RequestTracepointExactRow, cpus), make([]bpf.RequestTracepointExactRow, cpus)}, nil
}

// counted reads a row. Slots beyond EXACT_MAX have none: ebpf.ErrKeyNotExist.
func (r *exactRows) counted(slot uint32) (now exactPast, err error) {
	if err := r.rows.Lookup(slot, r.cpus); err != nil {
		return now, fmt.Errorf("exact counters of slot %d: %w", slot, err)
	}
	for i := range r.cpus {
		addCounters(&now.outstanding, &r.cpus[i].Outstanding)
		addCounters(&now.downstream, &r.cpus[i].Downstream)
	}
	return now, nil
}

func (r *exactRows) clear(slot uint32) error {
	if slot >= r.rows.MaxEntries() {
		return nil
	}
	if err := r.rows.Put(slot, r.zero); err != nil {
		return fmt.Errorf("clear exact counters of slot %d: %w", slot, err)
	}
	return nil
}

type exactPast struct {
	owner                   uint64
	outstanding, downstream counts
}

// flavours of request hooks, cheapest first.
var flavours = []struct {
	name string
	load func(*programs) (func() ([]link.Link, error), error)
}{
	{"tp_btf", loadTracepointFlavour},
	{"fexit", loadFexitFlavour},
	{"kretprobe", loadKretprobeFlavour},
}

// loadExact loads the first flavour that can be attached here, and proves it
// by attaching and detaching once. only restricts the choice to one flavour;
// empty means any.
func (p *programs) loadExact(only string) (*exactMode, error) {
	e := &exactMode{past: map[uint32]exactPast{}}
	for _, f := range flavours {
		if only != "" && f.name != only {
			continue
		}
		attach, err := f.load(p)
		if err == nil {
			var links []link.Link
			if links, err = attach(); err == nil {
				closeLinks(links)
				e.flavour, e.attach = f.name, attach
				if e.rows, err = newExactRows(p.shared["exact_rows"]); err != nil {
					return nil, err
				}
				return e, nil
			}
		}
		e.rejected = append(e.rejected, fmt.Errorf("%s: %w", f.name, err))
		p.unload("request_" + f.name)
	}
	return nil, fmt.Errorf("request hooks: %w", errors.Join(e.rejected...))
}

func closeLinks(links []link.Link) {
	for _, l := range links {
		l.Close()
	}
}

func (p *programs) unload(name string) {
	if c := p.objects[name]; c != nil {
		c.Close()
		delete(p.objects, name)
	}
}

// attachAll attaches programs in order and leaves none behind when one fails.
func attachAll(attach ...func() (link.Link, error)) ([]link.Link, error) {
	var links []link.Link
	for _, one := range attach {
		l, err := one()
		if err != nil {
			closeLinks(links)
			return nil, kernelRefusal(err)
		}
		links = append(links, l)
	}
	return links, nil
}

func tracing(c *ebpf.Collection, name string) func() (link.Link, error) {
	return func() (link.Link, error) {
		l, err := link.AttachTracing(link.TracingOptions{Program: c.Programs[name]})
		if err != nil {
			return nil, fmt.Errorf("attach %s: %w", name, err)
		}
		return l, nil
	}
}

func loadTracepointFlavour(p *programs) (func() ([]link.Link, error), error) {
	spec, err := bpf.LoadRequestTracepoint()
	if err != nil {
		return nil, fmt.Errorf("request_tp_btf: read object: %w", err)
	}
	// Where it cannot be found out, the programs read the clock.
	p.stamps, p.stampsErr = p.probeStamps()
	if err := errors.Join(spec.Variables["receive_is_stamped"].Set(p.stamps.receive), spec.Variables["send_is_stamped"].Set(p.stamps.send)); err != nil {
		return nil, fmt.Errorf("request_tp_btf: %w", err)
	}
	c, err := p.load("request_tp_btf", spec, nil)
	if err != nil {
		return nil, err
	}
	return func() ([]link.Link, error) {
		return attachAll(tracing(c, "request_receive"), tracing(c, "request_send"))
	}, nil
}

func loadFexitFlavour(p *programs) (func() ([]link.Link, error), error) {
	spec, err := bpf.LoadRequestFexit()
	if err != nil {
		return nil, fmt.Errorf("request_fexit: read object: %w", err)
	}
	// The verifier rejects one that reads a parameter too many, and one that
	// reads too few takes a parameter for the result.
	byParameters := map[int]string{4: "request_receive_bare", 5: "request_receive", 6: "request_receive_nonblock"}
	receive, ok := byParameters[p.receiveParameters]
	if !ok {
		return nil, fmt.Errorf("request_fexit: %w: tcp_recvmsg has %d parameters", ErrUnsupported, p.receiveParameters)
	}
	for _, other := range byParameters {
		if other != receive {
			delete(spec.Programs, other)
		}
	}
	c, err := p.load("request_fexit", spec, nil)
	if err != nil {
		return nil, err
	}
	return func() ([]link.Link, error) {
		return attachAll(tracing(c, receive), tracing(c, "request_send"))
	}, nil
}

func loadKretprobeFlavour(p *programs) (func() ([]link.Link, error), error) {
	spec, err := bpf.LoadRequestKretprobe()
	c, err := p.load("request_kretprobe", spec, err)
	if err != nil {
		return nil, err
	}
	probe := func(attach func(string, *ebpf.Program, *link.KprobeOptions) (link.Link, error), symbol, program string) func() (link.Link, error) {
		return func() (link.Link, error) {
			l, err := attach(symbol, c.Programs[program], nil)
			if err != nil {
				return nil, fmt.Errorf("attach %s: %w", program, probeRefusal(err))
			}
			return l, nil
		}
	}
	// That a program loads does not say that this kernel has kprobes.
	tried, err := probe(link.Kprobe, "tcp_close", "request_close")()
	if err != nil {
		return nil, err
	}
	tried.Close()
	return func() ([]link.Link, error) {
		// Connections that were closed while nobody watched are still in there.
		if err := errors.Join(empty(c.Maps["connections"]), empty(c.Maps["transfers"])); err != nil {
			return nil, err
		}
		return attachAll(
			probe(link.Kprobe, "tcp_close", "request_close"),
			probe(link.Kretprobe, "tcp_recvmsg", "request_receive"),
			probe(link.Kprobe, "tcp_recvmsg", "request_receive_enter"),
			probe(link.Kretprobe, "tcp_sendmsg", "request_send"),
			probe(link.Kprobe, "tcp_sendmsg", "request_send_enter"),
		)
	}, nil
}

// probeRefusal is kernelRefusal for kprobes: where the kernel has no other way to
// make one, the library looks for tracefs, and says in its own words that there is none.
func probeRefusal(err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return kernelRefusal(err)
}

// empty deletes every entry of a map that no program writes.
func empty(m *ebpf.Map) error {
	var key []byte
	for {
		err := m.NextKey(nil, &key)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil
		}
		if err == nil {
			err = m.Delete(key)
		}
		if err != nil {
			return fmt.Errorf("empty %v: %w", m, err)
		}
	}
}

// switchOn attaches the hooks. Requests open at that moment are not counted.
func (e *exactMode) switchOn(m *memory) error {
	if len(e.links) > 0 {
		return nil
	}
	for slot := range uint32(min(m.families[bpf.SocketFamilyIdFAMILY_SOCKET].High, uint64(e.rows.rows.MaxEntries()))) {
		if err := e.rows.clear(slot); err != nil {
			return err
		}
	}
	links, err := e.attach()
	if err != nil {
		return fmt.Errorf("request hooks: %w", err)
	}
	e.links = links
	e.epoch++
	m.control.Exact = e.epoch
	return nil
}

func (e *exactMode) switchOff(m *memory) {
	m.control.Exact = 0
	closeLinks(e.links)
	e.links = nil
	clear(e.past)
}

func (e *exactMode) active() bool { return e != nil && len(e.links) > 0 }

// refine replaces the sampled arrivals, departures and means of outstanding
// and downstream by the counted ones. Depths at the end of the tick stay those
// of the passes, which anchor the level: requests that were open when the
// hooks went on are not among the counted.
func (e *exactMode) refine(slot uint32, owner uint64, row *Row, sp *span) error {
	now, err := e.rows.counted(slot)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil // beyond EXACT_MAX: stays sampled
	}
	if err != nil {
		return err
	}
	now.owner = owner
	past := e.past[slot]
	e.past[slot] = now
	if past.owner != owner {
		past = exactPast{} // its first tick
	}
	refineCell(&row.Cells[QueueOutstanding], past.outstanding, now.outstanding, sp)
	refineCell(&row.Cells[QueueDownstream], past.downstream, now.downstream, sp)
	return nil
}

func addCounters(c *counts, d *bpf.RequestTracepointExactCounters) {
	c.arrivals += d.Arrivals
	c.departures += d.Departures
	c.in += d.InNs
	c.out += d.OutNs
}

func refineCell(c *Cell, past, now counts, sp *span) {
	if !c.Valid {
		return
	}
	arrived, departed := now.arrivals-past.arrivals, now.departures-past.departures
	if arrived == 0 && departed == 0 && now.arrivals == now.departures {
		return // nothing counted: what is there was there before
	}
	c.Arrivals, c.Departures = float64(arrived), float64(departed)
	c.Mean = meanDepth(past, now, sp.start, sp.end)
	c.Max = max(c.Max, c.Mean)
	c.Wait = 0
	if departed > 0 {
		c.Wait = littleWait(c.Mean, sp.seconds, c.Departures)
	}
}

package collector

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"seer/bpf"
)

// exactMode counts every request of chosen containers by hooks on receive and send
// (DESIGN.md section 3.2). Its programs are loaded at start, so that the verifier's
// word is known, and attached only while it is on.
type exactMode struct {
	flavour  string
	rejected []error // flavours that this kernel refuses, in order of preference
	attach   func() ([]link.Link, error)
	links    []link.Link
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
	e := &exactMode{}
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

// switchOn attaches the hooks, which count the requests of those who are chosen
// from then on.
func (e *exactMode) switchOn(m *memory) error {
	if len(e.links) > 0 {
		return nil
	}
	links, err := e.attach()
	if err != nil {
		return fmt.Errorf("request hooks: %w", err)
	}
	e.links = links
	m.control.Exact = 1
	return nil
}

func (e *exactMode) switchOff(m *memory) {
	m.control.Exact = 0
	closeLinks(e.links)
	e.links = nil
}

// tellsAges reports whether passes see the hooks' open requests: kprobes keep their
// connections where passes do not look.
func (e *exactMode) tellsAges() bool { return e.active() && e.flavour != "kretprobe" }

func (e *exactMode) active() bool { return e != nil && len(e.links) > 0 }

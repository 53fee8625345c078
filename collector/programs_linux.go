package collector

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"seer/bpf"
	"seer/collector/container"
	"seer/collector/feature"
)

// ErrUnsupported says that the running kernel lacks, or refuses, something
// that a program needs. It wraps the cause.
var ErrUnsupported = errors.New("not supported by this kernel")

// programs are the BPF objects in the kernel and what keeps them attached.
// Links are referenced until close: their finalizers would detach silently.
type programs struct {
	types      *btf.Cache           // the kernel's, while loading
	shared     map[string]*ebpf.Map // declared by several objects, created once
	settings   map[string]any       // values of const volatile variables
	refuse     func(object string) error
	spans      bool             // are wanted
	subsystems map[string]int32 // index of each cgroup controller in css_set.subsys
	objects    map[string]*ebpf.Collection
	links      []link.Link

	receiveParameters int    // of tcp_recvmsg: releases differ
	walkFault         string // why the kernel's list of socket storages must not be walked; empty: it may
	stamps            stamps
	stampsErr         error // why stamps could not be found out

	socketPass, dump, discover, epoll, runQueue *iterator
	epollFD                                     int  // known_epoll_fd, see discover.bpf.c
	inTable                                     bool // sockets are in a table, not in their list
	inTableReason                               string
}

// sharedMaps names the maps that more than one object declares.
var sharedMaps = []string{
	"container_rows", "container_slots", "free_slots", "losses", "hook_runs", "controls", "families",
	"sockets", "tracked", "free_tracked", "tracked_counts", "listeners", "epolls", "epoll_indices", "free_epolls", "blkcg_owners", "exact_rows", "latency_rows", "followed_containers", "spans",
}

// newPrograms creates the shared maps; families are loaded one by one.
func newPrograms(cfg Config) (_ *programs, err error) {
	types := cfg.types
	if types == nil {
		types = btf.NewCache()
	}
	kernel, err := types.Kernel()
	if err != nil {
		return nil, fmt.Errorf("kernel types: %w: needs /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF), Linux 5.11 or later: %w", ErrUnsupported, err)
	}
	p := &programs{
		types:   types,
		shared:  map[string]*ebpf.Map{},
		objects: map[string]*ebpf.Collection{},
		refuse:  cfg.refuse,
		spans:   cfg.Spans,
		epollFD: -1,
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.epollFD, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	p.subsystems = subsystems(kernel)
	io, ok := p.subsystems["io"]
	if !ok {
		io = -1
	}
	p.receiveParameters = parameters(kernel, "tcp_recvmsg")
	p.walkFault = feature.SocketWalkFault(kernel)
	p.settings = map[string]any{
		"self_tgid":       int32(os.Getpid()),
		"known_epoll_fd":  uint32(p.epollFD),
		"group_by_comm":   cfg.GroupBy == container.ByProgram,
		"io_hierarchy":    io,
		"flags_are_fifth": p.receiveParameters == 6,
	}

	return p, nil
}

// The values of control.primary_hierarchy that are not an index into
// css_set.subsys (account.bpf.h).
const (
	hierarchyV2   int32 = -1
	hierarchyNone int32 = -2
)

// hierarchies says which hierarchies name containers, as control wants it.
func (p *programs) hierarchies(choice container.Choice) (primary, secondary int32) {
	index := func(h container.Hierarchy) int32 {
		switch {
		case !h.Exists():
			return hierarchyNone
		case h.Version == 2:
			return hierarchyV2
		}
		name := choice.V1Controller()
		if name == "blkio" {
			name = "io"
		}
		if i, ok := p.subsystems[name]; ok {
			return i
		}
		return hierarchyNone
	}
	return index(choice.Primary), index(choice.Secondary)
}

// subsystems returns the index of each cgroup controller in css_set.subsys,
// which depends on how the kernel was configured (enum cgroup_subsys_id).
func subsystems(kernel *btf.Spec) map[string]int32 {
	indices := map[string]int32{}
	var enum *btf.Enum
	if err := kernel.TypeByName("cgroup_subsys_id", &enum); err != nil {
		return indices
	}
	for _, v := range enum.Values {
		if name, ok := strings.CutSuffix(v.Name, "_cgrp_id"); ok {
			indices[name] = int32(v.Value)
		}
	}
	return indices
}

// parameters returns how many parameters a kernel function takes, 0 if it is
// not in the kernel's types.
func parameters(kernel *btf.Spec, function string) int {
	var f *btf.Func
	if err := kernel.TypeByName(function, &f); err != nil {
		return 0
	}
	proto, ok := f.Type.(*btf.FuncProto)
	if !ok {
		return 0
	}
	return len(proto.Params)
}

// load puts one object into the kernel, with the maps it shares.
func (p *programs) load(name string, spec *ebpf.CollectionSpec, err error) (*ebpf.Collection, error) {
	if err != nil {
		return nil, fmt.Errorf("%s: read object: %w", name, err)
	}
	if p.refuse != nil {
		if err := p.refuse(name); err != nil {
			return nil, fmt.Errorf("%s: load: %w", name, kernelRefusal(err))
		}
	}
	for variable, value := range p.settings {
		if v := spec.Variables[variable]; v != nil {
			if err := v.Set(value); err != nil {
				return nil, fmt.Errorf("%s: set %s: %w", name, variable, err)
			}
		}
	}
	replacements := map[string]*ebpf.Map{}
	for _, m := range sharedMaps {
		mapSpec := spec.Maps[m]
		if mapSpec == nil {
			continue
		}
		if !p.inTable && slices.Contains(tableMaps, m) {
			mapSpec.MaxEntries = 1
		}
		if !p.spans && m == "spans" {
			mapSpec.MaxEntries = uint32(os.Getpagesize())
		}
		if p.shared[m] == nil {
			if p.shared[m], err = ebpf.NewMap(mapSpec); err != nil {
				return nil, fmt.Errorf("%s: create map %s: %w", name, m, kernelRefusal(err))
			}
		}
		replacements[m] = p.shared[m]
	}
	collection, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{
		MapReplacements: replacements,
		Cache:           p.types,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: load: %w", name, kernelRefusal(err))
	}
	p.objects[name] = collection
	return collection, nil
}

// kernelRefusal marks an error as the kernel's answer rather than a defect.
func kernelRefusal(err error) error {
	if errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) ||
		errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOENT) || errors.Is(err, btf.ErrNotFound) {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return err
}

// attachTracing attaches BTF tracepoints and fexit programs by name.
func (p *programs) attachTracing(c *ebpf.Collection, names ...string) error {
	for _, name := range names {
		l, err := link.AttachTracing(link.TracingOptions{Program: c.Programs[name]})
		if err != nil {
			return fmt.Errorf("attach %s: %w", name, kernelRefusal(err))
		}
		p.links = append(p.links, l)
	}
	return nil
}

// attachIterator makes an iterator program ready to run over a map, or over
// tasks when over is nil.
func (p *programs) attachIterator(c *ebpf.Collection, name string, over *ebpf.Map) (*iterator, error) {
	l, err := link.AttachIter(link.IterOptions{Program: c.Programs[name], Map: over})
	if err != nil {
		return nil, fmt.Errorf("attach %s: %w", name, kernelRefusal(err))
	}
	p.links = append(p.links, l)
	return &iterator{link: l}, nil
}

// loadSockets loads what Seer cannot do without: births of sockets, and passes
// over them. Passes go by the kernel's list of socket storages unless it has a
// fault or is refused; then sockets are in a table of Seer's own.
func (p *programs) loadSockets() error {
	var refused error
	if p.walkFault == "" {
		c, err := p.loadOne("socket", bpf.LoadSocket, "socket_pass", "socket_pass_table")
		if err == nil {
			p.socketPass, err = p.attachIterator(c, "socket_pass", p.shared["sockets"])
		}
		if err == nil {
			return p.attachTracing(c, "tcp_state")
		}
		if !errors.Is(err, ErrUnsupported) {
			return err
		}
		refused = err
	}
	p.inTable, p.inTableReason = true, p.walkFault
	if refused != nil {
		p.inTableReason = refused.Error()
	}
	p.settings["in_table"] = true
	for _, name := range tableMaps {
		if m := p.shared[name]; m != nil { // of one entry
			m.Close()
			delete(p.shared, name)
		}
	}
	c, err := p.loadOne("socket", bpf.LoadSocket, "socket_pass_table", "socket_pass")
	if err == nil {
		p.socketPass = &iterator{program: c.Programs["socket_pass_table"]}
		err = p.attachTracing(c, "tcp_state")
	}
	if err != nil {
		return either(refused, err)
	}
	return nil
}

// tableMaps have as many entries as sockets only where these are in a table.
var tableMaps = []string{"tracked", "free_tracked"}

// either joins what stood in the way of two ways to do one thing; the first may
// not have been tried.
func either(first, second error) error {
	if first == nil {
		return second
	}
	return fmt.Errorf("%w; otherwise: %w", first, second)
}

// loadOne loads an object with one of two programs that do the same in
// different ways: a refusal of the other would keep all of it out.
func (p *programs) loadOne(name string, read func() (*ebpf.CollectionSpec, error), with, without string) (*ebpf.Collection, error) {
	spec, err := read()
	if err == nil {
		delete(spec.Programs, without)
		if p.refuse != nil {
			err = p.refuse(with)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: load %s: %w", name, with, kernelRefusal(err))
		}
	}
	return p.load(name, spec, err)
}

func (p *programs) loadDiscover() error {
	spec, err := bpf.LoadDiscover()
	c, err := p.load("discover", spec, err)
	if err != nil {
		return err
	}
	p.discover, err = p.attachIterator(c, "discover", nil)
	return err
}

// loadDump loads the list of sockets on demand. Where they are in a table it goes
// by descriptor: their addresses are in the sockets.
func (p *programs) loadDump() error {
	program, other, over := "dump_sockets", "dump_socket_files", p.shared["sockets"]
	if p.inTable {
		program, other, over = other, program, nil
	}
	c, err := p.loadOne("dump", bpf.LoadDump, program, other)
	if err != nil {
		return err
	}
	p.dump, err = p.attachIterator(c, program, over)
	return err
}

// loadEpoll loads the pass over epoll instances: an iterator over a map or,
// where those are refused, a program that Go runs.
func (p *programs) loadEpoll() error {
	c, err := p.loadOne("epoll", bpf.LoadEpoll, "epoll_ready", "epoll_ready_run")
	if err == nil {
		p.epoll, err = p.attachIterator(c, "epoll_ready", c.Maps["epoll_chunks"])
		return err
	}
	if !errors.Is(err, ErrUnsupported) {
		return err
	}
	refused := err
	if c, err = p.loadOne("epoll", bpf.LoadEpoll, "epoll_ready_run", "epoll_ready"); err != nil {
		return either(refused, err)
	}
	p.epoll = &iterator{program: c.Programs["epoll_ready_run"]}
	return nil
}

func (p *programs) loadSched() error {
	spec, err := bpf.LoadSched()
	c, err := p.load("sched", spec, err)
	if err != nil {
		return err
	}
	p.runQueue, err = p.attachIterator(c, "run_queue", nil)
	return err
}

func (p *programs) loadBlock() error {
	spec, err := bpf.LoadBlock()
	c, err := p.load("block", spec, err)
	if err != nil {
		return err
	}
	// Completion first, so that no request is left in the table.
	return p.attachTracing(c, "block_io_complete", "block_io_requeue", "block_io_submit", "block_io_issue")
}

// close detaches and frees everything. It may be called more than once.
func (p *programs) close() {
	for _, it := range []*iterator{p.socketPass, p.dump, p.discover, p.epoll, p.runQueue} {
		if it != nil {
			it.stop() // a walk that was spread over ticks
		}
	}
	for _, l := range p.links {
		l.Close()
	}
	p.links = nil
	for _, c := range p.objects {
		c.Close()
	}
	p.objects = map[string]*ebpf.Collection{}
	for _, m := range p.shared {
		m.Close()
	}
	p.shared = map[string]*ebpf.Map{}
	if p.epollFD >= 0 {
		unix.Close(p.epollFD)
		p.epollFD = -1
	}
}

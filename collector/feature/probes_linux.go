package feature

import (
	"errors"
	"fmt"
	"net"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// tracer are the capabilities the kernel asks for before it loads a program
// that reads kernel memory.
var tracer = []cap.Value{cap.BPF, cap.PERFMON}

const newerKernel = "use a newer kernel"

func iteratorChecks() []check {
	iterator := func(kind, since string, queues []string, loss string, probe func(*host) error) check {
		return check{group: GroupIterator, name: "iter/" + kind, queues: queues, loss: loss, needs: tracer,
			advice: newerKernel + " (Linux " + since + " has it)", config: []string{"CONFIG_BPF_SYSCALL", "CONFIG_DEBUG_INFO_BTF"},
			probe: probe}
	}
	plain := func(kind string) func(*host) error {
		return func(*host) error { return tryIterator(kind, nil, returns(0)) }
	}
	return []check{
		iterator("bpf_sk_storage_map", "5.10", socketQueues, "", func(*host) error {
			storage, err := newSocketStorage()
			if err != nil {
				return err
			}
			defer storage.Close()
			return tryIterator("bpf_sk_storage_map", storage, returns(0))
		}),
		iterator("task", "5.8", []string{runQueue}, "", plain("task")),
		iterator("task_file", "5.8", []string{epollReady}, "sockets opened before Seer, and their list where iter/bpf_sk_storage_map does not work", plain("task_file")),
		iterator("unix", "5.15", nil, "nothing yet (planned: unix sockets that no process holds)", plain("unix")),
		iterator("bpf_map_elem", "5.9", []string{epollReady}, "", func(*host) error {
			m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "seer_probe", Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 1})
			if err != nil {
				return fmt.Errorf("create map: %w", err)
			}
			defer m.Close()
			return tryIterator("bpf_map_elem", m, returns(0))
		}),
	}
}

func bpfChecks() []check {
	return []check{
		{group: GroupBPF, name: "sk_storage in iterators", queues: []string{epollReady}, loss: "sockets opened before Seer", needs: tracer,
			advice: newerKernel + " (Linux 5.11 has it)",
			probe: func(h *host) error {
				return probeFileSocket(h, true)
			}},
		{group: GroupBPF, name: "sk_storage in tp_btf", queues: socketQueues, needs: tracer,
			advice: newerKernel + " (Linux 5.11 has it)",
			probe: func(*host) error {
				storage, err := newSocketStorage()
				if err != nil {
					return err
				}
				defer storage.Close()
				body := asm.Instructions{asm.LoadMem(asm.R2, asm.R1, 0, asm.DWord)} // sk, the first argument
				body = append(body, storageOf(storage)...)
				return tryTracing(ebpf.AttachTraceRawTp, "inet_sock_set_state", append(body, returns(0)...))
			}},
		{group: GroupBPF, name: "bpf_sock_from_file", queues: []string{epollReady}, loss: "sockets opened before Seer", needs: tracer,
			advice: newerKernel + " (Linux 5.11 has it)",
			probe:  func(h *host) error { return probeFileSocket(h, false) }},
		{group: GroupBPF, name: "task storage", queues: []string{runQueue}, needs: tracer,
			advice: newerKernel + " (Linux 5.11 has it)",
			probe:  func(*host) error { return features.HaveMapType(ebpf.TaskStorage) }},
		{group: GroupBPF, name: "ring buffer", loss: "`seer inspect packet`", needs: []cap.Value{cap.BPF},
			advice: newerKernel + " (Linux 5.8 has it)", probe: probeRingBuffer},
		{group: GroupBPF, name: "mmapable arrays", queues: queueNames, needs: []cap.Value{cap.BPF},
			advice: newerKernel + " (Linux 5.5 has it)", probe: probeMmapable},
		{group: GroupBPF, name: "batch map operations", loss: "cheap reads of large maps: passes cost more", needs: []cap.Value{cap.BPF},
			advice: newerKernel + " (Linux 5.6 has it)", probe: probeBatch},
		{group: GroupBPF, name: "syscall programs", loss: nameTables, needs: tracer,
			advice: newerKernel + " (Linux 5.14 has it)", probe: probeSyscallProgram},
		{group: GroupBPF, name: "bpf_loop", loss: nameTables, needs: tracer,
			advice: newerKernel + " (Linux 5.17 has it)",
			probe:  func(*host) error { return features.HaveProgramHelper(ebpf.Syscall, asm.FnLoop) }},
		{group: GroupBPF, name: nameTables, loss: "nothing while iterators over maps work", needs: tracer,
			advice: newerKernel + " (Linux 6.2 has it)", probe: probeTables},
		{group: GroupBPF, name: "bpf_timer", loss: "nothing yet (planned: sampling from inside the kernel)", needs: tracer,
			advice: newerKernel + " (Linux 5.15 has it)", probe: probeTimer},
		{group: GroupBPF, name: "bpf run time statistics", needs: []cap.Value{cap.SYS_ADMIN},
			loss:   "the kernel's own account of BPF run time (Seer estimates its event cost instead)",
			advice: "run as root, or set the sysctl kernel.bpf_stats_enabled=1",
			probe: func(*host) error {
				stats, err := ebpf.EnableStats(0) // BPF_STATS_RUN_TIME
				if err != nil {
					return err
				}
				return stats.Close()
			}},
	}
}

// probeFileSocket goes from a file to its socket and, withStorage, to the
// storage that the tracer hangs on it. It creates none.
func probeFileSocket(h *host, withStorage bool) error {
	types, err := h.types()
	if err != nil {
		return err
	}
	body, err := fileSocket(types)
	if err != nil {
		return err
	}
	if withStorage {
		sk, err := offsetOf(types, "socket", "sk")
		if err != nil {
			return err
		}
		storage, err := newSocketStorage()
		if err != nil {
			return err
		}
		defer storage.Close()
		body = append(body,
			asm.LoadMem(asm.R2, asm.R0, int16(sk), asm.DWord),
			asm.JEq.Imm(asm.R2, 0, "out"))
		body = append(body, storageOf(storage)...)
	}
	return tryIterator("task_file", nil, append(body, out()...))
}

func probeRingBuffer(*host) error {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "seer_probe", Type: ebpf.RingBuf, MaxEntries: uint32(pageSize)})
	if err != nil {
		return fmt.Errorf("create map: %w", err)
	}
	defer m.Close()
	reader, err := ringbuf.NewReader(m)
	if err != nil {
		return fmt.Errorf("map into memory: %w", err)
	}
	return reader.Close()
}

func probeMmapable(*host) error {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "seer_probe", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1,
		Flags: uint32(features.BPF_F_MMAPABLE)})
	if err != nil {
		return fmt.Errorf("create map: %w", err)
	}
	defer m.Close()
	// The mapping is released by the garbage collector.
	if _, err := m.Memory(); err != nil {
		return fmt.Errorf("map into memory: %w", err)
	}
	return nil
}

func probeBatch(*host) error {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "seer_probe", Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 2})
	if err != nil {
		return fmt.Errorf("create map: %w", err)
	}
	defer m.Close()
	keys, values := []uint32{1, 2}, []uint32{3, 4}
	if _, err := m.BatchUpdate(keys, values, nil); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	var cursor ebpf.MapBatchCursor
	n, err := m.BatchLookup(&cursor, keys, values, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("look up: %w", err)
	}
	if n != 2 {
		return fmt.Errorf("look up: %d entries of 2", n)
	}
	return nil
}

func probeSyscallProgram(*host) error {
	prog, err := load(ebpf.ProgramSpec{Type: ebpf.Syscall, Flags: sleepable, Instructions: returns(7)})
	if err != nil {
		return err
	}
	defer prog.Close()
	got, err := prog.Run(&ebpf.RunOptions{})
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	if got != 7 {
		return fmt.Errorf("run: returned %d, want 7", got)
	}
	return nil
}

// probeTables asks for what walks tables of sockets and epoll instances where
// iterators over maps are refused or faulty (bpf/tracked.bpf.h): a syscall program
// that may take from a stack, and a typed look at an address.
func probeTables(h *host) error {
	types, err := h.types()
	if err != nil {
		return err
	}
	const cast = "bpf_rdonly_cast"
	switch has, err := hasFunction(types, cast); {
	case err != nil:
		return err
	case !has:
		return fmt.Errorf("%w: no function %s", ebpf.ErrNotSupported, cast)
	}
	stack, err := ebpf.NewMap(&ebpf.MapSpec{Name: "seer_probe", Type: ebpf.Stack, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return fmt.Errorf("create map: %w", err)
	}
	defer stack.Close()
	prog, err := load(ebpf.ProgramSpec{Type: ebpf.Syscall, Flags: sleepable, Instructions: append(asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, stack.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapPopElem.Call(),
	}, returns(0)...)})
	if err != nil {
		return err
	}
	return prog.Close()
}

// sleepable is BPF_F_SLEEPABLE (include/uapi/linux/bpf.h), which syscall
// programs must set.
const sleepable = 1 << 4

// probeTimer loads a program that initialises a timer in a map's value. The
// map has to describe its value with BTF: a structure of two words by the
// name bpf_timer.
func probeTimer(*host) error {
	word := &btf.Int{Name: "long long unsigned int", Size: 8}
	index := &btf.Int{Name: "unsigned int", Size: 4}
	timer := &btf.Struct{Name: "bpf_timer", Size: 16, Members: []btf.Member{
		{Name: "__opaque", Type: &btf.Array{Index: index, Type: word, Nelems: 2}},
	}}
	value := &btf.Struct{Name: "seer_timer", Size: 16, Members: []btf.Member{{Name: "timer", Type: timer}}}
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "seer_probe", Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 1,
		Key: index, Value: value})
	if err != nil {
		return fmt.Errorf("create map: %w", err)
	}
	defer m.Close()
	body := asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Reg(asm.R1, asm.R0),
		asm.LoadMapPtr(asm.R2, m.FD()),
		asm.Mov.Imm(asm.R3, 1), // CLOCK_MONOTONIC
		asm.FnTimerInit.Call(),
	}
	// Programs that may sleep cannot touch timers, so not a syscall program.
	prog, err := load(ebpf.ProgramSpec{Type: ebpf.SchedCLS, Instructions: append(body, out()...)})
	if err != nil {
		return err
	}
	return prog.Close()
}

// hookChecks attach to what Seer listens to outside requests.
func hookChecks() []check {
	tracepoint := func(name string, queues []string, loss string) check {
		return check{group: GroupHook, name: "tp_btf " + name, queues: queues, loss: loss, needs: tracer,
			config: []string{"CONFIG_BPF_EVENTS", "CONFIG_DEBUG_INFO_BTF"},
			advice: "use a kernel with BTF and tracepoints (Linux 5.11 or later)",
			probe:  func(*host) error { return tryTracing(ebpf.AttachTraceRawTp, name, returns(0)) }}
	}
	return []check{
		tracepoint("inet_sock_set_state", socketQueues, "connections made after the start"),
		tracepoint("block_rq_issue", []string{blockIO}, ""),
		tracepoint("block_rq_complete", []string{blockIO}, ""),
		tracepoint("block_rq_requeue", []string{blockIO}, ""),
		tracepoint("napi_poll", nil, "nothing yet (planned: packets still in the NIC's ring)"),
		{group: GroupHook, name: "cgroup_skb", loss: "nothing yet (planned: requests multiplexed over HTTP/2)",
			needs: []cap.Value{cap.BPF, cap.NET_ADMIN}, config: []string{"CONFIG_CGROUP_BPF"},
			advice: "mount cgroup v2, and use a kernel with CONFIG_CGROUP_BPF", probe: probeCgroupSKB},
		{group: GroupHook, name: "tcx", loss: "`seer inspect packet`: whose packets pass a network device",
			needs: []cap.Value{cap.BPF, cap.NET_ADMIN}, config: []string{"CONFIG_NET_XGRESS"},
			advice: newerKernel + " (Linux 6.6 has it)", probe: probeTCX},
	}
}

// probeCgroupSKB attaches, to Seer's own cgroup, a program that lets every
// packet pass.
func probeCgroupSKB(h *host) error {
	dir, err := h.cgroups.own(h)
	if err != nil {
		return err
	}
	prog, err := load(ebpf.ProgramSpec{Type: ebpf.CGroupSKB, AttachType: ebpf.AttachCGroupInetIngress, Instructions: returns(1)})
	if err != nil {
		return err
	}
	defer prog.Close()
	hook, err := link.AttachCgroup(link.CgroupOptions{Path: dir, Attach: ebpf.AttachCGroupInetIngress, Program: prog})
	if err != nil {
		return fmt.Errorf("attach to %s: %w", dir, err)
	}
	return hook.Close()
}

// probeTCX attaches to the loopback device a program that leaves every packet
// to the next one (TCX_NEXT).
func probeTCX(*host) error {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return fmt.Errorf("%w: no loopback device to try on: %w", errNoAnswer, err)
	}
	prog, err := load(ebpf.ProgramSpec{Type: ebpf.SchedCLS, AttachType: ebpf.AttachTCXIngress, Instructions: returns(-1)})
	if err != nil {
		return err
	}
	defer prog.Close()
	hook, err := link.AttachTCX(link.TCXOptions{Interface: lo.Index, Program: prog, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	return hook.Close()
}

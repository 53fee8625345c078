//go:build linux

package known

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"seer/collector"
	"seer/test/lab"
)

// TestNICRx: packets that a processor has taken from a device and not yet
// brought to a socket. One processor is kept inside its first packet, so that
// all others wait in its backlog for as long as is wanted.
func TestNICRx(t *testing.T) {
	if os.Getenv("SEER_TEST_KERNEL") == "" {
		t.Skip("not supported: it stalls a processor, so it needs a machine of its own (test/kernels)")
	}
	if runtime.NumCPU() < 2 {
		t.Skip("not supported: one processor is stalled, Seer needs another")
	}
	stayOn(t, 0)
	// All share one emulated processor: slow ticks, so that each has a segment sent
	// by the commands below, and few passes, so that these get their turn.
	tr := trace(t, collector.Config{Tick: time.Second / 2, PassHz: 10})
	w := newWorld(t, lab.Options{})
	l := w.s.Listen("tcp4", "127.0.0.1:0", 1)
	out := w.c.Connect("tcp4", l.Addr, 1)
	in := w.s.Accept(l, 1)
	p := lab.NewContainer(t, "packets", lab.Options{}).Start(heldPackets, nil)

	// The host's packets are shared out by TCP segments: of these there are
	// some in each tick, and none of them next door.
	want := func(packets int) {
		t.Helper()
		met := 0
		tr.waitTicks(t, func(s snapshot) (bool, string) {
			w.c.Send(out, 1)
			w.s.Receive(in, 1)
			sum, valid := 0.0, true
			for _, row := range s.rows {
				cell := row.Cells[collector.QueueNICRx]
				sum, valid = sum+cell.Depth, valid && cell.Valid
			}
			next := s.rows[idOf(w.neighbour)].Cells[collector.QueueNICRx].Depth
			// Not in a row: a tick that a command came too late for has no segment
			// to share packets out by.
			if valid && math.Abs(sum-float64(packets)) <= 1e-6 && next == 0 {
				met++
			}
			return met == steady, fmt.Sprintf("nic_rx of all = %v (valid: %v), next door %v, want %d and 0, in %d ticks", sum, valid, next, packets, steady)
		})
	}
	want(0)
	for _, n := range []int{1, 24, 601} {
		p.Call("hold", n, nil)
		want(n - 1) // one is being brought to its socket
		p.Call("release", nil, nil)
		want(0)
	}
}

// stayOn keeps every thread of this process, and of those it will start, on one
// CPU until the end of the test.
func stayOn(t *testing.T, cpu int) {
	t.Helper()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	if err := moveThreads(cpuSet(cpu)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := moveThreads(&before); err != nil {
			t.Error(err)
		}
	})
}

func cpuSet(cpu int) *unix.CPUSet {
	var set unix.CPUSet
	set.Set(cpu)
	return &set
}

// moveThreads gives all threads of this process an affinity, and those, too, that
// were started meanwhile by one that did not have it yet: it looks until it finds
// no other.
func moveThreads(to *unix.CPUSet) error {
	moved := map[int]bool{}
	for more := true; more; {
		more = false
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err != nil {
				return err
			}
			if moved[id] {
				continue
			}
			moved[id], more = true, true
			if err := unix.SchedSetaffinity(id, to); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("affinity of thread %d: %w", id, err)
			}
		}
	}
	return nil
}

// heldPackets is the name of a workload that sends packets to itself, in a
// network namespace of its own, whose loopback hands them to the second
// processor.
const heldPackets = "held-packets"

// heldWorkload: "hold" sends packets, "release" lets them all pass.
func heldWorkload(w *lab.Worker) error {
	if err := w.Begin(nil); err != nil {
		return err
	}
	// Whoever started it may itself have been on its way to the first processor:
	// a sender on the second would hold its own packet.
	runtime.LockOSThread()
	if err := moveThreads(cpuSet(0)); err != nil {
		return err
	}
	if err := ownLoopback(2); err != nil {
		return err
	}
	end, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return err
	}
	filter, err := holdingFilter(end)
	if err != nil {
		return err
	}
	to, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(to, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(to, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, filter.FD()); err != nil {
		return err
	}
	address, err := unix.Getsockname(to)
	if err != nil {
		return err
	}
	from, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	// All packets may be on their way at once.
	if err := unix.SetsockoptInt(from, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 16<<20); err != nil {
		return err
	}
	hold := func(until time.Duration) (any, error) { return nil, end.Put(uint32(0), uint64(until)) }
	return w.Serve(map[string]lab.Handler{
		"hold": lab.Handle(func(packets int) (any, error) {
			var now unix.Timespec
			if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
				return nil, err
			}
			if _, err := hold(time.Duration(now.Nano()) + longestHold); err != nil {
				return nil, err
			}
			for range packets {
				if err := unix.Sendto(from, []byte{1}, 0, address); err != nil {
					return nil, err
				}
			}
			return nil, nil
		}),
		"release": func(json.RawMessage) (any, error) { return hold(0) },
	})
}

// ownLoopback puts the thread into namespaces of its own, where received
// packets are steered to the processors of a mask (rps_cpus, which sysfs shows
// of the namespace that mounted it).
func ownLoopback(mask int) error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("namespaces: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(uint16(net.FlagUp) | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sysfs")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if err := unix.Mount("sysfs", dir, "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mount sysfs: %w", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	return os.WriteFile(filepath.Join(dir, "class/net/lo/queues/rx-0/rps_cpus"), []byte(fmt.Sprintf("%x", mask)), 0)
}

// longestHold bounds a hold that nobody ends: a test that fails meanwhile cannot,
// as the end of a process with namespaces of its own waits for every processor.
const longestHold = 100 * time.Second

// Rounds of the loop within the loop: more than that takes.
const (
	holdOuter = 4096
	holdInner = 1 << 20
)

// holdingFilter loads a socket filter that keeps its packet, and so the softirq
// that brings it, until the time in the map; then it drops it.
func holdingFilter(end *ebpf.Map) (*ebpf.Program, error) {
	loop := func(times int32, callback string) asm.Instructions {
		return asm.Instructions{
			asm.Mov.Imm(asm.R1, times),
			asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: asm.R2, Src: asm.PseudoFunc, Constant: -1}.WithReference(callback),
			asm.Mov.Imm(asm.R3, 0),
			asm.Mov.Imm(asm.R4, 0),
			asm.FnLoop.Call(),
		}
	}
	// released ends a loop when it is time.
	released := func(label string) asm.Instructions {
		return asm.Instructions{
			asm.StoreImm(asm.RFP, -4, 0, asm.Word),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -4),
			asm.LoadMapPtr(asm.R1, end.FD()),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, label),
			asm.LoadMem(asm.R6, asm.R0, 0, asm.DWord),
			asm.FnKtimeGetNs.Call(),
			asm.Mov.Reg(asm.R1, asm.R0),
			asm.Mov.Imm(asm.R0, 0),
			asm.JLT.Reg(asm.R1, asm.R6, label),
			asm.Mov.Imm(asm.R0, 1),
			asm.Return().WithSymbol(label),
		}
	}
	u64, u32 := &btf.Int{Name: "u64", Size: 8}, &btf.Int{Name: "u32", Size: 4}
	function := func(name string, body asm.Instructions, returns btf.Type, parameters ...btf.FuncParam) asm.Instructions {
		body[0] = btf.WithFuncMetadata(body[0].WithSymbol(name), &btf.Func{
			Name: name, Linkage: btf.StaticFunc, Type: &btf.FuncProto{Return: returns, Params: parameters},
		})
		return body
	}
	callback := []btf.FuncParam{{Name: "index", Type: u32}, {Name: "context", Type: &btf.Pointer{Target: &btf.Void{}}}}
	body := function("hold", append(loop(holdOuter, "outer"), asm.Mov.Imm(asm.R0, 0), asm.Return()), u32,
		btf.FuncParam{Name: "packet", Type: &btf.Pointer{Target: &btf.Void{}}})
	body = append(body, function("outer", append(loop(holdInner, "inner"), released("outer_end")...), u64, callback...)...)
	body = append(body, function("inner", released("inner_end"), u64, callback...)...)
	return ebpf.NewProgram(&ebpf.ProgramSpec{Name: "hold", Type: ebpf.SocketFilter, License: "GPL", Instructions: body})
}

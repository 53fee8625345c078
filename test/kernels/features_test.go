//go:build linux && amd64

package kernels

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// needMachine skips outside the virtual machine, where the kernel is whatever
// the host runs and promises nothing.
func needMachine(t *testing.T) {
	t.Helper()
	if os.Getenv("SEER_TEST_KERNEL") == "" {
		t.Skip("needs a kernel of the matrix: run `make kernels` or test/kernels/cmd/kernelrun")
	}
}

// atLeast reports whether the running kernel is the release or newer.
func atLeast(t *testing.T, release string) bool {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var have, want [2]int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &have[0], &have[1]); err != nil {
		t.Fatalf("kernel release %q: %v", u.Release, err)
	}
	if _, err := fmt.Sscanf(release, "%d.%d", &want[0], &want[1]); err != nil {
		t.Fatalf("release %q in the table: %v", release, err)
	}
	return have[0] > want[0] || have[0] == want[0] && have[1] >= want[1]
}

// TestFeatures probes what Seer's programs build on. A feature may be missing
// only before the release that brought it; a newer kernel that lacks it fails.
func TestFeatures(t *testing.T) {
	needMachine(t)
	tests := []struct {
		name  string
		since string
		probe func(*testing.T) error
	}{
		{"kernel BTF", "5.4", func(*testing.T) error { _, err := btf.LoadKernelSpec(); return err }},
		{"kprobe tcp_recvmsg", "4.1", countsReceives(kprobe)},
		{"kretprobe tcp_recvmsg", "4.1", countsReceives(kretprobe)},
		{"fentry tcp_recvmsg", "5.5", countsReceives(tracing("tcp_recvmsg", ebpf.AttachTraceFEntry))},
		{"fexit tcp_recvmsg", "5.5", countsReceives(tracing("tcp_recvmsg", ebpf.AttachTraceFExit))},
		{"tp_btf inet_sock_set_state", "5.5", countsReceives(tracing("inet_sock_set_state", ebpf.AttachTraceRawTp))},
		{"tp_btf sock_recv_length", "6.3", countsReceives(tracing("sock_recv_length", ebpf.AttachTraceRawTp))},
		{"tp_btf sock_send_length", "6.3", countsReceives(tracing("sock_send_length", ebpf.AttachTraceRawTp))},
		{"iter task", "5.8", visits("task")},
		{"iter task_file", "5.8", visits("task_file")},
		{"iter tcp", "5.9", visits("tcp")},
		{"iter bpf_sk_storage_map", "5.10", loads("bpf_sk_storage_map")},
		{"iter unix", "5.15", visits("unix")},
		{"ring buffer", "5.8", hasMap(ebpf.RingBuf)},
		{"socket storage", "5.2", hasMap(ebpf.SkStorage)},
		{"task storage", "5.11", hasMap(ebpf.TaskStorage)},
		{"cgroup storage", "6.2", hasMap(ebpf.CgroupStorage)},
		{"adoption of open sockets", "5.11", adoptsSockets},
		{"BPF timer", "5.15", hasHelper(ebpf.SchedCLS, asm.FnTimerInit)},
		{"bpf_loop", "5.17", hasHelper(ebpf.RawTracepoint, asm.FnLoop)},
		{"syscall programs", "5.14", func(*testing.T) error { return features.HaveProgramType(ebpf.Syscall) }},
		{"run count statistics", "5.8", bpfStatistics},
		{"pressure stall information", "4.20", func(*testing.T) error {
			_, err := os.ReadFile("/proc/pressure/cpu")
			return err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.probe(t)
			switch {
			case err == nil:
			case !errors.Is(err, ebpf.ErrNotSupported):
				t.Fatalf("%s: %v", tt.name, err)
			case atLeast(t, tt.since):
				t.Fatalf("%s: came with Linux %s, this newer kernel refuses: %v", tt.name, tt.since, err)
			default:
				t.Skipf("%s: needs Linux %s: %v", tt.name, tt.since, err)
			}
		})
	}
}

// attach loads a program that adds one to counter and hooks it.
type attach func(counter *ebpf.Map) (io.Closer, error)

// countsReceives attaches the program, moves bytes over loopback TCP and
// checks that the hook ran: loading alone proves little.
func countsReceives(hook attach) func(*testing.T) error {
	return func(t *testing.T) error {
		counter, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
		if err != nil {
			return err
		}
		defer counter.Close()
		l, err := hook(counter)
		if err != nil {
			return err
		}
		defer l.Close()
		exchange(t, "tcp4", "127.0.0.1:0")
		var n uint64
		if err := counter.Lookup(uint32(0), &n); err != nil {
			return err
		}
		if n == 0 {
			return errors.New("attached, but did not run during a TCP exchange")
		}
		return nil
	}
}

// countingProgram is "counter[0]++; return 0".
func countingProgram(counter *ebpf.Map) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapValue(asm.R1, counter.FD(), 0),
		asm.Mov.Imm(asm.R2, 1),
		asm.StoreXAdd(asm.R1, asm.R2, asm.DWord),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}
}

// hooked keeps a program with its link; losing the link object detaches.
type hooked struct {
	program *ebpf.Program
	link    link.Link
}

func (h hooked) Close() error { return errors.Join(h.link.Close(), h.program.Close()) }

func kprobe(counter *ebpf.Map) (io.Closer, error)    { return attachKprobe(counter, link.Kprobe) }
func kretprobe(counter *ebpf.Map) (io.Closer, error) { return attachKprobe(counter, link.Kretprobe) }

func attachKprobe(counter *ebpf.Map, to func(string, *ebpf.Program, *link.KprobeOptions) (link.Link, error)) (io.Closer, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Kprobe, Instructions: countingProgram(counter), License: "GPL"})
	if err != nil {
		return nil, err
	}
	l, err := to("tcp_recvmsg", p, nil)
	if err != nil {
		p.Close()
		return nil, err
	}
	return hooked{p, l}, nil
}

func tracing(target string, kind ebpf.AttachType) attach {
	return func(counter *ebpf.Map) (io.Closer, error) {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: ebpf.Tracing, AttachType: kind, AttachTo: target,
			Instructions: countingProgram(counter), License: "GPL"})
		if err != nil {
			return nil, err
		}
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			p.Close()
			return nil, err
		}
		return hooked{p, l}, nil
	}
}

// iterator loads an iterator program over what.
func iterator(what string, counter *ebpf.Map) (*ebpf.Program, error) {
	return ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Tracing, AttachType: ebpf.AttachTraceIter, AttachTo: what,
		Instructions: countingProgram(counter), License: "GPL"})
}

// loads checks an iterator that can only be attached to a map that is filled.
func loads(what string) func(*testing.T) error {
	return func(*testing.T) error {
		counter, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
		if err != nil {
			return err
		}
		defer counter.Close()
		p, err := iterator(what, counter)
		if err != nil {
			return err
		}
		return p.Close()
	}
}

// visits runs an iterator once while a listener, a connection and a unix
// socket exist, and checks that it was called for something.
func visits(what string) func(*testing.T) error {
	return func(t *testing.T) error {
		counter, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
		if err != nil {
			return err
		}
		defer counter.Close()
		p, err := iterator(what, counter)
		if err != nil {
			return err
		}
		defer p.Close()
		it, err := link.AttachIter(link.IterOptions{Program: p})
		if err != nil {
			return err
		}
		defer it.Close()
		for _, network := range []string{"tcp", "unix"} {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = t.TempDir() + "/s"
			}
			l, err := net.Listen(network, address)
			if err != nil {
				return err
			}
			defer l.Close()
		}
		r, err := it.Open()
		if err != nil {
			return err
		}
		defer r.Close()
		if _, err := io.ReadAll(r); err != nil {
			return err
		}
		var n uint64
		if err := counter.Lookup(uint32(0), &n); err != nil {
			return err
		}
		if n < 2 { // the last call announces the end and has no object
			return fmt.Errorf("iterator ran %d times, want an object and the end", n)
		}
		return nil
	}
}

func hasMap(kind ebpf.MapType) func(*testing.T) error {
	return func(*testing.T) error { return features.HaveMapType(kind) }
}

func hasHelper(kind ebpf.ProgramType, helper asm.BuiltinFunc) func(*testing.T) error {
	return func(*testing.T) error { return features.HaveProgramHelper(kind, helper) }
}

func bpfStatistics(*testing.T) error {
	c, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return err
	}
	return c.Close()
}

package feature

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// The operations of a running Seer, each tried by a child process that holds
// only given capabilities. The child prepares with what it was started with,
// drops to the set in SEER_TEST_KEEP and tries every operation.

const (
	childEnv  = "SEER_TEST_CHILD" // what a re-executed test binary does instead of testing
	keepEnv   = "SEER_TEST_KEEP"  // capabilities kept, "cap_bpf,cap_perfmon"
	targetEnv = "SEER_TEST_PID"   // a process of another user
	secretEnv = "SEER_TEST_FILE"  // a file that only another user may read
)

// outcome is what the child prints: the error of each step, "" for success.
type outcome struct {
	Prepare map[string]string
	Run     map[string]string
	Drop    string // error of Drop
	Exec    uint64 // effective capabilities of a program executed afterwards
}

// running are the objects a tracer holds when it has started.
type running struct {
	storage, counts       *ebpf.Map
	iterators             map[string]*link.Iter
	later, inCgroup, onLo *ebpf.Program // loaded, to be attached on demand
	command               *ebpf.Program // syscall program
}

func runOperations() outcome {
	result := outcome{Prepare: map[string]string{}, Run: map[string]string{}}
	h := newHost(Options{})
	r := running{iterators: map[string]*link.Iter{}}
	for _, step := range r.prepare(h) {
		result.Prepare[step.name] = message(step.do())
	}
	holdThreads()
	keep, err := parseCaps(os.Getenv(keepEnv))
	if err == nil {
		err = Drop(keep...)
	}
	result.Drop = message(err)
	again := exec.Command("/proc/self/exe")
	again.Env = []string{childEnv + "=capabilities"}
	out, err := again.Output()
	if err != nil {
		result.Exec = ^uint64(0)
	} else if _, err := fmt.Sscan(string(out), &result.Exec); err != nil {
		result.Exec = ^uint64(0)
	}
	// What was found out before must not answer now.
	kernelVerdicts = verdicts{}
	h.caps = readCapabilities("/proc/thread-self/status")
	for _, step := range r.operations(h) {
		result.Run[step.name] = message(step.do())
	}
	return result
}

// holdThreads keeps some threads busy for good, so that Drop has more than one
// to deal with.
func holdThreads() {
	var ready sync.WaitGroup
	for range 8 {
		ready.Add(1)
		go func() {
			runtime.LockOSThread()
			ready.Done()
			select {}
		}()
	}
	ready.Wait()
}

type step struct {
	name string
	do   func() error
}

func (r *running) prepare(h *host) []step {
	iterator := func(kind string, over func() *ebpf.Map) step {
		return step{"attach iter/" + kind, func() error {
			prog, err := tracing(ebpf.AttachTraceIter, kind, returns(0))
			if err != nil {
				return err
			}
			it, err := link.AttachIter(link.IterOptions{Program: prog, Map: over()})
			r.iterators[kind] = it
			return err
		}}
	}
	none := func() *ebpf.Map { return nil }
	return []step{
		{"create maps", func() (err error) {
			if r.storage, err = newSocketStorage(); err != nil {
				return err
			}
			r.counts, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 2})
			return err
		}},
		iterator("task", none),
		iterator("task_file", none),
		iterator("bpf_sk_storage_map", func() *ebpf.Map { return r.storage }),
		{"attach tp_btf", func() error {
			prog, err := tracing(ebpf.AttachTraceRawTp, "inet_sock_set_state", returns(0))
			if err != nil {
				return err
			}
			_, err = link.AttachTracing(link.TracingOptions{Program: prog, AttachType: ebpf.AttachTraceRawTp})
			return err
		}},
		{"load for later", func() (err error) {
			r.later, err = tracing(ebpf.AttachTraceRawTp, "inet_sock_set_state", returns(0))
			return err
		}},
		{"load syscall program", func() (err error) {
			// An old kernel's own answer is a mere EINVAL.
			if err := features.HaveProgramType(ebpf.Syscall); err != nil {
				return err
			}
			r.command, err = load(ebpf.ProgramSpec{Type: ebpf.Syscall, Flags: sleepable, Instructions: returns(7)})
			return err
		}},
		{"load network for later", func() (err error) {
			if r.inCgroup, err = load(ebpf.ProgramSpec{Type: ebpf.CGroupSKB, AttachType: ebpf.AttachCGroupInetIngress, Instructions: returns(1)}); err != nil {
				return err
			}
			r.onLo, err = load(ebpf.ProgramSpec{Type: ebpf.SchedCLS, AttachType: ebpf.AttachTCXIngress, Instructions: returns(-1)})
			return err
		}},
	}
}

// operations are what Seer does after the start.
func (r *running) operations(h *host) []step {
	target := os.Getenv(targetEnv)
	var all []step
	for kind, iter := range r.iterators {
		all = append(all, step{"open and read iter/" + kind, func() error {
			reader, err := iter.Open()
			if err != nil {
				return err
			}
			defer reader.Close()
			_, err = io.Copy(io.Discard, reader)
			return err
		}})
	}
	closing := func(c io.Closer, err error) error {
		if err != nil {
			return err
		}
		return c.Close()
	}
	return append(all, []step{
		{"update and look up map", func() error {
			var v uint32
			return errors.Join(r.counts.Put(uint32(1), uint32(2)), r.counts.Lookup(uint32(1), &v))
		}},
		{"batch look up map", func() error {
			var cursor ebpf.MapBatchCursor
			_, err := r.counts.BatchLookup(&cursor, make([]uint32, 2), make([]uint32, 2), nil)
			if errors.Is(err, ebpf.ErrKeyNotExist) {
				return nil
			}
			return err
		}},
		{"run syscall program", func() error {
			if r.command == nil {
				return ebpf.ErrNotSupported
			}
			_, err := r.command.Run(&ebpf.RunOptions{})
			return err
		}},
		{"attach loaded tp_btf", func() error {
			l, err := link.AttachTracing(link.TracingOptions{Program: r.later, AttachType: ebpf.AttachTraceRawTp})
			return closing(l, err)
		}},
		{"load and attach tp_btf", func() error {
			return tryTracing(ebpf.AttachTraceRawTp, "inet_sock_set_state", returns(0))
		}},
		{"create map", func() error {
			m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 2})
			return closing(m, err)
		}},
		{"attach loaded cgroup_skb", func() error {
			dir, err := h.cgroups.own(h)
			if err != nil {
				return err
			}
			if r.inCgroup == nil {
				return fs.ErrPermission // loading it was refused
			}
			l, err := link.AttachCgroup(link.CgroupOptions{Path: dir, Attach: ebpf.AttachCGroupInetIngress, Program: r.inCgroup})
			return closing(l, err)
		}},
		{"load and attach cgroup_skb", func() error { return probeCgroupSKB(h) }},
		{"attach loaded tcx", func() error {
			if r.onLo == nil {
				return ebpf.ErrNotSupported
			}
			l, err := link.AttachTCX(link.TCXOptions{Interface: 1, Program: r.onLo, Attach: ebpf.AttachTCXIngress})
			return closing(l, err)
		}},
		{"load and attach tcx", func() error { return probeTCX(h) }},
		{"enable bpf statistics", func() error {
			stats, err := ebpf.EnableStats(0)
			return closing(stats, err)
		}},
		{"read program statistics", func() error { _, err := r.later.Stats(); return err }},
		{"perf event of a container", func() error { return probeCgroupPerf(h) }},
		{"ask conntrack", askConntrack},
		{"read /proc/PID/cgroup", func() error { _, err := os.ReadFile("/proc/" + target + "/cgroup"); return err }},
		{"read link /proc/PID/ns/net", func() error { _, err := os.Readlink("/proc/" + target + "/ns/net"); return err }},
		{"read link /proc/PID/exe", func() error { _, err := os.Readlink("/proc/" + target + "/exe"); return err }},
		{"list /proc/PID/fd", func() error {
			fds, err := os.ReadDir("/proc/" + target + "/fd")
			if err != nil {
				return err
			}
			_, err = os.Readlink(filepath.Join("/proc", target, "fd", fds[0].Name()))
			return err
		}},
		{"read another user's file", func() error { _, err := os.ReadFile(os.Getenv(secretEnv)); return err }},
		{"raise the open files limit", func() error {
			var limit unix.Rlimit
			if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
				return err
			}
			limit.Max++
			return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
		}},
	}...)
}

// unsupported is the outcome of an operation that this kernel does not know.
const unsupported = "not supported"

// message is "" for success, EPERM for any refusal and the error otherwise.
func message(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ebpf.ErrNotSupported):
		return unsupported
	case errors.Is(err, fs.ErrPermission):
		return "EPERM"
	}
	return err.Error()
}

func parseCaps(text string) ([]cap.Value, error) {
	var values []cap.Value
	for name := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' }) {
		v, err := cap.FromName(name)
		if err != nil {
			return nil, fmt.Errorf("capability %q: %w", name, err)
		}
		values = append(values, v)
	}
	return values, nil
}

// child is the body of a re-executed test binary; it returns its exit code.
func child(what string) int {
	switch what {
	case "operations":
		if err := json.NewEncoder(os.Stdout).Encode(runOperations()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	case "capabilities":
		fmt.Println(readCapabilities("/proc/thread-self/status").set)
	case "report":
		report, err := Probe(context.Background(), Options{})
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(report)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	case "idle": // lives until its standard input closes
		if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
			return 1
		}
	default:
		fmt.Fprintf(os.Stderr, "unknown child %q\n", what)
		return 2
	}
	return 0
}

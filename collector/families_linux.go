package collector

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"seer/bpf"
)

// family is one kind of kernel object that passes visit, with its own pace.
type family struct {
	id     bpf.SocketFamilyId
	name   string
	queues []Queue
	run    *iterator // nil when its program could not be loaded
	state  ProbeState
	reason string

	passes int  // finished since the last tick
	spread bool // each visit does a part of a pass, as the budget allows

	pass     uint64
	began    int64 // of the current pass, CLOCK_MONOTONIC, ns
	last     time.Time
	took     time.Duration // CPU time of the last pass
	cpu      time.Duration // CPU time of all passes
	before   uint64        // objects visited before the current pass
	visited  uint64        // by the last pass
	failures int           // in a row
}

// maxFailures in a row turn a family off: its queues become invalid, and say
// why, rather than stand still.
const maxFailures = 10

// visit runs one pass over the family's objects. The programs run inside its
// read(2), so the thread's CPU time is what the pass costs.
func (f *family) visit(m *memory) error {
	if f.run == nil || f.state != ProbeOn {
		return nil
	}
	if f.spread && f.passes > 0 {
		return nil // done for this tick: a tick never ends inside the next pass
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if !f.run.walking {
		f.before = m.families[f.id].Visited
		f.pass++
		now := monotonic()
		m.control.Pass[f.id] = f.pass
		m.control.PreviousNs[f.id] = uint64(f.began)
		m.control.PassNs[f.id] = uint64(now)
		f.began = now
	}
	start := threadCPU()
	done, err := true, error(nil)
	if f.spread {
		done, err = f.run.step()
	} else {
		err = f.run.run()
	}
	f.took = threadCPU() - start
	f.cpu += f.took
	if err == nil {
		f.failures = 0
		if done {
			f.passes++
			f.last = time.Now()
			f.visited = m.families[f.id].Visited - f.before
		}
		return nil
	}
	if f.failures++; f.failures >= maxFailures {
		f.state, f.reason = ProbeFailed, err.Error()
	}
	return err
}

// monotonic is the clock that the programs read with bpf_ktime_get_ns. Go's
// own monotonic time is the same clock, read without a system call.
func monotonic() int64 { return monotonicBase + time.Since(monotonicTime).Nanoseconds() }

var monotonicTime = time.Now()
var monotonicBase = clock(unix.CLOCK_MONOTONIC)

func threadCPU() time.Duration { return time.Duration(clock(unix.CLOCK_THREAD_CPUTIME_ID)) }

func processCPU() time.Duration { return time.Duration(clock(unix.CLOCK_PROCESS_CPUTIME_ID)) }

// clock does not fail for clocks that exist, and does not tell Go's scheduler.
func clock(id uintptr) int64 {
	var ts unix.Timespec
	_, _, _ = unix.RawSyscall(unix.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

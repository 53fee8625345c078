package collector

import (
	"time"

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

	every  int // runs in one of `every` passes
	passes int // since the last tick

	pass     uint64
	began    int64 // of the current pass, CLOCK_MONOTONIC, ns
	last     time.Time
	took     time.Duration // CPU time of the last pass
	cpu      time.Duration // CPU time of all passes
	visited  uint64        // by the last pass
	failures int           // in a row
}

// maxFailures in a row turn a family off: its queues become invalid, and say
// why, rather than stand still.
const maxFailures = 10

// visit runs one pass over the family's objects on the calling thread, whose
// CPU time it measures: the programs run inside its read(2).
func (f *family) visit(m *memory) error {
	if f.run == nil || f.state != ProbeOn {
		return nil
	}
	before := m.families[f.id].Visited
	f.pass++
	now := monotonic()
	m.control.Pass[f.id] = f.pass
	m.control.PreviousNs[f.id] = uint64(f.began)
	m.control.PassNs[f.id] = uint64(now)
	f.began = now
	start := threadCPU()
	err := f.run.run()
	f.took = threadCPU() - start
	f.cpu += f.took
	f.passes++
	f.last = time.Now()
	f.visited = m.families[f.id].Visited - before
	if err == nil {
		f.failures = 0
		return nil
	}
	if f.failures++; f.failures >= maxFailures {
		f.state, f.reason = ProbeFailed, err.Error()
	}
	return err
}

func clock(id int32) int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(id, &ts) // fails only for a clock that does not exist
	return ts.Nano()
}

// monotonic is the clock that the programs read with bpf_ktime_get_ns.
func monotonic() int64 { return clock(unix.CLOCK_MONOTONIC) }

func threadCPU() time.Duration { return time.Duration(clock(unix.CLOCK_THREAD_CPUTIME_ID)) }

func processCPU() time.Duration { return time.Duration(clock(unix.CLOCK_PROCESS_CPUTIME_ID)) }

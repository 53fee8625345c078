package collector

import (
	"runtime"
	"time"

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

	programs []string // as bpftool prog shows them
	flavour  string   // how they are hooked

	longest time.Duration // that a visit lasts; 0: until the pass is done
	passes  int           // finished since the last tick
	spread  bool          // the last pass took more than one visit

	pass      uint64
	began     int64 // of the current pass, CLOCK_MONOTONIC, ns
	last      time.Time
	lastBegan int64         // the last finished pass, CLOCK_MONOTONIC, ns
	took      time.Duration // CPU time of the last pass
	cpu       time.Duration // CPU time of all passes
	before    uint64        // objects visited before the current pass
	visited   uint64        // by the last pass
	failures  int           // in a row
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
	resumes := f.run.walking
	if f.spread && f.passes > 0 && !resumes {
		return nil // done for this tick: one that has passes never ends inside the next
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if !resumes {
		f.before = m.families[f.id].Visited
		f.pass++
		now := monotonic()
		m.control.Pass[f.id] = f.pass
		m.control.PreviousNs[f.id] = uint64(f.began)
		m.control.PassNs[f.id] = uint64(now)
		f.began = now
	}
	start := threadCPU()
	done, err := f.walk(m)
	f.took = threadCPU() - start
	f.cpu += f.took
	if err == nil {
		f.failures = 0
		f.spread = resumes || !done
		if done {
			f.passes++
			f.last = time.Now()
			f.lastBegan = f.began
			f.visited = m.families[f.id].Visited - f.before
		}
		return nil
	}
	if f.failures++; f.failures >= maxFailures {
		f.state, f.reason = ProbeFailed, err.Error()
	}
	return err
}

// walk goes on with the pass until it is done or has lasted long enough.
func (f *family) walk(m *memory) (done bool, err error) {
	if f.longest == 0 {
		return true, f.run.run()
	}
	for began := monotonic(); ; {
		now := monotonic()
		m.control.ReadFrom = m.families[f.id].Visited
		m.control.StopNs = uint64(now + f.longest.Nanoseconds())
		done, err = f.run.step()
		// A tick that has seen a whole pass must not end inside another.
		if done || err != nil || f.passes == 0 && monotonic()-began >= f.longest.Nanoseconds() {
			return done, err
		}
	}
}

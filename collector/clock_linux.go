package collector

import (
	"math"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// monotonic is the clock that the programs read with bpf_ktime_get_ns. Go's
// own monotonic time is the same clock, read without a system call.
func monotonic() int64 { return monotonicOrigin.ns + time.Since(monotonicOrigin.at).Nanoseconds() }

var monotonicOrigin = pairClocks()

// clockPair is one moment on both clocks.
type clockPair struct {
	at time.Time
	ns int64 // CLOCK_MONOTONIC
}

// pairClocks reads both clocks, several times: the thread may lose its CPU
// between two readings, and all times would be wrong by that for good.
func pairClocks() (best clockPair) {
	const attempts = 32
	narrowest := time.Duration(math.MaxInt64)
	for range attempts {
		before := time.Now()
		ns := clock(unix.CLOCK_MONOTONIC)
		if between := time.Since(before); between < narrowest {
			narrowest = between
			best = clockPair{before.Add(between / 2), ns}
		}
	}
	return best
}

func threadCPU() time.Duration { return time.Duration(clock(unix.CLOCK_THREAD_CPUTIME_ID)) }

func processCPU() time.Duration { return time.Duration(clock(unix.CLOCK_PROCESS_CPUTIME_ID)) }

// clock does not fail for clocks that exist, and does not tell Go's scheduler.
func clock(id uintptr) int64 {
	var ts unix.Timespec
	_, _, _ = unix.RawSyscall(unix.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

//go:build linux && amd64

package vm

import "time"

// rdtsc reads the processor's time stamp counter.
func rdtsc() uint64

// tscKHz measures the counter's frequency. QEMU shows the host's counter to
// the guest unscaled, and a guest that is told its frequency need not
// calibrate it against emulated timers, which costs seconds and goes wrong.
func tscKHz() uint64 {
	const span = 20 * time.Millisecond
	start, c0 := time.Now(), rdtsc()
	for time.Since(start) < span {
	}
	elapsed, ticks := time.Since(start), rdtsc()-c0
	return ticks * uint64(time.Millisecond) / uint64(elapsed)
}

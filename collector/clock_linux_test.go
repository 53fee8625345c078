package collector

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Read between two readings of the kernel's clock, ours lies between them.
func TestMonotonic(t *testing.T) {
	const slack = 50 * time.Microsecond // half of the narrowest pair of readings, emulated
	for range 100 {
		before := clock(unix.CLOCK_MONOTONIC)
		ours := monotonic()
		after := clock(unix.CLOCK_MONOTONIC)
		if ours < before-slack.Nanoseconds() || ours > after+slack.Nanoseconds() {
			t.Fatalf("%v from the first of two readings, %v apart", time.Duration(ours-before), time.Duration(after-before))
		}
	}
}

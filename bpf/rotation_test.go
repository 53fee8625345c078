//go:build linux

package bpf

import "testing"

const (
	testSockets = 64 // TEST_SOCKETS
	testPasses  = 128
)

type sockets = [testSockets]testVerdictSocketState

// rotate runs testPasses passes over all sockets and returns who was read when.
// Sockets that were never skipped or read before draw a phase.
func rotate(t *testing.T, o *testVerdictObjects, args testVerdictRotationArgs) (read [testPasses][testSockets]uint8) {
	t.Helper()
	for pass := range read {
		call(t, o.TestSkips, o.RotationCall, &args)
		if err := o.WasRead.Get(&read[pass]); err != nil {
			t.Fatal(err)
		}
		args.Pass++
	}
	return read
}

func forgetPhases(t *testing.T, o *testVerdictObjects) {
	t.Helper()
	if err := o.Rotating.Set(&sockets{}); err != nil {
		t.Fatal(err)
	}
}

// Every n consecutive passes read each socket exactly once, wherever they start.
func TestRotationReadsEachSocketOnceInN(t *testing.T) {
	o := loadVerdict(t)
	tests := []struct {
		name string
		args testVerdictRotationArgs
		n    int
	}{
		{"all", testVerdictRotationArgs{QuietEvery: 1, Quiet: 1000}, 1},
		{"all, before the first pace", testVerdictRotationArgs{Quiet: 1000}, 1},
		{"quiet ones", testVerdictRotationArgs{QuietEvery: 16, Quiet: 1000}, 16},
		{"quiet for just too short", testVerdictRotationArgs{QuietEvery: 16, Quiet: 16}, 1},
		{"quiet for just long enough", testVerdictRotationArgs{QuietEvery: 16, Quiet: 17}, 16},
		{"where pass numbers outgrow 32 bits", testVerdictRotationArgs{QuietEvery: 8, Quiet: 1000, Pass: 1<<32 - 60}, 8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			forgetPhases(t, o)
			read := rotate(t, o, tt.args)
			for socket := range testSockets {
				for first := 0; first+tt.n <= testPasses; first++ {
					times := 0
					for pass := first; pass < first+tt.n; pass++ {
						times += int(read[pass][socket])
					}
					if times != 1 {
						t.Fatalf("skips(%+v): socket %d read %d times in passes %d to %d, want once", tt.args, socket, times, first, first+tt.n-1)
					}
				}
			}
		})
	}
}

// A pass that reads one socket in n costs 1/n of a full one only if the sockets
// are spread over all n passes.
func TestRotationSpreadsSockets(t *testing.T) {
	o := loadVerdict(t)
	for _, n := range []uint32{2, 4, 8} {
		args := testVerdictRotationArgs{QuietEvery: n, Quiet: 1000}
		perTurn := make([]int, n)
		const rounds = 16 // each with new phases: 1,024 sockets
		for range rounds {
			forgetPhases(t, o)
			read := rotate(t, o, args)
			for turn := range perTurn {
				for _, r := range read[turn] {
					perTurn[turn] += int(r)
				}
			}
		}
		// Binomial: mean 1024/n, so half of it is more than 5 deviations away.
		mean := rounds * testSockets / int(n)
		for turn, got := range perTurn {
			if got < mean/2 || got > mean+mean/2 {
				t.Errorf("one in %d: pass %d of %d reads %d of %d sockets, want about %d", n, turn, n, got, rounds*testSockets, mean)
			}
		}
	}
}

// The phase is drawn once: a socket keeps its turn from pass to pass.
func TestRotationKeepsPhases(t *testing.T) {
	o := loadVerdict(t)
	args := testVerdictRotationArgs{QuietEvery: 16, Quiet: 1000}
	first := rotate(t, o, args)
	args.Pass = testPasses
	if again := rotate(t, o, args); again != first { // 128 passes are 8 whole rounds
		t.Error("sockets changed their turn between passes")
	}
}

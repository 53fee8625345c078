package tier

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"seer/infer/topology"
)

// TestSpinUsesCPUTime compares what is asked for with what the kernel charges
// the thread, which is not the time that passes.
func TestSpinUsesCPUTime(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	rng := rand.New(rand.NewPCG(1, 1))
	for _, mean := range []time.Duration{500 * time.Microsecond, 5 * time.Millisecond} {
		work := &topology.Work{CPU: mean, CV: 0.5}
		var want, got time.Duration
		for want < 300*time.Millisecond {
			d := cpuTime(rng, work)
			before := threadTime()
			spin(d)
			got += time.Duration(threadTime() - before)
			want += d
		}
		if ratio := float64(got) / float64(want); math.Abs(ratio-1) > 0.03 {
			t.Errorf("spinning for %s in pieces of %s used %s of CPU time, want it within 3 %%", want, mean, got)
		}
	}
	// The thread is charged for the interrupts that it meets: of short pieces
	// the mean would tell more of those.
	const short = 50 * time.Microsecond
	var over []time.Duration
	for range 1000 {
		before := threadTime()
		spin(short)
		over = append(over, time.Duration(threadTime()-before)-short)
	}
	slices.Sort(over)
	if median := over[len(over)/2]; median < -short*3/100 || median > short*3/100+time.Duration(clockReading()) {
		t.Errorf("spinning for %s used %s more than that, half of the time; want 3 %% and a reading of the clock (%d ns) at most", short, median, clockReading())
	}
}

func TestCPUTimeDistribution(t *testing.T) {
	const n = 400_000
	for _, tt := range []struct {
		work   topology.Work
		mean   time.Duration
		cv     float64
		beyond float64 // share above 5 means
	}{
		{work: topology.Work{CPU: time.Millisecond, CV: 0.5}, mean: time.Millisecond, cv: 0.5},
		{work: topology.Work{CPU: 100 * time.Microsecond, CV: 1.5}, mean: 100 * time.Microsecond, cv: 1.5, beyond: 0.0214},
		// Ten times as long with a chance of 1 %: 9 % more on average.
		{work: topology.Work{CPU: time.Millisecond, CV: 0.1, Tail: 0.01}, mean: 1090 * time.Microsecond, cv: 0.8305, beyond: 0.01},
	} {
		rng := rand.New(rand.NewPCG(1, 2))
		var sum, squares, beyond float64
		for range n {
			d := float64(cpuTime(rng, &tt.work))
			sum += d
			squares += d * d
			if d > 5*float64(tt.work.CPU) {
				beyond++
			}
		}
		mean := sum / n
		cv := math.Sqrt(squares/n-mean*mean) / mean
		if math.Abs(mean/float64(tt.mean)-1) > 0.01 || math.Abs(cv/tt.cv-1) > 0.03 || math.Abs(beyond/n-tt.beyond) > 0.003 {
			t.Errorf("%+v: mean %s, cv %.3f, %.4f above 5 means; want %s, %.3f, %.4f",
				tt.work, time.Duration(mean), cv, beyond/n, tt.mean, tt.cv, tt.beyond)
		}
	}
}

func TestDiskWorkGoesRound(t *testing.T) {
	w := newWorker(&Config{Dir: t.TempDir()})
	rng := rand.New(rand.NewPCG(1, 1))
	const piece = 3 << 20
	for range 7 {
		if err := w.do(t.Context(), rng, &topology.Work{Disk: piece}); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(w.dir, "tier.disk"))
	if err != nil || info.Size() < diskFileBytes || info.Size() > diskFileBytes+piece {
		t.Errorf("after 21 MiB of disk work the file has %d bytes, %v, want about %d", info.Size(), err, diskFileBytes)
	}
}

func TestMemoryWorkReadsTheWorkingSet(t *testing.T) {
	w := newWorker(&Config{Dir: t.TempDir(), WorkingSet: 2 << 20})
	rng := rand.New(rand.NewPCG(1, 1))
	if err := w.do(t.Context(), rng, &topology.Work{Memory: 5 << 20}); err != nil {
		t.Fatal(err)
	}
	set, err := w.memory()
	if err != nil || len(set) != 2<<20 {
		t.Fatalf("the working set has %d bytes, %v, want 2 MiB", len(set), err)
	}
	zeros := 0
	for _, b := range set {
		if b == 0 {
			zeros++
		}
	}
	// A hole, or zeros, would be one page for all.
	if share := float64(zeros) / float64(len(set)); share > 0.01 {
		t.Errorf("%.1f %% of the working set is zero, want 1/256", 100*share)
	}
}

func TestWorkWithoutDirectory(t *testing.T) {
	w := newWorker(&Config{})
	rng := rand.New(rand.NewPCG(1, 1))
	for _, work := range []topology.Work{{Disk: 1}, {Memory: 1}} {
		if err := w.do(t.Context(), rng, &work); err == nil {
			t.Errorf("%+v without a directory succeeded", work)
		}
	}
}

func TestTimersAreUsedAgain(t *testing.T) {
	var timers timers
	for range 20 {
		if err := timers.wait(t.Context(), time.Microsecond); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(timers.idle); n != 1 {
		t.Errorf("%d timers were made for one wait at a time, want 1", n)
	}
}

func TestLevelMeansAreExact(t *testing.T) {
	var l level
	l.enter()
	begin := l.read()
	if begin.Now != 1 || begin.Count != 1 {
		t.Fatalf("after one entered: %+v", begin)
	}
	from := time.Now()
	<-time.After(20 * time.Millisecond)
	l.enter()
	<-time.After(20 * time.Millisecond)
	l.leave()
	l.leave()
	took := time.Since(from)
	end := l.read()
	area := time.Duration(end.AreaNS - begin.AreaNS)
	if area < 60*time.Millisecond || area > 2*took {
		t.Errorf("one for 20 ms and two for 20 ms have an area of %s in %s, want 60 ms or a little more", area, took)
	}
	if end.Now != 0 || end.Count != 2 {
		t.Errorf("after all left: %+v", end)
	}
}

func BenchmarkSpin(b *testing.B) {
	for _, d := range []time.Duration{20 * time.Microsecond, 200 * time.Microsecond} {
		b.Run(d.String(), func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			before := threadTime()
			n := 0
			for b.Loop() {
				spin(d)
				n++
			}
			used := float64(threadTime()-before) / float64(n)
			b.ReportMetric(100*(used/float64(d)-1), "%over")
		})
	}
}

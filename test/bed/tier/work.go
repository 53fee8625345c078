package tier

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"seer/infer/topology"
)

// worker does what topology.Work asks for.
type worker struct {
	dir        string
	workingSet int64
	timers     timers

	spunNS   atomic.Int64 // CPU time asked for, in total
	diskFile func() (*os.File, error)
	diskEnd  atomic.Int64
	memory   func() ([]byte, error)
}

func newWorker(cfg *Config) *worker {
	w := &worker{dir: cfg.Dir, workingSet: cfg.WorkingSet}
	w.diskFile = sync.OnceValues(w.openDiskFile)
	w.memory = sync.OnceValues(w.mapMemory)
	return w
}

func (w *worker) do(ctx context.Context, rng *rand.Rand, work *topology.Work) error {
	if work.CPU > 0 {
		d := cpuTime(rng, work)
		w.spunNS.Add(d.Nanoseconds())
		spin(d)
	}
	if work.Memory > 0 {
		if err := w.stream(rng, int64(work.Memory)); err != nil {
			return err
		}
	}
	if work.Disk > 0 {
		if err := w.writeSynced(int64(work.Disk)); err != nil {
			return err
		}
	}
	if work.Wait > 0 {
		return w.timers.wait(ctx, exponential(rng, work.Wait))
	}
	return nil
}

// cpuTime draws from the log-normal distribution with the mean and the
// coefficient of variation given, and with probability Tail ten times as much.
func cpuTime(rng *rand.Rand, work *topology.Work) time.Duration {
	variance := math.Log(1 + work.CV*work.CV)
	d := float64(work.CPU) * math.Exp(math.Sqrt(variance)*rng.NormFloat64()-variance/2)
	if work.Tail > 0 && rng.Float64() < work.Tail {
		d *= 10
	}
	return time.Duration(d)
}

func exponential(rng *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(rng.ExpFloat64() * float64(mean))
}

// spin uses CPU time: that of the thread, by its own clock, so that waiting for a
// CPU is not counted. Reading the clock is a system call, so most of the time
// passes between readings, in rounds whose length the first one measures.
func spin(d time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var (
		start  = threadTime()
		total  = d.Nanoseconds() - clockReading() // half of one before, half of one after
		used   int64
		rounds int64
	)
	for total-used > clockReading()/2 {
		n := total / 4 // a round takes 1 to 3 ns
		if rounds > 0 {
			n = int64(0.9 * float64(total-used) / float64(used) * float64(rounds))
		}
		n = max(n, 16)
		burn(n)
		rounds += n
		used = threadTime() - start
	}
}

// clockReading is what a reading of the thread's clock costs, in nanoseconds.
var clockReading = sync.OnceValue(func() int64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	costs := make([]int64, 101)
	for i := range costs {
		costs[i] = -threadTime()
		costs[i] += threadTime()
	}
	slices.Sort(costs)
	return costs[len(costs)/2]
})

// sink keeps burn's work from being optimised away.
var sink atomic.Uint64

func burn(rounds int64) {
	x := uint64(rounds) | 1
	for range rounds {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	if x == 0 {
		sink.Add(1)
	}
}

func threadTime() int64 {
	var ts unix.Timespec
	// It cannot fail with this clock.
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return ts.Nano()
}

// cacheLine is the bytes that one load brings in.
const cacheLine = 64

// stream reads n bytes of the working set, from a random line on.
func (w *worker) stream(rng *rand.Rand, n int64) error {
	set, err := w.memory()
	if err != nil {
		return err
	}
	at := rng.Int64N(int64(len(set))/cacheLine) * cacheLine
	var sum uint64
	for ; n > 0; n -= cacheLine {
		sum += binary.LittleEndian.Uint64(set[at:])
		if at += cacheLine; at == int64(len(set)) {
			at = 0
		}
	}
	if sum == 1 {
		sink.Add(sum)
	}
	return nil
}

// mapMemory maps a file as the working set. It is a file and not anonymous
// memory so that a container whose memory is cut reads it again and again,
// instead of being killed: that is what a database in the same place does.
func (w *worker) mapMemory() ([]byte, error) {
	f, err := w.scratch("memory")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// Random, and written: a hole would be zero pages from nowhere.
	block := make([]byte, 1<<20)
	rng := rand.NewChaCha8([32]byte{})
	size := (w.workingSet + int64(len(block)) - 1) / int64(len(block)) * int64(len(block))
	for at := int64(0); at < size; at += int64(len(block)) {
		rng.Read(block)
		if _, err := f.WriteAt(block, at); err != nil {
			return nil, fmt.Errorf("working set: %w", err)
		}
	}
	set, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("working set: map %s: %w", f.Name(), err)
	}
	return set, nil
}

// diskFileBytes bounds the file that disk work goes round in.
const diskFileBytes = 16 << 20

func (w *worker) openDiskFile() (*os.File, error) { return w.scratch("disk") }

// writeSynced writes n bytes and returns once they are on the disk.
func (w *worker) writeSynced(n int64) error {
	f, err := w.diskFile()
	if err != nil {
		return err
	}
	n = min(n, diskFileBytes)
	at := (w.diskEnd.Add(n) - n) % diskFileBytes
	if _, err := f.WriteAt(blank[:n], at); err != nil {
		return fmt.Errorf("disk work: %w", err)
	}
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return fmt.Errorf("disk work: sync %s: %w", f.Name(), err)
	}
	return nil
}

// blank is what is written.
var blank [diskFileBytes]byte

func (w *worker) scratch(name string) (*os.File, error) {
	if w.dir == "" {
		return nil, fmt.Errorf("%s work: no directory: set dir in the configuration", name)
	}
	return os.OpenFile(filepath.Join(w.dir, "tier."+name), os.O_RDWR|os.O_CREATE, 0o600)
}

//go:build linux

package known

import (
	"fmt"
	"os"
	"testing"
	"time"

	"seer/collector"
	"seer/test/lab"
)

// n spinning threads that share one CPU: what does not run waits. How much ran
// is what the scheduler says (schedstat), since other programs take their
// share, and so is how long the few threads of the runtime waited.
func TestRunQueue(t *testing.T) {
	tests := map[string]struct {
		options lab.Options
		cpu     int
	}{
		"bound":   {cpu: 0},
		"limited": {options: lab.Options{CPUs: 1}, cpu: lab.AnyCPU},
	}
	tr := trace(t, collector.Config{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			const n = 6
			w := newWorld(t, lab.Options{})
			c := lab.NewContainer(t, "spin", tt.options)
			s := c.Spin(n, tt.cpu)
			tr.waitTicks(t, func(s snapshot) (bool, string) {
				cell := s.rows[idOf(c)].Cells[collector.QueueRun]
				return cell.Valid && cell.Depth > 0, fmt.Sprintf("run_queue(%s) = %+v, want some", c.Name, cell)
			})
			from := s.Usage()
			tr.waitTicks(t, func(s snapshot) (bool, string) {
				return s.end.Sub(from.At) > 1500*time.Millisecond, "not 1.5 s later"
			})
			to := s.Usage()
			cells := tr.over(t, c, collector.QueueRun, from.At, to.At)
			took := to.At.Sub(from.At)
			want := n - float64(to.CPU-from.CPU)/float64(took) + float64(to.Others-from.Others)/float64(took)
			// A tick at either end that is not whole, and turns of some ms.
			if got, _ := mean(cells); got < want-.3 || got > want+.3 {
				t.Errorf("run_queue(%s) = mean %.2f over %d ticks, want %.2f of %d threads", c.Name, got, len(cells), want, n)
			}
			waited := 0.0 // thread-seconds a second, by Little's law from the waits themselves
			for _, cell := range cells {
				if cell.Limit != 0 {
					t.Errorf("run_queue(%s) limit = %v, want none", c.Name, cell.Limit)
				}
				waited += cell.Departures * cell.Wait.Seconds()
			}
			if waited == 0 {
				t.Errorf("run_queue(%s) shows no run delay, schedstat %v", c.Name, to.Delay-from.Delay)
			}
			for _, idle := range []*lab.Container{w.server, w.neighbour} {
				if got, _ := mean(tr.over(t, idle, collector.QueueRun, from.At, to.At)); got > .05 {
					t.Errorf("run_queue(%s) = mean %.3f, want 0: its threads sleep", idle.Name, got)
				}
			}
		})
	}
}

// unseenInARow is the most completions that were seen to be missed in a row.
const unseenInARow = 8

// Writes past the page cache are in flight at the disk for as long as the call
// takes, less what the kernel does around it.
func TestBlockIO(t *testing.T) {
	const threads = 4
	tr := trace(t, collector.Config{})
	w := newWorld(t, lab.Options{})
	disk := lab.NewContainer(t, "disk", lab.Options{})
	writer := disk.WriteDirect(t.TempDir(), threads, 16<<10)
	tr.expect(t, expect{c: disk, queue: collector.QueueBlockIO})
	writer.Go()
	tr.waitTicks(t, func(s snapshot) (bool, string) {
		cell := s.rows[idOf(disk)].Cells[collector.QueueBlockIO]
		return cell.Departures > 0, fmt.Sprintf("block_io(%s) = %+v, want some departures", disk.Name, cell)
	})
	fromDisk, from := writer.Device.Usage(t), writer.Usage()
	tr.waitTicks(t, func(s snapshot) (bool, string) {
		return s.end.Sub(from.At) > time.Second, "not a second later"
	})
	to, toDisk := writer.Usage(), writer.Device.Usage(t)
	cells := tr.over(t, disk, collector.QueueBlockIO, from.At, to.At)

	ownDevice := os.Getenv(lab.EnvBlockDevice) != ""
	// Some kernels complete requests without telling, a few in a row: such a one
	// counts some milliseconds too long (block_unseen), and a tick may end in these.
	most := float64(threads)
	if !ownDevice {
		most += unseenInARow
	}

	took := to.At.Sub(from.At).Seconds()
	got, length := mean(cells)
	share := length.Seconds() / took
	departed := 0.0
	for _, c := range cells {
		departed += c.Departures
		if c.Depth < 0 || c.Mean < 0 || c.Depth > most || c.Mean > threads {
			t.Errorf("block_io(%s) = depth %v, mean %.2f in one tick, want at most %v and %d: each thread has one write", disk.Name, c.Depth, c.Mean, most, threads)
		}
	}
	// The ticks are whole and within, so what departed in them is among the
	// writes, or about to return at the start. What departed outside of them is
	// known by its share of the time, as far as a machine writes evenly.
	writes := float64(to.Writes - from.Writes)
	if departed < .7*share*writes || departed > writes+threads {
		t.Errorf("block_io(%s) departures = %.0f in %.2f of the time, want them among the process's %.0f writes", disk.Name, departed, share, writes)
	}
	inside := (to.Inside - from.Inside).Seconds() / took
	if got <= 0 || got > inside*1.05 {
		t.Errorf("block_io(%s) = mean %.2f, want at most the %.2f calls in progress", disk.Name, got, inside)
	}
	if ownDevice {
		// A disk of our own: its sum is the same, but for the time between the
		// making of a request and its issue, which is long where it is emulated.
		byDisk := (toDisk.Weighted - fromDisk.Weighted).Seconds() / toDisk.At.Sub(fromDisk.At).Seconds()
		if got < .4*byDisk || got > 1.2*byDisk {
			t.Errorf("block_io(%s) = mean %.2f, /proc/diskstats says %.2f", disk.Name, got, byDisk)
		}
	}
	tr.expect(t, w.quiet(collector.QueueBlockIO)...)
	writer.Stop()
}

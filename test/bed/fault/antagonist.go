//go:build linux

package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"seer/test/bed"
	"seer/test/bed/host"
)

// antagonist starts the container of that name, whose program is this one, run as
// "antagonist KIND".
func (t *target) antagonist(ctx context.Context, args ...string) (*bed.Job, error) {
	args = append([]string{
		"antagonist", strings.TrimPrefix(t.fault.Antagonist, "antagonist-"),
		"--intensity", strconv.FormatFloat(t.fault.Intensity, 'g', -1, 64),
	}, args...)
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = "seerbed"
	return t.bed.Run(ctx, t.fault.Antagonist, host.Limits{Memory: 1 << 30, PIDs: 100}, cmd)
}

// calm ends it.
func (t *target) calm(ctx context.Context) error { return t.bed.StopJob(ctx, t.fault.Antagonist) }

// AntagonistConfig says what an antagonist does.
type AntagonistConfig struct {
	Kind      string // cpu, memory or disk
	Intensity float64
	CPU       int    // of cpu: where
	Dir       string // of disk: where
}

// longestAntagonism is when an antagonist ends by itself, should everybody who
// could end it be dead.
const longestAntagonism = time.Hour

// RunAntagonist is the program of an antagonist's container.
func RunAntagonist(ctx context.Context, cfg AntagonistConfig) error {
	ctx, cancel := context.WithTimeout(ctx, longestAntagonism)
	defer cancel()
	switch cfg.Kind {
	case "cpu":
		return compute(ctx, cfg)
	case "memory":
		return stream(ctx, cfg.Intensity)
	case "disk":
		return writeDisk(ctx, cfg)
	}
	return fmt.Errorf("antagonist %q: it is one of cpu, memory, disk", cfg.Kind)
}

// pulse calls work for a share of every period, until ctx ends. work returns
// often, within a fraction of the period.
func pulse(ctx context.Context, period time.Duration, share float64, work func() error) error {
	timer := time.NewTicker(period)
	defer timer.Stop()
	for {
		end := time.Now().Add(time.Duration(share * float64(period)))
		for time.Now().Before(end) {
			if err := work(); err != nil {
				return err
			}
		}
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// compute uses one CPU.
func compute(ctx context.Context, cfg AntagonistConfig) error {
	runtime.LockOSThread()
	var one unix.CPUSet
	one.Set(cfg.CPU)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("run on CPU %d: %w", cfg.CPU, err)
	}
	const (
		period = 250 * time.Millisecond
		most   = 0.5 // of the CPU: the rest of the host has to do with what is left
	)
	return pulse(ctx, period, most*cfg.Intensity, func() error {
		burn()
		return nil
	})
}

// burn computes for some microseconds.
func burn() {
	x := uint64(1)
	for range 10_000 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	runtime.KeepAlive(x) // or there is nothing to compute
}

// stream writes to one cache line after the other, of more memory than any cache
// has, on every CPU.
func stream(ctx context.Context, intensity float64) error {
	const (
		period = 20 * time.Millisecond
		size   = 128 << 20 // bytes per thread
		line   = 64
		chunk  = 1 << 20
	)
	work, ctx := errgroup.WithContext(ctx)
	for range runtime.NumCPU() {
		work.Go(func() error {
			memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
			if err != nil {
				return fmt.Errorf("%d bytes: %w", size, err)
			}
			at := 0
			return pulse(ctx, period, intensity, func() error {
				part := memory[at : at+chunk]
				for i := 0; i < chunk; i += line {
					part[i]++
				}
				at = (at + chunk) % size
				return nil
			})
		})
	}
	return work.Wait()
}

// writeDisk writes round and round in a file, each block on disk before the next.
func writeDisk(ctx context.Context, cfg AntagonistConfig) error {
	const (
		writers = 4
		period  = 50 * time.Millisecond
		size    = 64 << 20 // bytes per writer
		block   = 1 << 20
	)
	work, ctx := errgroup.WithContext(ctx)
	for i := range writers {
		work.Go(func() error {
			path := filepath.Join(cfg.Dir, "writer-"+strconv.Itoa(i))
			f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|unix.O_DIRECT|unix.O_DSYNC, 0o600)
			if errors.Is(err, unix.EINVAL) { // a file system without direct I/O
				f, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|unix.O_DSYNC, 0o600)
			}
			if err != nil {
				return err
			}
			defer f.Close()
			// Direct I/O takes aligned memory.
			data, err := unix.Mmap(-1, 0, block, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
			if err != nil {
				return err
			}
			at := int64(0)
			return pulse(ctx, period, cfg.Intensity, func() error {
				_, err := f.WriteAt(data, at)
				at = (at + block) % size
				return err
			})
		})
	}
	return work.Wait()
}

//go:build linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Spinners is a process whose threads use all the CPU they get.
type Spinners struct {
	*Process
	TIDs []int
}

type spinArgs struct {
	Threads int `json:"threads"`
	CPU     int `json:"cpu"`
}

// AnyCPU lets Spin's threads run wherever the scheduler puts them.
const AnyCPU = -1

// Spin starts a process with n threads that never sleep, all bound to one CPU
// unless that is AnyCPU. n - 1 of n wait at any moment when they share one
// CPU, by binding or by a limit of the container.
func (c *Container) Spin(n, cpu int) *Spinners {
	c.t.Helper()
	s := &Spinners{Process: c.Start("spin", spinArgs{n, cpu})}
	s.Call("threads", nil, &s.TIDs)
	return s
}

// Usage is what threads have used and waited for since they started.
type Usage struct {
	At    time.Time
	CPU   time.Duration // on a CPU
	Delay time.Duration // runnable and waiting for one, as of each thread's last run

	// Others is the same delay of the process's other threads, which sleep
	// but for the runtime's housekeeping.
	Others time.Duration
}

// Usage sums /proc/PID/task/TID/schedstat over the threads.
func (s *Spinners) Usage() Usage {
	s.t.Helper()
	u := Usage{At: time.Now()}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", s.PID))
	if err != nil {
		s.t.Fatalf("list threads: %v", err)
	}
	spinning := 0
	for _, task := range tasks {
		var cpu, delay int64
		text, err := os.ReadFile(filepath.Join(task, "schedstat"))
		if err == nil {
			_, err = fmt.Sscan(strings.TrimSpace(string(text)), &cpu, &delay)
		}
		if err != nil {
			s.t.Fatalf("read schedstat: %v", err)
		}
		tid, _ := strconv.Atoi(filepath.Base(task))
		if !slices.Contains(s.TIDs, tid) {
			u.Others += time.Duration(delay)
			continue
		}
		spinning++
		u.CPU += time.Duration(cpu)
		u.Delay += time.Duration(delay)
	}
	if spinning != len(s.TIDs) {
		s.t.Fatalf("%d of %d threads still spin", spinning, len(s.TIDs))
	}
	return u
}

func spinWorkload(w *Worker) error {
	var args spinArgs
	if err := w.Begin(&args); err != nil {
		return err
	}
	// The command loop needs a P of its own beside the spinning threads.
	runtime.GOMAXPROCS(args.Threads + 1)
	tids, ready := make(chan int), make(chan struct{})
	for range args.Threads {
		go func() {
			runtime.LockOSThread()
			if args.CPU != AnyCPU {
				var set unix.CPUSet
				set.Set(args.CPU)
				if err := unix.SchedSetaffinity(0, &set); err != nil {
					fmt.Fprintf(os.Stderr, "bind to CPU %d: %v\n", args.CPU, err)
					os.Exit(1)
				}
			}
			tids <- unix.Gettid()
			<-ready // all have said so: none waits for a P behind those that spin
			for {
			}
		}()
	}
	all := make([]int, args.Threads)
	for i := range all {
		all[i] = <-tids
	}
	close(ready)
	return w.Serve(map[string]Handler{
		"threads": Handle(func(any) ([]int, error) { return all, nil }),
	})
}

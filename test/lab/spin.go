//go:build linux

package lab

import (
	"fmt"
	"os"
	"runtime"
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
}

// Usage sums /proc/PID/task/TID/schedstat over the spinning threads.
func (s *Spinners) Usage() Usage {
	s.t.Helper()
	u := Usage{At: time.Now()}
	for _, tid := range s.TIDs {
		var cpu, delay int64
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/schedstat", s.PID, tid))
		if err == nil {
			_, err = fmt.Sscan(strings.TrimSpace(string(text)), &cpu, &delay)
		}
		if err != nil {
			s.t.Fatalf("read schedstat of thread %d: %v", tid, err)
		}
		u.CPU += time.Duration(cpu)
		u.Delay += time.Duration(delay)
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
	tids := make(chan int)
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
			for {
			}
		}()
	}
	all := make([]int, args.Threads)
	for i := range all {
		all[i] = <-tids
	}
	return w.Serve(map[string]Handler{
		"threads": handle(func(any) ([]int, error) { return all, nil }),
	})
}

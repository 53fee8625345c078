//go:build linux

package fault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"seer/test/bed"
	"seer/test/bed/host"
)

// cpuAntagonist binds the culprit to one CPU and lets a container with a far
// larger weight compute there. The other services, which may use any CPU, leave
// that one when it is taken; the culprit cannot.
type cpuAntagonist struct{ target }

func (e *cpuAntagonist) prepare(context.Context) error { return nil }

func (e *cpuAntagonist) start(ctx context.Context) error {
	cpus, err := onlineCPUs()
	if err != nil {
		return err
	}
	// Not the first: interrupts tend to be there.
	cpu := cpus[len(cpus)-1]
	var one unix.CPUSet
	one.Set(cpu)
	if err := e.bind(&one); err != nil {
		return err
	}
	job, err := e.antagonist(ctx, "--cpu", strconv.Itoa(cpu))
	if err != nil {
		return err
	}
	return setHighestWeight(job.Container.Cgroup)
}

func (e *cpuAntagonist) stop(ctx context.Context) error {
	cpus, err := onlineCPUs()
	if err != nil {
		return err
	}
	var all unix.CPUSet
	for _, cpu := range cpus {
		all.Set(cpu)
	}
	return errors.Join(e.calm(ctx), e.bind(&all))
}

// bind lets the culprit run on some CPUs only.
func (e *cpuAntagonist) bind(cpus *unix.CPUSet) error {
	return e.each(func(c *bed.Container) error { return bind(c.PIDs, cpus) })
}

// bind sets the affinity of all threads of some processes. Threads inherit it
// from who makes them, so it ends once a pass finds no thread that it did not
// know.
func bind(pids func() []int, cpus *unix.CPUSet) error {
	done := make(map[int]bool)
	for more := true; more; {
		more = false
		for _, pid := range pids() {
			tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
			if err != nil {
				continue // it has ended
			}
			for _, task := range tasks {
				tid, err := strconv.Atoi(task.Name())
				if err != nil || done[tid] {
					continue
				}
				done[tid], more = true, true
				if err := unix.SchedSetaffinity(tid, cpus); err != nil && !errors.Is(err, unix.ESRCH) {
					return fmt.Errorf("bind thread %d: %w", tid, err)
				}
			}
		}
	}
	return nil
}

// onlineCPUs lists the CPUs that this process may run on.
func onlineCPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("CPUs of this process: %w", err)
	}
	var cpus []int
	for cpu := 0; len(cpus) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// setHighestWeight gives a container the largest share that the kernel has.
func setHighestWeight(c *host.Cgroup) error {
	if c.Legacy("cpu") {
		return setControl(c, "cpu", "cpu.shares", "262144")
	}
	return setControl(c, "cpu", "cpu.weight", "10000")
}

// setLowestWeight gives a container only what nobody else wants.
func setLowestWeight(c *host.Cgroup) error {
	err := setControl(c, "cpu", "cpu.idle", "1")
	if !errors.Is(err, fs.ErrNotExist) { // Linux 5.15 brought it
		return err
	}
	if c.Legacy("cpu") {
		return setControl(c, "cpu", "cpu.shares", "2")
	}
	return setControl(c, "cpu", "cpu.weight", "1")
}

// cpuLimit limits the culprit's CPU time to less than it needs.
type cpuLimit struct {
	target
	cpus []float64 // new limit of each replica
}

func (e *cpuLimit) prepare(ctx context.Context) error {
	used, err := e.rates(ctx, func(c *bed.Container) (float64, error) {
		d, err := c.Cgroup.CPUTime()
		return d.Seconds(), err
	})
	if err != nil {
		return err
	}
	for _, u := range used {
		// Already a limit above the mean hurts: a burst uses it up, and
		// everything waits for the rest of the period.
		e.cpus = append(e.cpus, u*share(e.fault.Intensity, 2.2, 0.4))
	}
	return nil
}

func (e *cpuLimit) start(context.Context) error {
	i := -1
	return e.each(func(c *bed.Container) error {
		i++
		return setCPULimit(c.Cgroup, e.cpus[i])
	})
}

func (e *cpuLimit) stop(context.Context) error {
	limit := e.bed.App.Service(e.fault.Culprit).CPULimit
	return e.each(func(c *bed.Container) error { return c.Cgroup.SetCPUs(limit) })
}

// Bounds of the kernel (kernel/sched/core.c): a quota is at least a millisecond,
// a period at most a second.
const (
	minQuota  = time.Millisecond
	maxPeriod = time.Second
)

// setCPULimit is SetCPUs with a longer period where that is what it takes to give
// as little as is asked for.
func setCPULimit(c *host.Cgroup, cpus float64) error {
	if err := c.SetCPUs(cpus); err != nil {
		return err
	}
	const usual = 100 * time.Millisecond // period of SetCPUs
	if cpus*usual.Seconds() >= minQuota.Seconds() {
		return nil
	}
	period := maxPeriod
	if cpus > minQuota.Seconds()/maxPeriod.Seconds() {
		period = time.Duration(minQuota.Seconds() / cpus * float64(time.Second))
	}
	if c.Legacy("cpu") {
		return setControl(c, "cpu", "cpu.cfs_period_us", strconv.FormatInt(period.Microseconds(), 10))
	}
	return setControl(c, "cpu", "cpu.max", fmt.Sprintf("%d %d", minQuota.Microseconds(), period.Microseconds()))
}

//go:build linux

package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"seer/test/bed"
	"seer/test/bed/host"
)

// memoryAntagonist lets a container stream through memory. It has the smallest
// weight, so that it runs when a CPU would be idle: what it takes from the others
// is bandwidth and cache, and hardly any CPU time.
type memoryAntagonist struct {
	target
	job *bed.Job // once started
}

func (e *memoryAntagonist) prepare(context.Context) error { return nil }

func (e *memoryAntagonist) start(ctx context.Context) error {
	job, err := e.antagonist(ctx)
	if err != nil {
		return err
	}
	e.job = job
	return setLowestWeight(job.Container.Cgroup)
}

func (e *memoryAntagonist) stop(ctx context.Context) error { return e.calm(ctx) }

// memoryLimit limits the culprit's memory to less than its working set. What a
// program cannot give back is left to it, so that it becomes slow and is not
// killed.
type memoryLimit struct {
	target
	bytes []int64 // new limit of each replica
}

func (e *memoryLimit) prepare(context.Context) error {
	return e.each(func(c *bed.Container) error {
		m, err := readMemory(c.Cgroup)
		if err != nil {
			return err
		}
		if m.file < leastFile {
			return fmt.Errorf("its working set is %d MiB of files: it has nothing to lose", m.file>>20)
		}
		left := float64(m.file) * share(e.fault.Intensity, 0.9, 0)
		e.bytes = append(e.bytes, m.fixed+m.fixed/8+spare+int64(left))
		return nil
	})
}

const (
	// leastFile is the page cache below which a limit would hit the program alone.
	leastFile = 16 << 20
	// spare is page cache that even the smallest limit leaves, for the program's
	// own code, and room for its heap to grow.
	spare = 8 << 20
)

func (e *memoryLimit) start(context.Context) error {
	i := -1
	return e.each(func(c *bed.Container) error {
		i++
		// Should it need more in spite of the spare: wait, until the limit is
		// lifted, and do not kill.
		if !c.Cgroup.Legacy("memory") {
			return setControl(c.Cgroup, "memory", "memory.high", strconv.FormatInt(e.bytes[i], 10))
		}
		if err := setControl(c.Cgroup, "memory", "memory.oom_control", "1"); err != nil {
			return err
		}
		return c.Cgroup.SetMemory(e.bytes[i])
	})
}

func (e *memoryLimit) stop(context.Context) error {
	limit := int64(e.bed.App.Service(e.fault.Culprit).MemoryLimit)
	return e.each(func(c *bed.Container) error {
		if !c.Cgroup.Legacy("memory") {
			return setControl(c.Cgroup, "memory", "memory.high", "max")
		}
		err := c.Cgroup.SetMemory(limit)
		return errors.Join(err, setControl(c.Cgroup, "memory", "memory.oom_control", "0"))
	})
}

// memory is what a container is charged for, in bytes.
type memory struct {
	fixed int64 // its own and the kernel's for it: cannot be read again
	file  int64 // page cache
}

func readMemory(c *host.Cgroup) (memory, error) {
	usage, file := "memory.current", "file"
	if c.Legacy("memory") {
		usage, file = "memory.usage_in_bytes", "total_cache"
	}
	text, err := os.ReadFile(c.Path("memory") + "/" + usage)
	if err != nil {
		return memory{}, err
	}
	total, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return memory{}, fmt.Errorf("%s: %w", usage, err)
	}
	stat, err := os.ReadFile(c.Path("memory") + "/memory.stat")
	if err != nil {
		return memory{}, err
	}
	for line := range strings.Lines(string(stat)) {
		f := strings.Fields(line)
		if len(f) != 2 || f[0] != file {
			continue
		}
		cache, err := strconv.ParseInt(f[1], 10, 64)
		return memory{fixed: max(0, total-cache), file: cache}, err
	}
	return memory{}, fmt.Errorf("memory.stat has no %s", file)
}

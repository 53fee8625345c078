//go:build linux

package bed

import (
	"context"
	"time"
)

// Status is how a container is.
type Status struct {
	Container
	PIDs    []int
	Health  error         // nil: it answers
	Memory  int64         // bytes in use, less page cache not used lately
	CPUTime time.Duration // since it was created
}

// Status asks every container, in the order of the topology.
func (b *Bed) Status(ctx context.Context) []Status {
	all := make([]Status, 0, len(b.containers))
	for i := range b.containers {
		c := &b.containers[i]
		s := Status{Container: *c, PIDs: c.PIDs()}
		try, cancel := context.WithTimeout(ctx, checkTimeout)
		s.Health = b.check(try, c)
		cancel()
		// A cgroup that is gone has neither; its health says so.
		s.Memory, _ = c.Cgroup.Memory()
		s.CPUTime, _ = c.Cgroup.CPUTime()
		all = append(all, s)
	}
	return all
}

// CPUTimes returns the CPU time that each container has used since it was
// created, in the order of the topology.
func (b *Bed) CPUTimes() []time.Duration {
	times := make([]time.Duration, len(b.containers))
	for i := range b.containers {
		times[i], _ = b.containers[i].Cgroup.CPUTime()
	}
	return times
}

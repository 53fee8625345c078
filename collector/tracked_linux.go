package collector

import (
	"sync/atomic"

	"github.com/cilium/ebpf"

	"seer/bpf"
)

// trackedTable is the table of sockets that programs fill where they cannot walk
// the kernel's list (bpf/tracked.bpf.h). Go's part is to give back the indices of
// sockets that are gone.
type trackedTable struct {
	entries []bpf.SocketTrackedSocket
	free    []uint64
	counts  *bpf.SocketIndexCounts
}

func newTrackedTable(m *memory, shared map[string]*ebpf.Map) (*trackedTable, error) {
	entries, err := mmapValues[bpf.SocketTrackedSocket](m, shared["tracked"])
	if err != nil {
		return nil, err
	}
	free, err := mmapValues[uint64](m, shared["free_tracked"])
	if err != nil {
		return nil, err
	}
	counts, err := mmapValues[bpf.SocketIndexCounts](m, shared["tracked_counts"])
	if err != nil {
		return nil, err
	}
	return &trackedTable{entries, free, &counts[0]}, nil
}

// sweep gives back what closed before now. It is called once a second, so that a
// pass has long left an entry before another socket gets it.
func (t *trackedTable) sweep() {
	high := min(atomic.LoadUint64(&t.counts.High), uint64(len(t.entries)))
	given := t.counts.Given
	for i := range t.entries[:high] {
		e := &t.entries[i]
		if atomic.LoadUint32(&e.Taken) == 0 || atomic.LoadUint64(&e.Sk) != 0 && atomic.LoadUint32(&e.Stale) == 0 {
			continue
		}
		atomic.StoreUint64(&e.Sk, 0)
		atomic.StoreUint32(&e.Taken, 0)
		t.free[given%uint64(len(t.free))] = uint64(i)
		given++
	}
	atomic.StoreUint64(&t.counts.Given, given)
}

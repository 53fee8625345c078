package collector

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"seer/bpf"
)

// epollTable is the list of epoll instances that discovery fills and passes
// read. Go's part is to free what discovery no longer finds.
type epollTable struct {
	states  []bpf.EpollEpollState
	stats   *bpf.SocketFamilyStats
	indices *ebpf.Map // epoll_indices
	free    *ebpf.Map // free_epolls
}

func newEpollTable(m *memory, shared map[string]*ebpf.Map) (*epollTable, error) {
	states, err := mmapValues[bpf.EpollEpollState](m, shared["epolls"])
	if err != nil {
		return nil, err
	}
	return &epollTable{
		states: states, stats: &m.families[bpf.SocketFamilyIdFAMILY_EPOLL],
		indices: shared["epoll_indices"], free: shared["free_epolls"],
	}, nil
}

// sweep frees the instances not found by the last two discovery scans, of
// which `scan` is the last. It must not run beside discovery.
func (t *epollTable) sweep(scan uint32) error {
	for i := range t.states[:t.stats.High] {
		state := &t.states[i]
		if state.Ep == 0 || state.Confirmed+2 > scan {
			continue
		}
		if err := t.indices.Delete(state.Ep); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("free epoll instance: %w", err)
		}
		*state = bpf.EpollEpollState{}
		if err := t.free.Put(nil, uint32(i)); err != nil {
			return fmt.Errorf("free epoll instance: %w", err)
		}
	}
	return nil
}

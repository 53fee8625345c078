package collector

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"

	"seer/bpf"
	"seer/collector/container"
)

// How long a row that nothing touches is kept. A container whose cgroup is
// gone goes at once; one that was never found, or a program name under
// --group-by comm, only shows by its silence.
const (
	idleRowKept = 30 * time.Second
	goneIDKept  = 10 * time.Minute // its last sockets may still be closing
)

// slots hands rows to containers and takes them back. The kernel side takes a
// free slot by itself when it meets a new container (slot_of, account.bpf.h).
type slots struct {
	byID *ebpf.Map // container_slots
	free *ebpf.Map // free_slots
	rows []bpf.SocketContainerRow

	stats   *bpf.SocketFamilyStats
	high    int // every row in use is below
	touched []time.Time
	passes  []uint64 // sum of the cells' pass numbers when last touched
	gone    map[container.ID]time.Time
	scratch []container.ID
}

func newSlots(m *memory, shared map[string]*ebpf.Map) *slots {
	return &slots{
		byID: shared["container_slots"], free: shared["free_slots"], rows: m.rows, stats: &m.families[bpf.SocketFamilyIdFAMILY_SOCKET],
		touched: make([]time.Time, len(m.rows)), passes: make([]uint64, len(m.rows)),
		gone: map[container.ID]time.Time{},
	}
}

// collect frees the rows of containers that are gone. It is called once per
// second, on the goroutine that reads the rows.
func (s *slots) collect(r *container.Resolver, now time.Time) error {
	s.scratch = r.Gone(s.scratch[:0])
	for _, id := range s.scratch {
		s.gone[id] = now
	}
	for id, since := range s.gone {
		if now.Sub(since) > goneIDKept {
			delete(s.gone, id)
		}
	}
	var failed error
	for slot := range s.rows[:s.high] {
		row := &s.rows[slot]
		id := container.ID(row.Owner)
		if id == 0 {
			continue
		}
		if sum := touches(row); sum != s.passes[slot] || s.touched[slot].IsZero() {
			s.passes[slot], s.touched[slot] = sum, now
		}
		idle := now.Sub(s.touched[slot]) > idleRowKept
		_, gone := s.gone[id]
		if !gone && !(idle && (id&container.ByComm != 0 || r.Resolve(id).Path == "")) {
			continue
		}
		if id&container.ByComm != 0 {
			r.Forget(id)
		}
		if err := s.release(uint32(slot)); err != nil {
			failed = err
		}
	}
	return failed
}

// touches changes whenever a pass or an event meets the container.
func touches(row *bpf.SocketContainerRow) uint64 {
	sum := row.Pass
	for q := range row.Cells {
		sum += row.Cells[q].Pass + row.Cells[q].Arrivals + row.Cells[q].Departures
	}
	return sum
}

// release frees one slot, in the order that slot_of relies on: the key first,
// so that nobody finds the slot; then the owner, so that whoever cached the
// slot notices; then the rest.
func (s *slots) release(slot uint32) error {
	row := &s.rows[slot]
	if err := s.byID.Delete(row.Owner); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("free slot %d: %w", slot, err)
	}
	*row = bpf.SocketContainerRow{}
	s.touched[slot], s.passes[slot] = time.Time{}, 0
	if err := s.free.Put(nil, slot); err != nil {
		return fmt.Errorf("free slot %d: %w", slot, err)
	}
	return nil
}

// used counts the rows in use.
func (s *slots) used() int {
	n := 0
	for i := range s.rows[:s.high] {
		if s.rows[i].Owner != 0 {
			n++
		}
	}
	return n
}

// appendOwners appends the containers that have a row.
func (s *slots) appendOwners(dst []container.ID) []container.ID {
	for i := range s.rows[:s.high] {
		if owner := s.rows[i].Owner; owner != 0 {
			dst = append(dst, container.ID(owner))
		}
	}
	return dst
}

// extend finds how far the rows in use reach now.
func (s *slots) extend() { s.high = int(min(s.stats.High, uint64(len(s.rows)))) }

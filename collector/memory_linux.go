package collector

import (
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"seer/bpf"
)

// memory is what Go and the programs share without system calls: the values of
// mmapable array maps, laid out by bpf2go.
type memory struct {
	mapped   [][]byte
	rows     []bpf.SocketContainerRow // by slot
	control  *bpf.SocketControl
	families []bpf.SocketFamilyStats // by family

	latencies []bpf.RequestTracepointLatencyRow // by latency row; none without exact mode
}

func mapMemory(shared map[string]*ebpf.Map) (*memory, error) {
	m := &memory{}
	rows, err := mmapValues[bpf.SocketContainerRow](m, shared["container_rows"])
	if err != nil {
		return nil, err
	}
	controls, err := mmapValues[bpf.SocketControl](m, shared["controls"])
	if err != nil {
		m.close()
		return nil, err
	}
	families, err := mmapValues[bpf.SocketFamilyStats](m, shared["families"])
	if err != nil {
		m.close()
		return nil, err
	}
	m.rows, m.control, m.families = rows, &controls[0], families
	return m, nil
}

// mapLatencies maps what request hooks time, which are loaded last.
func (m *memory) mapLatencies(rows *ebpf.Map) (err error) {
	m.latencies, err = mmapValues[bpf.RequestTracepointLatencyRow](m, rows)
	return err
}

// mmapValues maps the values of an array map. The kernel rounds values up to
// eight bytes, which bpf2go's types already are; it checks nothing else, so
// this does.
func mmapValues[T any](m *memory, from *ebpf.Map) ([]T, error) {
	var zero T
	if size := uint32(unsafe.Sizeof(zero)); size != from.ValueSize() || size%8 != 0 {
		return nil, fmt.Errorf("map %v: values of %d bytes, %T has %d", from, from.ValueSize(), zero, size)
	}
	length := int(from.ValueSize()) * int(from.MaxEntries())
	page := unix.Getpagesize()
	length = (length + page - 1) / page * page
	b, err := unix.Mmap(from.FD(), 0, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %v into memory: %w", from, err)
	}
	m.mapped = append(m.mapped, b)
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), from.MaxEntries()), nil
}

func (m *memory) close() {
	for _, b := range m.mapped {
		_ = unix.Munmap(b)
	}
	*m = memory{}
}

package collector

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"

	"seer/bpf"
	"seer/collector/container"
	"seer/collector/protocol"
)

// requestNames names requests from the samples of their first bytes that the stream
// programs hand over. The bytes are looked at once, and never kept.
type requestNames struct {
	samples *ringbuf.Reader
	record  ringbuf.Record

	mu    sync.Mutex
	names map[nameKey]*protocol.Names
}

type nameKey struct {
	container container.ID
	role      Role
}

func newRequestNames(samples *ebpf.Map) (*requestNames, error) {
	r, err := ringbuf.NewReader(samples)
	if err != nil {
		return nil, fmt.Errorf("samples of requests: %w", err)
	}
	// What is there is read, and none is waited for.
	r.SetDeadline(time.Unix(1, 0))
	return &requestNames{samples: r, names: map[nameKey]*protocol.Names{}}, nil
}

// read names what has been sampled since it was last called.
func (n *requestNames) read() error {
	for {
		err := n.samples.ReadInto(&n.record)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("samples of requests: %w", err)
		}
		raw := n.record.RawSample
		if len(raw) < int(unsafe.Sizeof(bpf.StreamStreamSample{})) {
			continue // of another program than ours
		}
		sample := (*bpf.StreamStreamSample)(unsafe.Pointer(&raw[0]))
		n.add(sample)
		clear(raw)
	}
}

func (n *requestNames) add(s *bpf.StreamStreamSample) {
	r, ok := protocol.Parse(s.Bytes[:min(int(s.Length), len(s.Bytes))])
	if !ok {
		return // the middle of a request, or encrypted
	}
	key := nameKey{container.ID(s.Owner), Role(s.Role)}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.names[key] == nil {
		n.names[key] = &protocol.Names{}
	}
	n.names[key].Add(r)
}

// forget drops the names of a container that is not followed any more.
func (n *requestNames) forget(id container.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, role := range []Role{RoleServer, RoleClient} {
		delete(n.names, nameKey{id, role})
	}
}

func (n *requestNames) close() { n.samples.Close() }

// NamedRequests is how often one kind of request was among the samples of a
// container, on the side where it serves or where it asks.
type NamedRequests struct {
	Container container.ID
	Role      Role // server or client
	protocol.Counted
}

// RequestNames appends what requests of the followed containers are called, those of
// one container and role by their frequency. Samples tell shares, not numbers.
func (c *Collector) RequestNames(dst []NamedRequests) []NamedRequests {
	n := c.streams.requestNames()
	if n == nil {
		return dst
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	begin := len(dst)
	for key, names := range n.names {
		for _, counted := range names.List() {
			dst = append(dst, NamedRequests{key.container, key.role, counted})
		}
	}
	slices.SortStableFunc(dst[begin:], func(a, b NamedRequests) int {
		return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.Role, b.Role))
	})
	return dst
}

func (s *streams) requestNames() *requestNames {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names
}

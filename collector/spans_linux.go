package collector

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf/ringbuf"

	"seer/bpf"
	"seer/collector/rpc"
)

// ErrNoSpans says that spans cannot be recorded here, and wraps why.
var ErrNoSpans = errors.New("spans cannot be recorded")

// spansVisit is how often the ring of spans is emptied.
const spansVisit = 50 * time.Millisecond

// spansGrace is how long after a window the answers to its requests are waited for,
// at most.
const spansGrace = 2 * time.Second

// Windows says when spans are recorded: for Length, every so often.
type Windows struct {
	Length, Every time.Duration
}

// RecordSpans records, until ctx ends, the requests of counted containers (see
// [Collector.CountExactly]) that are open within windows of time, and emits each
// window, joined and linked, when its answers have come or a time after. It needs
// Config.Spans, and hooks that know a connection's sequence numbers: not kprobes.
func (c *Collector) RecordSpans(ctx context.Context, every Windows, emit func(*rpc.Window)) error {
	ring := c.programs.shared["spans"]
	c.rowsMu.Lock()
	exact, exactErr := c.exact, c.exactErr
	c.rowsMu.Unlock()
	switch {
	case every.Length <= 0 || every.Every < every.Length:
		return fmt.Errorf("%w: windows of %v every %v: give a length and a longer distance", ErrNoSpans, every.Length, every.Every)
	case !c.cfg.Spans:
		return fmt.Errorf("%w: Config.Spans is not set", ErrNoSpans)
	case exactErr != nil:
		return fmt.Errorf("%w: %w", ErrNoSpans, exactErr)
	case ring == nil || exact.flavour == "kretprobe":
		return fmt.Errorf("%w: %w: request hooks are kprobes, which do not know a connection's sequence numbers: needs tp_btf (Linux 6.3) or fexit", ErrNoSpans, ErrUnsupported)
	}
	reader, err := ringbuf.NewReader(ring)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoSpans, err)
	}
	defer reader.Close()
	s := spanRecorder{c: c, reader: reader}
	defer s.window(0, 0)
	timer := time.NewTicker(every.Every)
	defer timer.Stop()
	for {
		w, err := s.take(ctx, every)
		if err != nil {
			return err
		}
		if w == nil {
			return nil
		}
		emit(w)
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
	}
}

// spanRecorder is the state of RecordSpans.
type spanRecorder struct {
	c      *Collector
	reader *ringbuf.Reader
	record ringbuf.Record
	gather rpc.Gather
	lost   uint64
}

// window tells the programs. In between no request is open in it.
func (s *spanRecorder) window(from, until int64) {
	s.c.rowsMu.Lock()
	defer s.c.rowsMu.Unlock()
	if s.c.memory.control == nil {
		return // closed
	}
	atomic.StoreUint64(&s.c.memory.control.SpansUntilNs, 0)
	atomic.StoreUint64(&s.c.memory.control.SpansFromNs, uint64(from))
	atomic.StoreUint64(&s.c.memory.control.SpansUntilNs, uint64(until))
}

// take records one window; nil when ctx has ended.
func (s *spanRecorder) take(ctx context.Context, every Windows) (*rpc.Window, error) {
	s.gather, s.lost = rpc.Gather{}, 0
	if err := s.drain(); err != nil { // of the last window, late
		return nil, err
	}
	s.gather, s.lost = rpc.Gather{}, 0
	full, err := s.c.lossOf(bpf.SocketLossReasonLOSS_SPANS_FULL)
	if err != nil {
		return nil, err
	}
	heldAt := monotonic()
	held, err := s.c.held()
	if err != nil {
		return nil, err
	}
	from := monotonic()
	until := from + every.Length.Nanoseconds()
	s.window(from, until)
	grace := min(spansGrace, (every.Every-every.Length)/2)
	ticker := time.NewTicker(spansVisit)
	defer ticker.Stop()
	for monotonic() < until+grace.Nanoseconds() {
		select {
		case <-ctx.Done():
			return nil, nil
		case <-ticker.C:
		}
		if err := s.drain(); err != nil {
			return nil, err
		}
		if monotonic() > until+2*spansVisit.Nanoseconds() && s.gather.Answered() {
			break
		}
	}
	s.window(0, 0)
	if err := s.drain(); err != nil {
		return nil, err
	}
	now, err := s.c.lossOf(bpf.SocketLossReasonLOSS_SPANS_FULL)
	if err != nil {
		return nil, err
	}
	return s.gather.Window(from, until, held, heldAt, s.lost+now-full), nil
}

// drain takes what is in the ring.
func (s *spanRecorder) drain() error {
	s.reader.SetDeadline(time.Now())
	for {
		err := s.reader.ReadInto(&s.record)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("ring of spans: %w", err)
		}
		if len(s.record.RawSample) < int(unsafe.Sizeof(bpf.RequestTracepointSpanRecord{})) {
			return fmt.Errorf("ring of spans: a record of %d bytes", len(s.record.RawSample))
		}
		r := recordOf((*bpf.RequestTracepointSpanRecord)(unsafe.Pointer(&s.record.RawSample[0])))
		if !s.gather.Add(&r) {
			s.lost++
		}
	}
}

func recordOf(r *bpf.RequestTracepointSpanRecord) rpc.Record {
	return rpc.Record{
		Owner: r.Owner, Socket: r.Sock, Server: Role(r.Role) == RoleServer, Event: rpc.Event(r.Event),
		Opened: int64(r.OpenedNs), At: int64(r.AtNs), Seq: r.Seq, Thread: r.Thread,
		Local: addrPort(r.Local.Address, r.Local.Port), Remote: addrPort(r.Remote.Address, r.Remote.Port),
	}
}

// held is how many requests each counted container holds: at least, since CPUs count
// apart and are read one after the other, so the most of some readings.
func (c *Collector) held() (map[uint64]int, error) {
	const readings = 3
	held := map[uint64]int{}
	c.rowsMu.Lock()
	defer c.rowsMu.Unlock()
	if c.counted == nil || !c.exact.active() {
		return held, nil
	}
	for slot := range c.counted.slots {
		s := &c.counted.slots[slot]
		if s.chosen == 0 {
			continue
		}
		for range readings {
			now, err := c.counted.read(uint32(slot))
			if err != nil {
				return nil, err
			}
			if n := int64(now.outstanding.arrivals - now.outstanding.departures); n > int64(held[s.owner]) {
				held[s.owner] = int(n)
			}
		}
	}
	return held, nil
}

// lossOf reads one reason.
func (c *Collector) lossOf(reason bpf.SocketLossReason) (n uint64, err error) {
	var perCPU []uint64
	if err := c.programs.shared["losses"].Lookup(uint32(reason), &perCPU); err != nil {
		return 0, fmt.Errorf("read losses: %w", err)
	}
	for _, each := range perCPU {
		n += each
	}
	return n, nil
}

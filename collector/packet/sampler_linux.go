package packet

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"seer/bpf"
)

// readEvery is how often the ring is emptied. The programs wake nobody.
const readEvery = 10 * time.Millisecond

// Sampler is the programs at some devices. Its links are attached for as long as
// this process has them: nothing outlives it, however it ends.
type Sampler struct {
	devices []Device
	left    int
	every   int
	here    uint32

	objects bpf.PacketObjects
	walk    *link.Iter
	links   []link.Link
	reader  *ringbuf.Reader

	byIndex map[uint32]*Device
	decoder *Decoder
	origin  clock
	wire    []byte
	packet  Packet
	began   time.Time
	ended   time.Time
}

// clock is one moment on both clocks.
type clock struct {
	at time.Time
	ns uint64 // CLOCK_MONOTONIC
}

// New loads the programs and finds the devices in the network namespace of the
// calling thread. Nothing is attached before Run. It returns an error that wraps
// [ErrUnsupported] where the kernel lacks something, and [ErrNoDevice].
func New(cfg Config) (*Sampler, error) {
	if cfg.Every == 0 {
		cfg.Every = DefaultEvery
	}
	if cfg.Every < 1 || int64(cfg.Every) > 1<<31 {
		return nil, fmt.Errorf("sample packets: one in %d: want 1 to 2147483648", cfg.Every)
	}
	devices, left, err := findDevices(cfg.Devices)
	if err != nil {
		return nil, fmt.Errorf("sample packets: %w", err)
	}
	here, err := readNetNS("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("sample packets: %w", err)
	}
	s := &Sampler{devices: devices, left: left, every: cfg.Every, here: here, decoder: NewDecoder(), byIndex: map[uint32]*Device{}}
	for i := range s.devices {
		s.byIndex[uint32(s.devices[i].Index)] = &s.devices[i]
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("sample packets: %w", err), s.Close())
	}
	return s, nil
}

func (s *Sampler) load() error {
	if err := rlimit.RemoveMemlock(); err != nil {
		return fmt.Errorf("lift the limit of locked memory: %w", err)
	}
	spec, err := bpf.LoadPacket()
	if err != nil {
		return err
	}
	chance := uint32(min((1<<32)/uint64(s.every), 1<<32-1))
	if err := errors.Join(spec.Variables[bpf.PacketVarEvery].Set(uint32(s.every)), spec.Variables[bpf.PacketVarChance].Set(chance)); err != nil {
		return err
	}
	if err := spec.LoadAndAssign(&s.objects, nil); err != nil {
		return unsupported(err)
	}
	if s.walk, err = link.AttachIter(link.IterOptions{Program: s.objects.PacketSockets}); err != nil {
		return fmt.Errorf("list sockets: %w", unsupported(err))
	}
	s.reader, err = ringbuf.NewReader(s.objects.PacketEvents)
	return err
}

// unsupported marks what the kernel says when it does not know something.
func unsupported(err error) error {
	if errors.Is(err, ebpf.ErrNotSupported) {
		return fmt.Errorf("%w: needs Linux 6.6 with tcx and BTF: %w", ErrUnsupported, err)
	}
	return err
}

// Devices returns what is sampled, and how many more devices there are than can be.
func (s *Sampler) Devices() (devices []Device, left int) { return s.devices, s.left }

// NetNS returns the namespace of the devices.
func (s *Sampler) NetNS() uint32 { return s.here }

// Attach puts the programs at the devices. Run does so, too; who needs to know when
// sampling has begun calls it before.
func (s *Sampler) Attach() error {
	if len(s.links) > 0 {
		return nil
	}
	s.origin = pairClocks()
	zero := make([]bpf.PacketPacketCounts, ebpf.MustPossibleCPU())
	for i := range s.devices {
		d := &s.devices[i]
		for _, hook := range []struct {
			program   *ebpf.Program
			at        ebpf.AttachType
			direction Direction
		}{
			{s.objects.PacketIngress, ebpf.AttachTCXIngress, Ingress},
			{s.objects.PacketEgress, ebpf.AttachTCXEgress, Egress},
		} {
			if err := s.objects.PacketCounters.Put(counterKey(d, hook.direction), zero); err != nil {
				return fmt.Errorf("count packets of %s: %w", d.Name, err)
			}
			l, err := link.AttachTCX(link.TCXOptions{Interface: d.Index, Program: hook.program, Attach: hook.at})
			if errors.Is(err, unix.ENODEV) {
				continue // has gone since it was listed
			}
			if err != nil {
				return fmt.Errorf("attach to %s of %s: %w", hook.direction, d.Name, unsupported(err))
			}
			s.links = append(s.links, l)
		}
	}
	s.began = time.Now()
	return nil
}

func counterKey(d *Device, direction Direction) bpf.PacketPacketKey {
	return bpf.PacketPacketKey{Ifindex: uint32(d.Index), Direction: bpf.PacketPacketDirection(direction)}
}

// Run attaches the programs, hands every sampled packet to each until ctx is
// done or each returns an error, and detaches. What was sampled up to then is handed over
// before it returns. The packet is each's until it returns.
func (s *Sampler) Run(ctx context.Context, each func(*Packet) error) error {
	if err := s.Attach(); err != nil {
		return errors.Join(fmt.Errorf("sample packets: %w", err), s.detach())
	}
	ticker := time.NewTicker(readEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			err := s.detach() // then the last ones: all that is counted is handed over
			return errors.Join(err, s.drain(each))
		case <-ticker.C:
			if err := s.drain(each); err != nil {
				return errors.Join(err, s.detach())
			}
		}
	}
}

// drain hands over what is in the ring now.
func (s *Sampler) drain(each func(*Packet) error) error {
	// Every record may end after the reader has looked, so without an end this
	// would not end while packets arrive faster than they are handled.
	const most = 1 << 14
	s.reader.SetDeadline(time.Unix(0, 1)) // long past: take what is there, do not wait
	var record ringbuf.Record
	for range most {
		err := s.reader.ReadInto(&record)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read packets: %w", err)
		}
		p := s.decode(record.RawSample)
		if p == nil {
			continue
		}
		if err := each(p); err != nil {
			return err
		}
	}
	return nil
}

// decode makes a packet of an event; nil if it is none.
func (s *Sampler) decode(raw []byte) *Packet {
	if len(raw) < int(unsafe.Sizeof(bpf.PacketPacketEvent{})) {
		return nil
	}
	event := (*bpf.PacketPacketEvent)(unsafe.Pointer(&raw[0]))
	device := s.byIndex[event.Ifindex]
	if device == nil {
		return nil
	}
	captured := min(int(event.Captured), len(event.Headers))
	s.wire = onWire(s.wire, event.Headers[:captured], bits.ReverseBytes16(event.VlanProto), event.VlanTci)
	length := int(event.Length) + len(s.wire) - captured
	s.packet = Packet{
		Time:   s.origin.at.Add(time.Duration(event.TimeNs - s.origin.ns)),
		Device: device, Direction: Direction(event.Direction), Length: length, Segments: int(event.Segments),
		Cgroup:  event.Cgroup,
		Decoded: s.decoder.Decode(device.Link, s.wire),
	}
	s.packet.Headers = s.wire[:s.packet.HeaderLength()]
	return &s.packet
}

// Passed returns what has passed each device since the programs were attached,
// without those that no packet has passed, and for how long they were.
func (s *Sampler) Passed() ([]Passed, time.Duration, error) {
	var all []Passed
	var perCPU []bpf.PacketPacketCounts
	for i := range s.devices {
		for _, direction := range []Direction{Ingress, Egress} {
			key := counterKey(&s.devices[i], direction)
			if err := s.objects.PacketCounters.Lookup(key, &perCPU); err != nil {
				return nil, 0, fmt.Errorf("count packets of %s: %w", s.devices[i].Name, err)
			}
			p := Passed{Device: s.devices[i], Direction: direction}
			for _, c := range perCPU {
				p.add(Counts{c.Packets, c.Segments, c.Bytes})
				p.Lost += c.Lost
			}
			if p.Packets > 0 {
				all = append(all, p)
			}
		}
	}
	end := s.ended
	if end.IsZero() {
		end = time.Now()
	}
	return all, end.Sub(s.began), nil
}

func (s *Sampler) detach() error {
	var errs []error
	for _, l := range s.links {
		errs = append(errs, l.Close())
	}
	s.links = nil
	s.ended = time.Now()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("detach: %w", err)
	}
	return nil
}

// Close detaches and unloads all.
func (s *Sampler) Close() error {
	err := s.detach()
	if s.reader != nil {
		err = errors.Join(err, s.reader.Close())
	}
	if s.walk != nil {
		err = errors.Join(err, s.walk.Close())
	}
	return errors.Join(err, s.objects.Close())
}

// pairClocks reads both clocks: the kernel's times are monotonic.
func pairClocks() clock {
	var ts unix.Timespec
	before := time.Now()
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for a clock that exists
	return clock{before.Add(time.Since(before) / 2), uint64(ts.Nano())}
}

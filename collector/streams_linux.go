package collector

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"seer/bpf"
	"seer/collector/container"
	"seer/collector/latency"
)

// streams counts the requests of containers that speak HTTP/2, by programs on
// their cgroups that follow its frames (bpf/stream.bpf.c). They are loaded when a
// container is first followed, and attached only while one is.
type streams struct {
	programs *programs
	resolver *container.Resolver
	samples  uint32 // per second and container, for names; 0: none

	changing sync.Mutex // held while a container comes or goes
	loaded   *ebpf.Collection
	memory   memory
	choice   uint32
	attached map[string][]link.Link // by directory of the cgroup
	closed   link.Link              // sees connections close, while any is attached

	mu       sync.Mutex // held for an instant: the sampler waits for it
	rows     []bpf.StreamStreamRow
	followed map[container.ID]*followedContainer
	names    *requestNames // nil without samples
}

// followedContainer is a container whose streams are counted.
type followedContainer struct {
	row                     uint32
	dir                     string // of the cgroup that its packets pass
	outstanding, downstream pastStreams
}

type pastStreams struct {
	counts
	at uint64 // when they were read, CLOCK_MONOTONIC, ns
}

func newStreams(p *programs, r *container.Resolver, samples int) *streams {
	return &streams{
		programs: p, resolver: r, samples: uint32(samples),
		followed: map[container.ID]*followedContainer{}, attached: map[string][]link.Link{},
	}
}

// errFollowed is wrapped where no more containers can be followed.
var errFollowed = errors.New("too many containers")

// follow begins to count the streams of a container. Following one twice is
// following it once.
func (s *streams) follow(id container.ID) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.followed[id] != nil {
		return nil
	}
	if err := s.load(); err != nil {
		return err
	}
	dir, err := packetCgroup(s.resolver.Choice(), s.resolver.Resolve(id))
	if err != nil {
		return fmt.Errorf("streams of %v: %w", id, err)
	}
	row, ok := s.freeRow()
	if !ok {
		return fmt.Errorf("streams of %v: %w: %d are followed: let one go first", id, errFollowed, len(s.followed))
	}
	s.choice++
	s.rows[row] = bpf.StreamStreamRow{Choice: s.choice}
	s.mu.Lock()
	s.followed[id] = &followedContainer{row: row, dir: dir}
	s.mu.Unlock()
	// Before the first packet: one that nobody asked for is not followed.
	err = s.programs.shared["followed_containers"].Put(uint64(id), bpf.StreamFollowed{Row: row, Choice: s.choice, Samples: s.samples})
	if err == nil {
		err = s.attach()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("streams of %v: %w", id, err), s.drop(id))
	}
	return nil
}

// unfollow lets a container go. What it counted is forgotten.
func (s *streams) unfollow(id container.ID) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.followed[id] == nil {
		return nil
	}
	return s.drop(id)
}

func (s *streams) drop(id container.ID) error {
	err := s.programs.shared["followed_containers"].Delete(uint64(id))
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		err = nil
	}
	s.rows[s.followed[id].row].Choice = 0
	s.mu.Lock()
	delete(s.followed, id)
	names := s.names
	s.mu.Unlock()
	if names != nil {
		names.forget(id)
	}
	return errors.Join(err, s.attach())
}

func (s *streams) freeRow() (row uint32, ok bool) {
	used := make(map[uint32]bool, len(s.followed))
	for _, f := range s.followed {
		used[f.row] = true
	}
	for row := range uint32(len(s.rows)) {
		if !used[row] {
			return row, true
		}
	}
	return 0, false
}

func (s *streams) load() error {
	if s.loaded != nil {
		return nil
	}
	spec, err := bpf.LoadStream()
	c, err := s.programs.load("stream", spec, err)
	if err != nil {
		return err
	}
	rows, err := mmapValues[bpf.StreamStreamRow](&s.memory, c.Maps["stream_rows"])
	var names *requestNames
	if err == nil && s.samples > 0 {
		names, err = newRequestNames(c.Maps["stream_samples"])
	}
	if err != nil {
		s.memory.close()
		s.programs.unload("stream")
		return err
	}
	s.loaded = c
	s.mu.Lock()
	s.rows, s.names = rows, names
	s.mu.Unlock()
	return nil
}

// attach puts the programs on the cgroups that are followed now, and takes them off
// the others. Programs of a cgroup run for those below it, too, and need not be on
// both; where they are for a moment, what the second sees is a retransmission.
func (s *streams) attach() error {
	want := map[string]bool{}
	for _, f := range s.followed {
		want[f.dir] = true
	}
	for dir := range want {
		for other := range want {
			if dir != other && strings.HasPrefix(dir, strings.TrimSuffix(other, "/")+"/") {
				delete(want, dir)
			}
		}
	}
	var failed []error
	if s.closed == nil && len(want) > 0 {
		l, err := link.AttachTracing(link.TracingOptions{Program: s.loaded.Programs["stream_closed"]})
		if err != nil {
			return fmt.Errorf("attach stream_closed: %w", kernelRefusal(err))
		}
		s.closed = l
	}
	for dir := range want {
		if s.attached[dir] != nil {
			continue
		}
		links, err := attachAll(s.packets(dir, "stream_received", ebpf.AttachCGroupInetIngress), s.packets(dir, "stream_sent", ebpf.AttachCGroupInetEgress))
		if err != nil {
			failed = append(failed, err)
			continue
		}
		s.attached[dir] = links
	}
	for dir, links := range s.attached {
		if !want[dir] {
			closeLinks(links)
			delete(s.attached, dir)
		}
	}
	if len(want) == 0 && s.closed != nil {
		s.closed.Close()
		s.closed = nil
	}
	return errors.Join(failed...)
}

func (s *streams) packets(dir, program string, at ebpf.AttachType) func() (link.Link, error) {
	return func() (link.Link, error) {
		l, err := link.AttachCgroup(link.CgroupOptions{Path: dir, Attach: at, Program: s.loaded.Programs[program]})
		if err != nil {
			return nil, fmt.Errorf("attach %s to %s: %w", program, dir, err)
		}
		return l, nil
	}
}

// packetCgroup is the directory of the cgroup that a container's packets pass: its
// own where cgroup v2 tells containers apart. The sockets of one that only v1 or a
// program's name tells apart are in a cgroup that others share, at worst the root;
// the programs look at the owner of each socket.
func packetCgroup(choice container.Choice, c *container.Container) (string, error) {
	v2 := choice.Primary
	if v2.Version != 2 {
		v2 = choice.Secondary
	}
	if v2.Version != 2 {
		return "", fmt.Errorf("%w: no cgroup v2 hierarchy is mounted: mount cgroup2", ErrUnsupported)
	}
	if c.ID&(container.Legacy|container.ByComm) != 0 {
		return v2.Mount, nil
	}
	if c.Path == "" {
		return "", fmt.Errorf("%s: its cgroup is gone: %w", c.Name, fs.ErrNotExist)
	}
	dir, ok := v2.Dir(c.Path)
	if !ok {
		return "", fmt.Errorf("%s: its cgroup is not below %s: run in the host's cgroup namespace", c.Name, v2.Mount)
	}
	return filepath.Clean(dir), nil
}

// keep is the part of housekeeping: it lets containers go whose cgroup is no more,
// follows those that are wanted, and names what was sampled.
func (s *streams) keep(wanted func(*container.Container) bool, owners []container.ID) error {
	var failed []error
	for _, id := range s.gone() {
		failed = append(failed, s.unfollow(id))
	}
	for _, id := range owners {
		if c := s.resolver.Resolve(id); wanted != nil && wanted(c) && (c.Path != "" || id&container.ByComm != 0) {
			failed = append(failed, s.follow(id))
		}
	}
	if n := s.requestNames(); n != nil {
		failed = append(failed, n.read())
	}
	return errors.Join(failed...)
}

func (s *streams) gone() (gone []container.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, f := range s.followed {
		if _, err := os.Lstat(f.dir); errors.Is(err, fs.ErrNotExist) {
			gone = append(gone, id)
		}
	}
	return gone
}

// refine adds the streams of a container to what passes saw of its other requests:
// these leave its HTTP/2 connections alone.
func (s *streams) refine(id container.ID, row *Row, sp *span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.followed[id]
	if f == nil {
		return
	}
	r := &s.rows[f.row]
	f.outstanding.addTo(&row.Cells[QueueOutstanding], &r.Outstanding, sp)
	f.downstream.addTo(&row.Cells[QueueDownstream], &r.Downstream, sp)
}

func (p *pastStreams) addTo(c *Cell, counters *bpf.StreamStreamCounters, sp *span) {
	now, at := readStreams(counters)
	past := *p
	if past.at == 0 {
		past.at = sp.start
	}
	*p = pastStreams{now, at}
	if !c.Valid || now.arrivals == 0 {
		return
	}
	depth := max(0, float64(int64(now.arrivals-now.departures)))
	before := max(0, float64(int64(past.arrivals-past.departures)))
	mean := meanDepth(past.counts, now, past.at, at)
	c.Depth += depth
	c.Mean += mean
	c.Max += max(mean, depth, before)
	c.Arrivals += float64(now.arrivals - past.arrivals)
	c.Departures += float64(now.departures - past.departures)
	c.Wait = 0
	if c.Departures > 0 {
		c.Wait = littleWait(c.Mean, sp.seconds, c.Departures)
	}
}

// readStreams is readCounts for streams.
func readStreams(c *bpf.StreamStreamCounters) (now counts, at uint64) {
	load := func() counts {
		return counts{
			arrivals: atomic.LoadUint64(&c.Arrivals), departures: atomic.LoadUint64(&c.Departures),
			in: atomic.LoadUint64(&c.InNs), out: atomic.LoadUint64(&c.OutNs),
		}
	}
	for range 8 {
		at = uint64(monotonic())
		now = load()
		if load() == now {
			break
		}
	}
	return now, at
}

// StreamCount is what was counted of one container's HTTP/2 streams on the side
// where it serves, or where it asks, since it was followed.
type StreamCount struct {
	Container   container.ID
	Role        Role   // server or client
	Connections uint64 // that speak HTTP/2
	Older       uint64 // of these, begun before: what was said on them is not known, so their requests have no names
	Opened      uint64
	Closed      uint64
	Unanswered  uint64            // of the closed: reset, or their connection closed
	Latency     latency.Histogram // from the request's first byte to the last of the answer, in the kernel
	FirstByte   latency.Histogram // and to its first
}

// StreamCounts appends the counts of all containers that are followed, by their ID.
func (c *Collector) StreamCounts(dst []StreamCount) []StreamCount {
	return c.streams.appendCounts(dst)
}

func (s *streams) appendCounts(dst []StreamCount) []StreamCount {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(s.followed)) {
		r := &s.rows[s.followed[id].row]
		dst = append(dst, streamCount(id, RoleServer, &r.Outstanding), streamCount(id, RoleClient, &r.Downstream))
	}
	return dst
}

func streamCount(id container.ID, role Role, c *bpf.StreamStreamCounters) StreamCount {
	now, _ := readStreams(c)
	out := StreamCount{
		Container: id, Role: role, Opened: now.arrivals, Closed: now.departures,
		Connections: atomic.LoadUint64(&c.Connections), Older: atomic.LoadUint64(&c.Older), Unanswered: atomic.LoadUint64(&c.Unanswered),
	}
	for i := range c.Last {
		if n := atomic.LoadUint32(&c.Last[i]); n != 0 {
			out.Latency.AddN(i, int32(n))
		}
		if n := atomic.LoadUint32(&c.First[i]); n != 0 {
			out.FirstByte.AddN(i, int32(n))
		}
	}
	return out
}

// FollowStreams begins to count the HTTP/2 streams of a container, which costs a
// program run per packet of it. It may be called while Run is under way.
func (c *Collector) FollowStreams(id container.ID) error { return c.streams.follow(id) }

// UnfollowStreams ends that.
func (c *Collector) UnfollowStreams(id container.ID) error { return c.streams.unfollow(id) }

// close detaches all. It may be called more than once.
func (s *streams) close() {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, links := range s.attached {
		closeLinks(links)
	}
	if s.closed != nil {
		s.closed.Close()
	}
	if s.names != nil {
		s.names.close()
	}
	clear(s.attached)
	clear(s.followed)
	s.closed, s.rows = nil, nil
	s.memory.close()
}

package collector

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"seer/collector/container"
)

// start runs a collector until the test ends; stop ends it earlier.
func start(t *testing.T, c *Collector, sinks ...Sink) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, sinks...) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("Run does not stop")
		}
	}
	t.Cleanup(stop)
	return stop
}

// kernelObjects returns the ids of the BPF objects this process holds.
func kernelObjects(t *testing.T) (programs, maps, links []uint32) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // closed meanwhile
		}
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(line, ":")
			id, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32)
			if err != nil {
				continue
			}
			switch key {
			case "prog_id":
				programs = append(programs, uint32(id))
			case "map_id":
				maps = append(maps, uint32(id))
			case "link_id":
				links = append(links, uint32(id))
			}
		}
	}
	return programs, maps, links
}

// alive returns those of some BPF objects that the kernel still has.
func alive(programs, maps, links []uint32) (left []string) {
	for _, id := range programs {
		if p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id)); err == nil {
			left = append(left, p.String())
			p.Close()
		}
	}
	for _, id := range maps {
		if m, err := ebpf.NewMapFromID(ebpf.MapID(id)); err == nil {
			left = append(left, m.String())
			m.Close()
		}
	}
	for _, id := range links {
		if l, err := link.NewFromID(link.ID(id)); err == nil {
			left = append(left, fmt.Sprintf("%T", l))
			l.Close()
		}
	}
	return left
}

func descriptors(t *testing.T) (open []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			open = append(open, target)
		}
	}
	slices.Sort(open)
	return open
}

func mappedBPF(t *testing.T) (lines []string) {
	t.Helper()
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.Contains(s.Text(), "bpf-map") {
			lines = append(lines, s.Text())
		}
	}
	return lines
}

// A collector that was closed leaves no program, map, link, descriptor, mapping
// or goroutine behind, and the next one works.
func TestCloseLeavesNothing(t *testing.T) {
	open(t, Config{}).Close() // what the libraries open once and keep
	before := descriptors(t)
	for round := range 2 {
		goroutines := goleak.IgnoreCurrent()
		c := open(t, Config{Exact: true})
		var k keep
		stop := start(t, c, &k)
		eventually(t, "ticks", func() (bool, any) { n := k.last().Seq; return n >= 3, n })
		programs, maps, links := kernelObjects(t)
		if len(programs) < 5 || len(maps) < len(sharedMaps) || len(links) < 5 {
			t.Fatalf("a collector holds %d programs, %d maps, %d links: the test looks in the wrong place", len(programs), len(maps), len(links))
		}
		stop()
		for range 2 { // Close may be called twice
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := goleak.Find(goroutines); err != nil {
			t.Error(err)
		}
		// The kernel frees in the background.
		eventually(t, fmt.Sprintf("round %d: BPF objects are gone", round), func() (bool, any) {
			runtime.GC() // mappings of variables go with the variables
			left := append(alive(programs, maps, links), mappedBPF(t)...)
			return len(left) == 0, left
		})
		if after := descriptors(t); !slices.Equal(before, after) {
			t.Errorf("round %d: descriptors before %q, after %q", round, before, after)
		}
	}
}

// Run ends when its context does, however long the tick is.
func TestRunStopsWithinATick(t *testing.T) {
	c := open(t, Config{Tick: MaxTick})
	stop := start(t, c)
	eventually(t, "housekeeping", func() (bool, any) { p := c.Probes(); return len(p) > 0, p })
	began := time.Now()
	stop()
	if took := time.Since(began); took > MaxTick/2 {
		t.Errorf("Run took %v to stop in a tick of %v", took, MaxTick)
	}
}

func TestRunStopsBeforeItBegins(t *testing.T) {
	c := open(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Run(ctx); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

// Sampling allocates nothing while the set of containers stands.
func TestSamplingAllocatesNothing(t *testing.T) {
	child(t, "seer-quiet", pairsEnv+"=100")
	c := open(t, Config{CPUBudget: 1})
	if err := c.adopt(); err != nil {
		t.Fatal(err)
	}
	if err := c.resolver.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	var sp span
	read := monotonic()
	tick := func() {
		const passes = 10
		for i := range passes {
			c.takePass(i, passes)
		}
		now := monotonic()
		c.describe(&sp, read, now)
		c.assembler.assemble(&sp)
		c.publishHealth()
		read = now
		for _, f := range []*family{c.socket, c.epoll, c.task} {
			f.passes = 0
		}
	}
	tick() // the first one sizes the buffers
	tick()
	// Containers of others come and go on a host: one quiet second will do.
	eventually(t, "ticks of 10 passes without an allocation", func() (bool, any) {
		n := testing.AllocsPerRun(20, tick)
		return n == 0, n
	})
	if len(c.assembler.rows) == 0 || c.socket.visited == 0 {
		t.Errorf("%d rows, %d sockets: nothing was measured", len(c.assembler.rows), c.socket.visited)
	}
}

func TestStatusIsFilled(t *testing.T) {
	c := open(t, Config{})
	var k keep
	start(t, c, &k)
	eventually(t, "status", func() (bool, any) {
		cost := c.Cost()
		return len(c.Probes()) > 0 && cost.UsedShare > 0 && cost.PassHz > 1 && k.last().Seq > 10, cost
	})
	var covered [NumQueues]bool
	for _, p := range c.Probes() {
		if p.Name == "" || (p.State == ProbeFailed) != (p.Reason != "" && p.State != ProbeOff) {
			t.Errorf("probe %+v: a failed one says why, and only one that is not on", p)
		}
		if p.State == ProbeOn && (p.Flavour == "" || len(p.Programs) == 0 && p.Flavour != "procfs") {
			t.Errorf("probe %s does not say how it is hooked: %+v", p.Name, p)
		}
		for _, q := range p.Queues {
			covered[q] = true
		}
	}
	for q, ok := range covered {
		if !ok {
			t.Errorf("no probe says that it reads %v", Queue(q))
		}
	}
	cost := c.Cost()
	if want := max(DefaultCPUBudget, minCoreShare/float64(runtime.NumCPU())); cost.BudgetShare != want {
		t.Errorf("budget %v, want %v", cost.BudgetShare, want)
	}
	parts := cost.SamplerShare + cost.ProgramShare + cost.ProcessShare
	if cost.SamplerShare <= 0 || cost.RSSBytes == 0 || cost.PassHzWanted != DefaultPassHz || cost.QuietEvery < 1 ||
		cost.SampledShare <= 0 || cost.SampledShare > 1 || cost.RelativeError <= 0 || cost.ExactMode != "off" {
		t.Errorf("cost %+v", cost)
	}
	if diff := cost.UsedShare - parts; diff < -1e-9 || diff > 1e-9 {
		t.Errorf("parts of the cost add up to %v of %v", parts, cost.UsedShare)
	}
	losses := c.Losses()
	if len(losses) != len(lossNames)+1 || losses[len(losses)-1].Reason != "late_ticks" {
		t.Errorf("losses %+v, want every reason and late_ticks", losses)
	}
	last := k.last()
	if last.Passes == 0 || !last.End.After(last.Start) || len(last.Rows) == 0 {
		t.Errorf("tick %d of %d passes from %v to %v has %d rows", last.Seq, last.Passes, last.Start, last.End, len(last.Rows))
	}
	for i := 1; i < len(last.Rows); i++ {
		if last.Rows[i-1].Container.ID >= last.Rows[i].Container.ID {
			t.Errorf("rows are not ordered by container: %v before %v", last.Rows[i-1].Container.ID, last.Rows[i].Container.ID)
		}
	}
}

// A family that the kernel refuses takes its own queues with it and no others.
func TestRefusedFamily(t *testing.T) {
	tests := []struct {
		object string
		probes []string // that fail
		queues []Queue  // that are not measured
	}{
		{"discover", []string{"discover", "epoll"}, []Queue{QueueEpollReady}},
		{"epoll", []string{"epoll"}, []Queue{QueueEpollReady}},
		{"sched", []string{"sched"}, []Queue{QueueRun}},
		{"block", []string{"block"}, []Queue{QueueBlockIO}},
		{"dump", nil, nil},
		{"request_", []string{"request"}, nil},
	}
	states := func(t *testing.T, refuse string) (map[string]Probe, Tick, *Collector) {
		c := open(t, Config{refuse: func(object string) error {
			if refuse != "" && strings.HasPrefix(object, refuse) {
				return unix.EPERM
			}
			return nil
		}})
		child(t, "seer-refused")
		var k keep
		stop := start(t, c, &k)
		eventually(t, "ticks and status", func() (bool, any) {
			return k.last().Seq > 5 && len(k.last().Rows) > 0 && len(c.Probes()) > 0, k.last()
		})
		stop()
		probes := map[string]Probe{}
		for _, p := range c.Probes() {
			probes[p.Name] = p
		}
		return probes, k.last(), c
	}
	all, whole, _ := states(t, "")
	for _, tt := range tests {
		t.Run(tt.object, func(t *testing.T) {
			probes, tick, c := states(t, tt.object)
			for name, p := range probes {
				switch {
				case slices.Contains(tt.probes, name):
					if p.State != ProbeFailed || !strings.Contains(p.Reason, tt.object) {
						t.Errorf("probe %s is %v (%q), want failed and why", name, p.State, p.Reason)
					}
				case p.State != all[name].State:
					t.Errorf("probe %s is %v (%s) without %s, and %v with it", name, p.State, p.Reason, tt.object, all[name].State)
				}
			}
			for _, row := range tick.Rows {
				for q, cell := range row.Cells {
					want := whole.Rows[0].Cells[q].Valid && !slices.Contains(tt.queues, Queue(q))
					if cell.Valid != want {
						t.Errorf("%s of %s: valid %v, want %v", Queue(q), row.Container.Name, cell.Valid, want)
					}
				}
			}
			_, err := c.Sockets(t.Context(), nil)
			if refused := tt.object == "dump"; refused != errors.Is(err, ErrUnsupported) || !refused && err != nil {
				t.Errorf("Sockets without %s: %v", tt.object, err)
			}
		})
	}
}

// Without sockets there is nothing to do: New says why and leaves nothing.
func TestRefusedSockets(t *testing.T) {
	open(t, Config{}).Close()
	before := descriptors(t)
	_, err := New(Config{refuse: func(object string) error {
		if object == "socket" {
			return unix.EPERM
		}
		return nil
	}})
	if !errors.Is(err, ErrUnsupported) || !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "socket") {
		t.Errorf("New = %v, want the refusal of the socket object", err)
	}
	if after := descriptors(t); !slices.Equal(before, after) {
		t.Errorf("descriptors before %q, after %q", before, after)
	}
}

func TestNewRefusesBadConfig(t *testing.T) {
	if c, err := New(Config{Tick: time.Hour}); err == nil {
		c.Close()
		t.Error("New accepts a tick of an hour")
	}
}

// Grouped by program name, a row is a program, wherever it runs.
func TestRowsByProgramName(t *testing.T) {
	c := open(t, Config{GroupBy: container.ByProgram})
	child(t, "seer-by-comm")
	child(t, "seer-by-comm")
	child(t, "seer-other")
	var k keep
	start(t, c, &k)
	eventually(t, "rows of both programs", func() (bool, any) {
		rows := map[string]Row{}
		var names []string
		for _, row := range k.last().Rows {
			rows[row.Container.Name] = row
			names = append(names, row.Container.Name)
		}
		two, one := rows["seer-by-comm"], rows["seer-other"]
		return two.Sockets == 2 && one.Sockets == 1 && two.Cells[QueueAcceptBacklog].Valid, names
	})
	for _, row := range k.last().Rows {
		if row.Container.ID&container.ByComm == 0 || row.Container.Runtime != "comm" {
			t.Errorf("row %+v is not a program's", row.Container)
		}
	}
}

// A sink that blocks makes the next tick late, which is counted; the tick after
// it is longer, and none is made up for.
func TestLateTicksAreCounted(t *testing.T) {
	const length = 20 * time.Millisecond
	c := open(t, Config{Tick: length})
	sink := &blocking{pause: 5 * length}
	start(t, c, sink)
	eventually(t, "late_ticks", func() (bool, any) {
		losses := c.Losses()
		if len(losses) == 0 {
			return false, losses
		}
		return losses[len(losses)-1].Count >= 3, losses
	})
}

// blocking is a sink that takes too long for every tick.
type blocking struct{ pause time.Duration }

func (b *blocking) Consume(*Tick) {
	<-time.After(b.pause)
}

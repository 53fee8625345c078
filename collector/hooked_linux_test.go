package collector

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"seer/collector/container"
	"seer/test/lab"
)

// promised are the flavours of request hooks that kernels of the test matrix
// have for certain (SEER_TEST_KERNEL). Others may lack, or refuse, any.
var promised = map[string][]string{
	"debian-6.1":      {"fexit", "kretprobe"},
	"debian-6.12":     {"tp_btf", "fexit", "kretprobe"},
	"debian-backport": {"tp_btf", "fexit", "kretprobe"},
}

// hooked is a pair of processes whose requests one flavour of hooks counts.
type hooked struct {
	t              *testing.T
	c              *Collector
	server, client *lab.Sockets
	listener       lab.Socket
}

// hookPair makes a pair with one connection, and a collector with one flavour of
// hooks that comes to it; they are off.
func hookPair(t *testing.T, flavour string) (h *hooked, client, server []lab.Socket) {
	t.Helper()
	c := open(t, Config{CPUBudget: 1, refuse: func(object string) error {
		if strings.HasPrefix(object, "request_") {
			return unix.EPERM
		}
		return nil
	}})
	c.programs.refuse = nil
	if err := c.loadExact(flavour); err != nil {
		if errors.Is(err, ErrUnsupported) && !slices.Contains(promised[os.Getenv("SEER_TEST_KERNEL")], flavour) {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	if c.exact.flavour != flavour {
		t.Fatalf("flavour %q, want %q", c.exact.flavour, flavour)
	}
	h = &hooked{t: t, c: c}
	h.server, h.client = lab.NewContainer(t, "server", lab.Options{}).Sockets(), lab.NewContainer(t, "client", lab.Options{}).Sockets()
	h.listener = h.server.Listen("tcp4", "127.0.0.1:0", 64)
	client, server = h.connect(1)
	if err := c.adopt(); err != nil {
		t.Fatal(err)
	}
	return h, client, server
}

func (h *hooked) connect(n int) (client, server []lab.Socket) {
	h.t.Helper()
	for range n { // one by one, so that both ends are in one order
		client = append(client, h.client.Connect("tcp4", h.listener.Addr, 1)...)
		server = append(server, h.server.Accept(h.listener, 1)...)
	}
	return client, server
}

func (h *hooked) on() {
	h.t.Helper()
	if err := h.c.exact.switchOn(h.c.memory); err != nil {
		h.t.Fatal(err)
	}
	h.pick(func(*container.Container) bool { return true })
}

// pick has the requests counted of whom it says.
func (h *hooked) pick(who Pick) {
	h.t.Helper()
	h.c.CountExactly("test", who)
	judgeAll(h.t, h.c)
}

// judgeAll has everybody counted who is picked, as the next tick would.
func judgeAll(t *testing.T, c *Collector) {
	t.Helper()
	c.counted.follow(c.choice.now())
	c.slots.extend()
	for slot := range c.slots.high {
		if owner := c.slots.rows[slot].Owner; owner != 0 {
			if _, err := c.counted.judge(slot, c.resolver.Resolve(container.ID(owner))); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (h *hooked) off() {
	h.c.exact.switchOff(h.c.memory)
	h.c.counted.nobody()
}

// slot is where the container of a process is counted.
func (h *hooked) slot(p *lab.Sockets) (slot uint32, owner uint64, found bool) {
	h.t.Helper()
	id, err := h.c.resolver.IDOf(p.PID)
	if err != nil {
		h.t.Fatal(err)
	}
	err = h.c.slots.byID.Lookup(uint64(id), &slot)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		h.t.Fatal(err)
	}
	return slot, uint64(id), err == nil
}

// flow is how many requests came and went.
type flow struct{ arrivals, departures uint64 }

// want compares what the hooks counted at the server and at the client, from
// when they went on. Neither is also the other.
func (h *hooked) want(when string, outstanding, downstream flow) {
	h.t.Helper()
	for _, end := range []struct {
		name string
		p    *lab.Sockets
		want [2]flow
	}{
		{"server", h.server, [2]flow{outstanding, {}}},
		{"client", h.client, [2]flow{{}, downstream}},
	} {
		var got [2]flow
		if slot, _, found := h.slot(end.p); found {
			now, err := h.c.counted.read(slot)
			if err != nil {
				h.t.Fatal(err)
			}
			got = [2]flow{{now.outstanding.arrivals, now.outstanding.departures}, {now.downstream.arrivals, now.downstream.departures}}
		}
		if got != end.want {
			h.t.Errorf("%s: %s counts {arrivals departures} of outstanding and downstream %v, want %v", when, end.name, got, end.want)
		}
	}
}

// Requests and replies are written in one call, since the kernel would hold
// back the rest until the first was acknowledged, and read in two.
const (
	requestPart = 20
	replyPart   = 7
)

func (h *hooked) ask(client []lab.Socket) { h.client.Send(client, 2*requestPart) }

func (h *hooked) read(server []lab.Socket) {
	h.server.Receive(server, requestPart)
	h.server.Receive(server, requestPart)
}

func (h *hooked) answer(client, server []lab.Socket) {
	h.server.Send(server, 2*replyPart)
	h.client.Receive(client, replyPart)
	h.client.Receive(client, replyPart)
}

// exchange makes n requests one after another on each connection.
func (h *hooked) exchange(client, server []lab.Socket, n int) {
	for range n {
		h.ask(client)
		h.read(server)
		h.answer(client, server)
	}
}

// passes waits until some time is over.
func (h *hooked) passes(d time.Duration) {
	h.t.Helper()
	until := monotonic() + d.Nanoseconds()
	eventually(h.t, fmt.Sprintf("%v later", d), func() (bool, any) { return monotonic() >= until, until - monotonic() })
}

// tick is what a tick between two times would say of both ends.
func (h *hooked) tick(start, end int64) (outstanding, downstream Cell) {
	h.t.Helper()
	cell := func(p *lab.Sockets, q Queue) Cell {
		slot, owner, found := h.slot(p)
		if !found {
			h.t.Fatalf("%v: no slot", q)
		}
		row := Row{Container: h.c.resolver.Resolve(container.ID(owner))}
		row.Cells[q].Valid = true
		chosen, err := h.c.counted.judge(int(slot), row.Container)
		if err != nil || chosen == nil {
			h.t.Fatalf("%v: chosen %v, %v", q, chosen, err)
		}
		if err := h.c.counted.refine(slot, chosen, &row, &span{start: uint64(start), end: uint64(end), seconds: float64(end-start) / 1e9}); err != nil {
			h.t.Fatal(err)
		}
		return row.Cells[q]
	}
	return cell(h.server, QueueOutstanding), cell(h.client, QueueDownstream)
}

// timed is what was timed since the last call.
func (h *hooked) timed(p *lab.Sockets) (r RequestRow) {
	h.t.Helper()
	slot, owner, _ := h.slot(p)
	chosen, err := h.c.counted.judge(int(slot), h.c.resolver.Resolve(container.ID(owner)))
	if err != nil || chosen == nil {
		h.t.Fatalf("chosen %v, %v", chosen, err)
	}
	h.c.counted.times(chosen, &r)
	return r
}

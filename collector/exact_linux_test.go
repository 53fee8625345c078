package collector

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"seer/bpf"
	"seer/collector/container"
	"seer/collector/latency"
	"seer/test/lab"
)

// Each way to hook requests that the kernel has counts every one, once.
func TestExact(t *testing.T) {
	for _, f := range flavours {
		t.Run(f.name, func(t *testing.T) {
			h, client, server := hookPair(t, f.name)
			h.counts(client, server)
			h.mean()
			h.offAndOn()
			h.close()
			h.times()
			h.choose()
			h.latencies()
			h.ages(f.name)
		})
	}
}

// Every request is counted once, at both ends, whether its connection was there
// before Seer or came later, and however it is read and written.
func (h *hooked) counts(client, server []lab.Socket) {
	const n, held = 137, 5
	h.on()
	defer h.off()
	h.exchange(client, server, n)
	h.want("adopted connection", flow{n, n}, flow{n, n})

	client, server = h.connect(1)
	h.exchange(client, server, n)
	h.want("new connection", flow{2 * n, 2 * n}, flow{2 * n, 2 * n})

	h.client.Send(client, requestPart)
	h.server.Peek(server, requestPart)
	h.want("half of it peeked", flow{2 * n, 2 * n}, flow{2*n + 1, 2 * n})
	h.client.Send(client, requestPart)
	h.read(server)
	h.want("read", flow{2*n + 1, 2 * n}, flow{2*n + 1, 2 * n})
	h.server.Send(server, replyPart)
	h.client.Peek(client, replyPart)
	h.want("half of the answer peeked", flow{2*n + 1, 2*n + 1}, flow{2*n + 1, 2 * n})
	h.server.Send(server, replyPart)
	h.client.Receive(client, 2*replyPart)
	h.want("answer read", flow{2*n + 1, 2*n + 1}, flow{2*n + 1, 2*n + 1})

	const done = 2*n + 1
	clients, servers := h.connect(held)
	h.ask(clients)
	h.read(servers)
	h.exchange(client, server, 1)
	h.want("held", flow{done + 1 + held, done + 1}, flow{done + 1 + held, done + 1})
	h.answer(clients, servers)
	h.want("answered", flow{done + 1 + held, done + 1 + held}, flow{done + 1 + held, done + 1 + held})
}

// The mean depth of a tick is what was held, for as long as it was held. Each
// request came and went between two readings of the clock.
func (h *hooked) mean() {
	const held = 5
	const part = 60 * time.Millisecond
	client, server := h.connect(1)
	h.on()
	defer h.off()
	h.exchange(client, server, 3)
	clients, servers := h.connect(held)
	h.tick(monotonic()-1, monotonic())

	start := monotonic()
	h.passes(part)
	asking := monotonic()
	h.ask(clients)
	asked := monotonic()
	h.read(servers)
	read := monotonic()
	h.passes(part)
	answering := monotonic()
	h.answer(clients, servers)
	answered := monotonic()
	h.passes(part)
	end := monotonic()
	outstanding, downstream := h.tick(start, end)

	check := func(name string, cell Cell, opens, opened, closes, closed int64) {
		h.t.Helper()
		least, most := held*float64(closes-opened)/float64(end-start), held*float64(closed-opens)/float64(end-start)
		if cell.Arrivals != held || cell.Departures != held || cell.Mean < least || cell.Mean > most {
			h.t.Errorf("%s: %v came, %v went, mean %.4f, want %d, %d and %.4f to %.4f", name, cell.Arrivals, cell.Departures, cell.Mean, held, held, least, most)
		}
		if want := littleWait(cell.Mean, float64(end-start)/1e9, held); cell.Wait != want {
			h.t.Errorf("%s: wait %v, want %v", name, cell.Wait, want)
		}
	}
	check("outstanding", outstanding, asked, read, answering, answered)
	check("downstream", downstream, asking, asked, answering, answered)
}

// What is open when the hooks go off, or on, is not counted, and does not stay
// in the mean for ever. What comes after is counted whole.
func (h *hooked) offAndOn() {
	const open = 3
	client, server := h.connect(1)
	h.on()
	defer h.off()
	h.exchange(client, server, 10)
	clients, servers := h.connect(2 * open)
	h.ask(clients)
	h.read(servers)
	h.want("open", flow{10 + 2*open, 10}, flow{10 + 2*open, 10})
	h.off()

	h.exchange(client, server, 10)
	h.answer(clients[:open], servers[:open])
	h.on()
	h.want("on again", flow{}, flow{})
	h.answer(clients[open:], servers[open:])
	h.want("answers to what nobody counted", flow{}, flow{})

	start := monotonic()
	h.exchange(client, server, 10)
	h.exchange(clients, servers, 2)
	const n = 10 + 2*open*2
	h.want("counted again", flow{n, n}, flow{n, n})
	h.passes(20 * time.Millisecond)
	h.tick(start, monotonic())
	start = monotonic()
	h.passes(20 * time.Millisecond)
	outstanding, downstream := h.tick(start, monotonic())
	if outstanding.Mean != 0 || downstream.Mean != 0 || outstanding.Arrivals != 0 || downstream.Arrivals != 0 {
		h.t.Errorf("after all was answered: %+v, %+v, want none", outstanding, downstream)
	}
}

// A request whose connection is closed has left the queue, whoever closes.
func (h *hooked) close() {
	const open = 4
	h.on()
	defer h.off()
	clients, servers := h.connect(open)
	h.ask(clients)
	h.read(servers)
	h.want("open", flow{open, 0}, flow{open, 0})
	h.server.Close(servers[:2]...)
	h.want("server closed two", flow{open, 2}, flow{open, 0})
	h.client.Close(clients[:2]...)
	h.want("client closed them, too", flow{open, 2}, flow{open, 2})
	h.client.Close(clients[2:]...)
	h.want("client closed two", flow{open, 2}, flow{open, 4})
	h.server.Close(servers[2:]...)
	h.want("server closed them, too", flow{open, 4}, flow{open, 4})

	// With bytes unread a close is a reset.
	clients, servers = h.connect(2)
	h.ask(clients)
	h.server.Receive(servers, requestPart)
	h.server.Close(servers...)
	h.client.Close(clients...)
	h.want("server reset two", flow{open + 2, open + 2}, flow{open + 2, open + 2})
}

// A request begins when it is read and ends when the answer is written, also
// when it lay unread for a while before, or TCP holds the answer back.
func (h *hooked) times() {
	const part = 20 * time.Millisecond
	h.on()
	defer h.off()
	client, server := h.connect(2)
	h.exchange(client, server, 1)
	h.server.Cork(server[1:])
	slot, _, _ := h.slot(h.server)
	for i, name := range []string{"sent at once", "held back"} {
		before, err := h.c.counted.read(slot)
		if err != nil {
			h.t.Fatal(err)
		}
		h.ask(client[i : i+1])
		h.passes(part)
		reading := monotonic()
		h.read(server[i : i+1])
		read := monotonic()
		h.passes(part)
		writing := monotonic()
		h.server.Send(server[i:i+1], replyPart)
		written := monotonic()
		after, err := h.c.counted.read(slot)
		if err != nil {
			h.t.Fatal(err)
		}
		in, out := int64(after.outstanding.in-before.outstanding.in), int64(after.outstanding.out-before.outstanding.out)
		if in < reading || in > read {
			h.t.Errorf("%s: began %v after the read began, which took %v", name, time.Duration(in-reading), time.Duration(read-reading))
		}
		if out < writing || out > written {
			h.t.Errorf("%s: ended %v after the write began, which took %v", name, time.Duration(out-writing), time.Duration(written-writing))
		}
	}
}

// Where TCP's own time is used for a transfer, it is the time of the transfer.
func TestStamps(t *testing.T) {
	c := open(t, Config{})
	found, err := c.programs.probeStamps()
	if errors.Is(err, ErrUnsupported) && !slices.Contains(promised[os.Getenv("SEER_TEST_KERNEL")], "tp_btf") {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", found)
	if !found.send {
		t.Error("a send has no time of its own: every release so far reads the clock in tcp_write_xmit")
	}
}

// A slot that goes to another container leaves it no requests, and the latency
// row goes back.
func TestExactSlotBeginsAnew(t *testing.T) {
	c := open(t, Config{})
	if c.exact == nil {
		if errors.Is(c.exactErr, ErrUnsupported) && promised[os.Getenv("SEER_TEST_KERNEL")] == nil {
			t.Skip(c.exactErr)
		}
		t.Fatal(c.exactErr)
	}
	const slot = 5
	c.counted.follow(map[string]Pick{"test": func(*container.Container) bool { return true }}, 1)
	give := func(owner uint64) uint32 {
		c.memory.rows[slot].Owner = owner
		if _, err := c.counted.judge(slot, c.resolver.Resolve(container.ID(owner))); err != nil {
			t.Fatal(err)
		}
		return c.memory.rows[slot].Exact
	}
	free := len(c.counted.unused)
	first := give(1 << 40)
	if first == 0 || len(c.counted.unused) != free-1 {
		t.Fatalf("chosen as %#x, %d of %d latency rows left", first, len(c.counted.unused), free)
	}
	row := make([]bpf.RequestTracepointExactRow, len(c.counted.cpus))
	row[0].Outstanding.Arrivals, row[0].Downstream.Departures = 3, 4
	if err := c.counted.rows.Put(uint32(slot), row); err != nil {
		t.Fatal(err)
	}
	if got, err := c.counted.read(slot); err != nil || got.outstanding.arrivals != 3 || got.downstream.departures != 4 {
		t.Fatalf("read = %+v, %v", got, err)
	}
	if err := c.slots.release(slot); err != nil {
		t.Fatal(err)
	}
	second := give(2 << 40)
	if second == 0 || second>>exactLatencyBits == first>>exactLatencyBits {
		t.Errorf("chosen as %#x after %#x, want another number", second, first)
	}
	if got, err := c.counted.read(slot); err != nil || got != (exactPast{}) {
		t.Errorf("read = %+v, %v of another container, want nothing", got, err)
	}
	if len(c.counted.unused) != free-1 {
		t.Errorf("%d of %d latency rows left, want one less", len(c.counted.unused), free)
	}
	c.counted.nobody()
	if got := c.memory.rows[slot].Exact; got != 0 || len(c.counted.unused) != free {
		t.Errorf("after all: chosen as %#x, %d of %d latency rows left", got, len(c.counted.unused), free)
	}
}

// Requests are counted of whom somebody picked, while somebody does, and what was
// open meanwhile is not.
func (h *hooked) choose() {
	const n = 11
	client, server := h.connect(1)
	h.on()
	defer h.off()
	is := func(p *lab.Sockets) Pick {
		_, owner, _ := h.slot(p)
		return func(c *container.Container) bool { return c.ID == container.ID(owner) }
	}
	h.exchange(client, server, n)
	h.want("both", flow{n, n}, flow{n, n})

	h.pick(is(h.client))
	h.exchange(client, server, n)
	h.want("client alone", flow{n, n}, flow{2 * n, 2 * n})

	h.ask(client)
	h.read(server)
	h.pick(func(*container.Container) bool { return true })
	h.want("server again", flow{}, flow{2*n + 1, 2 * n})
	h.answer(client, server)
	h.want("answered", flow{}, flow{2*n + 1, 2*n + 1})
	h.exchange(client, server, n)
	h.want("and on", flow{n, n}, flow{3*n + 1, 3*n + 1})

	h.pick(nil)
	h.exchange(client, server, n)
	h.want("nobody", flow{n, n}, flow{3*n + 1, 3*n + 1})
}

// Each request is timed once, to the first and to the last byte of its answer, at
// both ends.
func (h *hooked) latencies() {
	const wait = 8 * time.Millisecond
	client, server := h.connect(1)
	h.on()
	defer h.off()
	h.timed(h.server)
	h.timed(h.client)

	asking := monotonic()
	h.ask(client)
	asked := monotonic()
	reading := asked
	h.read(server)
	read := monotonic()
	h.passes(wait)
	first := monotonic()
	h.server.Send(server, replyPart)
	firstSent := monotonic()
	h.client.Receive(client, replyPart)
	h.passes(wait)
	last := monotonic()
	h.server.Send(server, replyPart)
	lastSent := monotonic()
	h.client.Receive(client, replyPart)
	lastHeard := monotonic()

	check := func(name string, got latency.Histogram, least, most int64) {
		h.t.Helper()
		from, to := latency.Bucket(uint64(least)), latency.Bucket(uint64(most))
		for bucket, n := range got.Counts {
			if n != 0 && (bucket < from || bucket > to) {
				h.t.Errorf("%s: %d requests in bucket %d, want %d to %d (%v to %v)", name, n, bucket, from, to, time.Duration(least), time.Duration(most))
			}
		}
		if got.N != 1 {
			h.t.Errorf("%s: %d requests, want 1", name, got.N)
		}
	}
	at := h.timed(h.server)
	check("served, first byte", at.ServedFirst, first-read, firstSent-reading)
	check("served", at.Served, last-read, lastSent-reading)
	at = h.timed(h.client)
	check("called", at.Called, last-asked, lastHeard-asking)
	if at.Served.N != 0 || at.ServedFirst.N != 0 {
		h.t.Errorf("client: %d, %d requests served, want none", at.Served.N, at.ServedFirst.N)
	}
}

// Requests that are open show how old they are, once for each look; those that are
// answered, or at the client's end, do not.
func (h *hooked) ages(flavour string) {
	if flavour == "kretprobe" {
		return // keeps its connections apart, where passes do not look
	}
	const wait = 8 * time.Millisecond
	clients, servers := h.connect(4)
	h.on()
	defer h.off()
	look := func(p *lab.Sockets) (o OpenRow) {
		h.t.Helper()
		slot, owner, _ := h.slot(p)
		chosen, err := h.c.counted.judge(int(slot), h.c.resolver.Resolve(container.ID(owner)))
		if err != nil || chosen == nil {
			h.t.Fatalf("chosen %v, %v", chosen, err)
		}
		h.c.counted.ages(chosen, &OpenRow{}) // of earlier looks
		h.c.memory.control.AgesPass = h.c.socket.pass + 1
		h.c.visit(h.c.socket)
		h.c.counted.ages(chosen, &o)
		return o
	}
	h.exchange(clients, servers, 1)
	h.ask(clients[:3])
	asked := monotonic()
	h.read(servers[:3])
	read := monotonic()
	h.passes(wait)
	for range 2 {
		from := latency.Bucket(uint64(monotonic() - read))
		got := look(h.server)
		to := latency.Bucket(uint64(monotonic() - asked))
		if got.Ages.N != 3 {
			h.t.Errorf("%d requests are open, want 3", got.Ages.N)
		}
		for bucket, n := range got.Ages.Counts {
			if n != 0 && (bucket < from || bucket > to) {
				h.t.Errorf("%d open requests in bucket %d, want %d to %d", n, bucket, from, to)
			}
		}
		if got := look(h.client); got.Ages.N != 0 {
			h.t.Errorf("%d requests are open at the client, want none", got.Ages.N)
		}
	}
	h.answer(clients[:3], servers[:3])
	if got := look(h.server); got.Ages.N != 0 {
		h.t.Errorf("%d requests are open after all were answered", got.Ages.N)
	}
}

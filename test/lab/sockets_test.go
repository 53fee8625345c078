//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
)

func TestNeverAccepted(t *testing.T) {
	for _, tt := range []struct{ name, network, listen, connect, to string }{
		{"v4", "tcp4", "127.0.0.1:0", "tcp4", "127.0.0.1"},
		{"v6", "tcp6", "[::1]:0", "tcp6", "[::1]"},
		{"v4-mapped", "tcp6", "[::]:0", "tcp4", "127.0.0.1"},
		{"multipath", "mptcp4", "127.0.0.1:0", "tcp4", "127.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.network == "mptcp4" && !HasMPTCP() {
				t.Skip("not supported: no Multipath TCP")
			}
			server := NewContainer(t, "server", Options{}).Sockets()
			client := NewContainer(t, "client", Options{}).Sockets()
			l := server.Listen(tt.network, tt.listen, 61)
			client.Connect(tt.connect, tt.to+":"+l.Port(), 23)
			s := server.Stat(l)[0]
			if s.State != StateListen || s.Backlog != 23 || s.BacklogLimit != 61 {
				t.Errorf("Stat(listener) = %+v, want backlog 23 of 61", s)
			}
			if ss, err := exec.LookPath("ss"); err == nil {
				out, err := exec.Command(ss, "-Hltn", "sport = :"+l.Port()).CombinedOutput()
				f := strings.Fields(string(out))
				if err != nil || len(f) < 3 || f[1] != "23" || f[2] != "61" {
					t.Errorf("ss = %q, %v, want Recv-Q 23, Send-Q 61", out, err)
				}
			}
			server.Accept(l, 20)
			if got := server.Stat(l)[0].Backlog; got != 3 {
				t.Errorf("backlog after 20 accepts = %d, want 3", got)
			}
		})
	}
}

func TestUnreadAndAnswered(t *testing.T) {
	server := NewContainer(t, "server", Options{}).Sockets()
	client := NewContainer(t, "client", Options{}).Sockets()
	l := server.Listen("tcp4", "127.0.0.1:0", 128)
	out := client.Connect("tcp4", l.Addr, 7)
	in := server.Accept(l, 7)
	client.Send(out, 1000)
	server.Settled("1000 bytes unread on each", func(s []Stat) bool {
		for _, s := range s {
			if s.Unread != 1000 {
				return false
			}
		}
		return true
	}, in...)
	server.Receive(in, 1000)
	server.Send(in, 10)
	client.Receive(out, 10)
	for i, s := range append(server.Stat(in...), client.Stat(out...)...) {
		if s.Unread != 0 || s.State != StateEstablished {
			t.Errorf("Stat(%d) after the answer = %+v, want nothing unread", i, s)
		}
	}
}

func TestFillAgainstStoppedReader(t *testing.T) {
	server := NewContainer(t, "server", Options{}).Sockets()
	client := NewContainer(t, "client", Options{}).Sockets()
	l := server.Listen("tcp4", "127.0.0.1:0", 8)
	out := client.Connect("tcp4", l.Addr, 1)[0]
	in := server.Accept(l, 1)[0]
	written := client.Fill(out)
	c, s := client.Stat(out)[0], server.Stat(in)[0]
	if c.Unsent == 0 || c.Unsent+s.Unread != written {
		t.Errorf("Fill wrote %d, want SIOCOUTQ %d + SIOCINQ %d", written, c.Unsent, s.Unread)
	}
	server.Receive([]Socket{in}, written)
	client.Settled("everything acknowledged", func(s []Stat) bool { return s[0].Unsent == 0 }, out)
}

func TestEpollReady(t *testing.T) {
	p := NewContainer(t, "epoll", Options{}).Sockets()
	events := p.EventFDs(40, 13)
	ep := p.Epoll(events)
	for range 2 { // level triggered: they stay
		if got := p.EpollWait(ep, 64); got != 13 {
			t.Errorf("EpollWait = %d, want 13", got)
		}
	}
}

func TestUnixSockets(t *testing.T) {
	for _, tt := range []struct {
		network string
		unread  int // what SIOCINQ says after two messages of 100 bytes
	}{
		{"unix", 200}, {"unixpacket", 200}, {"unixgram", 100}, // datagrams: the first only
	} {
		t.Run(tt.network, func(t *testing.T) {
			server := NewContainer(t, "server", Options{}).Sockets()
			client := NewContainer(t, "client", Options{}).Sockets()
			name := fmt.Sprintf("seer-lab-%d-%s", server.PID, tt.network)
			l := server.Listen(tt.network, name, 16)
			out := client.Connect(tt.network, name, 1)
			in := []Socket{l}
			if tt.network != "unixgram" {
				in = server.Accept(l, 1)
			}
			client.Send(out, 100)
			client.Send(out, 100)
			if got := server.Stat(in...)[0].Unread; got != tt.unread {
				t.Errorf("SIOCINQ = %d, want %d", got, tt.unread)
			}
			if got := client.Stat(out...)[0].Unsent; got < 200 {
				t.Errorf("SIOCOUTQ = %d, want the two messages' buffers, at least 200", got)
			}
		})
	}
}

func TestPassDescriptor(t *testing.T) {
	first := NewContainer(t, "first", Options{}).Sockets()
	second := NewContainer(t, "second", Options{}).Sockets()
	name := fmt.Sprintf("seer-lab-%d-pass", first.PID)
	l := second.Listen("unix", name, 1)
	via := first.Connect("unix", name, 1)[0]
	end := second.Accept(l, 1)[0]

	tcp := first.Listen("tcp4", "127.0.0.1:0", 9)
	inode := first.Stat(tcp)[0].Inode
	first.Give(via, tcp)
	got := second.Take(end, 1)[0]
	if s := second.Stat(got)[0]; s.Inode != inode || s.State != StateListen || got.Addr != tcp.Addr {
		t.Errorf("Take = %+v, %+v, want the listener with inode %d at %s", got, s, inode, tcp.Addr)
	}
	if err := first.TryCall("stat", []int{tcp.FD}, nil); err == nil {
		t.Error("the giver still has the listener")
	}
}

func TestHalfOpen(t *testing.T) {
	n := NewNetwork(t)
	web := NewContainer(t, "web", Options{Network: n})
	far := NewContainer(t, "far", Options{Network: n})
	server, client := web.Sockets(), far.Sockets()
	l := server.Listen("tcp4", netip.AddrPortFrom(web.Addr, 0).String(), 128)
	out := client.ConnectFrom("tcp4", far.Unanswered(), l.Addr, 17)
	Wait(t, "17 half-open connections", func() (bool, string) {
		got := SocketsInState(t, server.PID, l.Port(), StateSynRecv)
		return got == 17, fmt.Sprint(got)
	})
	for i, s := range client.Stat(out...) {
		if s.State != StateSynSent {
			t.Errorf("client %d in state %d, want SYN_SENT", i, s.State)
		}
	}
	far.Answer()
	server.Settled("all established", func(s []Stat) bool { return s[0].Backlog == 17 }, l)
	if got := SocketsInState(t, server.PID, l.Port(), StateSynRecv); got != 0 {
		t.Errorf("half-open after the answer = %d, want 0", got)
	}
}

func TestNetworkReaches(t *testing.T) {
	n := NewNetwork(t)
	web, app := NewContainer(t, "web", Options{Network: n}), NewContainer(t, "app", Options{Network: n})
	server, client := web.Sockets(), app.Sockets()
	for network, addr := range map[string]netip.Addr{"tcp4": web.Addr, "tcp6": web.Addr6} {
		l := server.Listen(network, netip.AddrPortFrom(addr, 0).String(), 4)
		client.Connect(network, l.Addr, 3)
		server.Settled("3 arrived", func(s []Stat) bool { return s[0].Backlog == 3 }, l)
	}
}

func TestThrottle(t *testing.T) {
	n := NewNetwork(t)
	sink := NewContainer(t, "sink", Options{Network: n})
	source := NewContainer(t, "source", Options{Network: n})
	server, client := sink.Sockets(), source.Sockets()
	l := server.Listen("tcp4", netip.AddrPortFrom(sink.Addr, 0).String(), 8)
	out := client.Connect("tcp4", l.Addr, 4)
	server.Accept(l, 4)
	// 4 KiB/s: what is queued now is queued still when we have read it.
	th := source.Throttle(4096, 2048, 1<<20)
	client.Send(out, 32<<10)
	Wait(t, "packets in the filter", func() (bool, string) {
		b := th.Backlog()
		return b > 8<<10, fmt.Sprintf("%d bytes", b)
	})
	wmem := 0
	for _, s := range client.Stat(out...) {
		wmem += s.Wmem
		if s.Unsent == 0 {
			t.Errorf("Stat = %+v, want bytes not acknowledged", s)
		}
	}
	// sk_wmem_alloc counts the packet buffers, the filter their bytes.
	if b := int(th.Backlog()); wmem < b {
		t.Errorf("sk_wmem_alloc = %d, want at least the filter's backlog, %d", wmem, b)
	}
}

//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// Sockets is a process that makes exactly the socket system calls it is told
// to, from one thread, and owns nothing else: no epoll instance, no idle
// connection. Every method returns after the calls have, and fails the test
// if one of them does.
type Sockets struct {
	*Process
}

// Sockets starts such a process in the container.
func (c *Container) Sockets() *Sockets {
	c.t.Helper()
	return &Sockets{c.Start("sockets", nil)}
}

// Socket is a descriptor of a Sockets process.
type Socket struct {
	FD   int    `json:"fd"`
	Addr string `json:"addr"` // local: address and port, or @name of a unix socket
}

// AddrPort returns the local address of an internet socket.
func (s Socket) AddrPort() netip.AddrPort { return netip.MustParseAddrPort(s.Addr) }

// Port returns the local port of an internet socket.
func (s Socket) Port() string { return strconv.Itoa(int(s.AddrPort().Port())) }

type listenArgs struct {
	Network string `json:"network"`
	Addr    string `json:"addr"`
	Backlog int    `json:"backlog"`
}

// Listen opens a listening socket; it accepts nothing until Accept. network
// is tcp4, tcp6 (which takes v4-mapped peers too when addr is [::]), mptcp4
// (as every Go server does since 1.24), unix, unixpacket or unixgram (bound,
// nothing to accept). A unix address is a
// name, put into the abstract namespace.
func (s *Sockets) Listen(network, addr string, backlog int) Socket {
	s.t.Helper()
	var out Socket
	s.Call("listen", listenArgs{network, addr, backlog}, &out)
	return out
}

// HasMPTCP says whether the kernel offers Multipath TCP.
func HasMPTCP() bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

type connectArgs struct {
	Network string `json:"network"`
	From    string `json:"from,omitempty"`
	Addr    string `json:"addr"`
	N       int    `json:"n"`
	Wait    bool   `json:"wait"`
}

// Connect opens n connections and waits until all are established.
func (s *Sockets) Connect(network, addr string, n int) []Socket {
	s.t.Helper()
	var out []Socket
	s.Call("connect", connectArgs{Network: network, Addr: addr, N: n, Wait: true}, &out)
	return out
}

// ConnectFrom begins n connections from a local address and does not wait.
func (s *Sockets) ConnectFrom(network string, from netip.Addr, addr string, n int) []Socket {
	s.t.Helper()
	var out []Socket
	s.Call("connect", connectArgs{Network: network, From: netip.AddrPortFrom(from, 0).String(), Addr: addr, N: n}, &out)
	return out
}

// Refused makes n attempts to connect to where nobody listens.
func (s *Sockets) Refused(network, addr string, n int) {
	s.t.Helper()
	s.Call("refused", connectArgs{Network: network, Addr: addr, N: n}, nil)
}

type fdCount struct {
	FD int `json:"fd"`
	N  int `json:"n"`
}

// Accept takes n connections from a listening socket.
func (s *Sockets) Accept(l Socket, n int) []Socket {
	s.t.Helper()
	var out []Socket
	s.Call("accept", fdCount{l.FD, n}, &out)
	return out
}

// Pair returns two connected unix sockets; network is unix, unixpacket or
// unixgram.
func (s *Sockets) Pair(network string) (Socket, Socket) {
	s.t.Helper()
	var out [2]Socket
	s.Call("pair", network, &out)
	return out[0], out[1]
}

type fdsCount struct {
	FDs []int `json:"fds"`
	N   int   `json:"n"`
}

func fds(sockets []Socket) []int {
	out := make([]int, len(sockets))
	for i, s := range sockets {
		out[i] = s.FD
	}
	return out
}

// Send writes n bytes to each socket, in one call where the socket takes them.
func (s *Sockets) Send(to []Socket, n int) {
	s.t.Helper()
	s.Call("send", fdsCount{fds(to), n}, nil)
}

// Datagrams sends n messages of one byte to the peer of each socket (udp4, udp6).
func (s *Sockets) Datagrams(to []Socket, n int) {
	s.t.Helper()
	s.Call("datagrams", fdsCount{fds(to), n}, nil)
}

// Receive reads exactly n bytes from each socket.
func (s *Sockets) Receive(from []Socket, n int) {
	s.t.Helper()
	s.Call("receive", fdsCount{fds(from), n}, nil)
}

// Peek looks at the n bytes of each socket, sent in one call, and leaves them there.
func (s *Sockets) Peek(at []Socket, n int) {
	s.t.Helper()
	s.Call("peek", fdsCount{fds(at), n}, nil)
}

// Cork makes the kernel hold back what is written to each socket, until a segment
// is full or 200 ms are over (TCP_CORK in tcp(7)).
func (s *Sockets) Cork(socks []Socket) {
	s.t.Helper()
	s.Call("cork", fds(socks), nil)
}

// Fill writes to a socket until its buffer takes no more and nothing has
// moved for a while; it returns the bytes written.
func (s *Sockets) Fill(to Socket) int {
	s.t.Helper()
	var n int
	s.Call("fill", to.FD, &n)
	return n
}

// Close closes the sockets.
func (s *Sockets) Close(sockets ...Socket) {
	s.t.Helper()
	s.Call("close", fds(sockets), nil)
}

// EventFDs returns n event counters; the first ready of them are readable.
func (s *Sockets) EventFDs(n, ready int) []Socket {
	s.t.Helper()
	var out []Socket
	s.Call("eventfds", fdCount{ready, n}, &out)
	return out
}

// Epoll returns an epoll instance watching the sockets for input, level
// triggered. Nothing is collected until EpollWait.
func (s *Sockets) Epoll(watched []Socket) Socket {
	s.t.Helper()
	var out Socket
	s.Call("epoll", fds(watched), &out)
	return out
}

// EpollWait collects up to n events and returns how many there were.
func (s *Sockets) EpollWait(ep Socket, n int) int {
	s.t.Helper()
	var got int
	s.Call("epollwait", fdCount{ep.FD, n}, &got)
	return got
}

type passArgs struct {
	Via int   `json:"via"`
	FDs []int `json:"fds"`
}

// Give sends descriptors over a connected unix socket (SCM_RIGHTS) and closes
// its own copies.
func (s *Sockets) Give(via Socket, sockets ...Socket) {
	s.t.Helper()
	s.Call("give", passArgs{via.FD, fds(sockets)}, nil)
}

// Take receives the n descriptors of one Give.
func (s *Sockets) Take(via Socket, n int) []Socket {
	s.t.Helper()
	var out []Socket
	s.Call("take", fdCount{via.FD, n}, &out)
	return out
}

// Stat is what the kernel says about one socket, by ioctl and getsockopt.
type Stat struct {
	Inode uint64 `json:"inode"`

	Unread int `json:"unread"` // SIOCINQ, bytes; not for listeners
	Unsent int `json:"unsent"` // SIOCOUTQ: TCP, bytes not acknowledged; unix, buffer bytes not read
	Wmem   int `json:"wmem"`   // SK_MEMINFO_WMEM_ALLOC: buffer bytes below TCP

	// TCP only, from TCP_INFO.
	State        uint8 `json:"state"`
	Backlog      int   `json:"backlog"`       // listener: not accepted
	BacklogLimit int   `json:"backlog_limit"` // listener
	SegmentsOut  int   `json:"segments_out"`  // sent since it was made, with SYN and repetitions
}

// TCP states as TCP_INFO and /proc/net/tcp give them (include/net/tcp_states.h).
const (
	StateEstablished = 1
	StateSynSent     = 2
	StateSynRecv     = 3
	StateListen      = 10
)

// Stat asks the kernel about each socket.
func (s *Sockets) Stat(sockets ...Socket) []Stat {
	s.t.Helper()
	var out []Stat
	s.Call("stat", fds(sockets), &out)
	return out
}

// Settled waits until every byte and handshake is where it will stay: cond
// holds for the sockets' state.
func (s *Sockets) Settled(what string, cond func([]Stat) bool, sockets ...Socket) []Stat {
	s.t.Helper()
	var last []Stat
	Wait(s.t, what, func() (bool, string) {
		last = s.Stat(sockets...)
		return cond(last), fmt.Sprintf("%+v", last)
	})
	return last
}

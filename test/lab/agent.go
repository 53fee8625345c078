//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file is the child's side of Sockets. All sockets are non-blocking and
// waits use poll(2), so that a call which never completes becomes an error
// with a name instead of a hung test.

func socketsWorkload(w *Worker) error {
	if err := w.Begin(nil); err != nil {
		return err
	}
	return w.Serve(map[string]Handler{
		"listen":    Handle(opListen),
		"connect":   Handle(opConnect),
		"refused":   Handle(opRefused),
		"accept":    Handle(opAccept),
		"pair":      Handle(opPair),
		"send":      Handle(opSend),
		"datagrams": Handle(opDatagrams),
		"receive":   Handle(opReceive),
		"peek":      Handle(opPeek),
		"cork":      Handle(opCork),
		"fill":      Handle(opFill),
		"close":     Handle(opClose),
		"eventfds":  Handle(opEventFDs),
		"epoll":     Handle(opEpoll),
		"epollwait": Handle(opEpollWait),
		"give":      Handle(opGive),
		"take":      Handle(opTake),
		"stat":      Handle(opStat),
	})
}

// sockaddr converts the text form of an address for one of our networks.
func sockaddr(network, addr string) (domain, kind, protocol int, sa unix.Sockaddr, err error) {
	switch network {
	case "unix", "unixpacket", "unixgram":
		kind = map[string]int{"unix": unix.SOCK_STREAM, "unixpacket": unix.SOCK_SEQPACKET, "unixgram": unix.SOCK_DGRAM}[network]
		return unix.AF_UNIX, kind, 0, &unix.SockaddrUnix{Name: "@" + addr}, nil
	case "tcp4", "tcp6", "mptcp4", "udp4", "udp6":
		ap, err := netip.ParseAddrPort(addr)
		if err != nil {
			return 0, 0, 0, nil, err
		}
		kind = unix.SOCK_STREAM
		if network == "udp4" || network == "udp6" {
			kind = unix.SOCK_DGRAM
		}
		if network == "mptcp4" {
			protocol = unix.IPPROTO_MPTCP
		}
		if network != "tcp6" && network != "udp6" {
			return unix.AF_INET, kind, protocol, &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().Unmap().As4()}, nil
		}
		return unix.AF_INET6, kind, 0, &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}, nil
	}
	return 0, 0, 0, nil, fmt.Errorf("no network %q", network)
}

// localAddr returns a descriptor's own address, empty where it has none.
func localAddr(fd int) string {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return ""
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)).String()
	case *unix.SockaddrUnix:
		if len(sa.Name) > 0 {
			return sa.Name[1:]
		}
	}
	return ""
}

// ready waits for one of the poll events on fd.
func ready(fd int, events int16) error {
	end := time.Now().Add(Deadline)
	for {
		p := []unix.PollFd{{Fd: int32(fd), Events: events}}
		left := time.Until(end)
		if left <= 0 {
			return fmt.Errorf("descriptor %d: not ready (poll events %#x) within %s", fd, events, Deadline)
		}
		n, err := unix.Poll(p, int(left.Milliseconds())+1)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("poll descriptor %d: %w", fd, err)
		}
		if n > 0 {
			return nil
		}
	}
}

func opListen(a listenArgs) (Socket, error) {
	domain, kind, protocol, sa, err := sockaddr(a.Network, a.Addr)
	if err != nil {
		return Socket{}, err
	}
	fd, err := unix.Socket(domain, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return Socket{}, fmt.Errorf("socket: %w", err)
	}
	if err := unix.Bind(fd, sa); err != nil {
		return Socket{}, fmt.Errorf("bind %s: %w", a.Addr, err)
	}
	if kind != unix.SOCK_DGRAM {
		if err := unix.Listen(fd, a.Backlog); err != nil {
			return Socket{}, fmt.Errorf("listen: %w", err)
		}
	}
	return Socket{fd, localAddr(fd)}, nil
}

// opRefused makes attempts to connect that must fail.
func opRefused(a connectArgs) (any, error) {
	for range a.N {
		domain, kind, protocol, sa, err := sockaddr(a.Network, a.Addr)
		if err != nil {
			return nil, err
		}
		fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, protocol)
		if err != nil {
			return nil, fmt.Errorf("socket: %w", err)
		}
		err = unix.Connect(fd, sa)
		unix.Close(fd)
		if err == nil {
			return nil, fmt.Errorf("connect to %s: accepted, want a refusal", a.Addr)
		}
		if !errors.Is(err, unix.ECONNREFUSED) {
			return nil, fmt.Errorf("connect to %s: %w, want a refusal", a.Addr, err)
		}
	}
	return nil, nil
}

func opConnect(a connectArgs) ([]Socket, error) {
	domain, kind, protocol, sa, err := sockaddr(a.Network, a.Addr)
	if err != nil {
		return nil, err
	}
	out := make([]Socket, 0, a.N)
	for range a.N {
		fd, err := unix.Socket(domain, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
		if err != nil {
			return nil, fmt.Errorf("socket: %w", err)
		}
		if a.From != "" {
			_, _, _, from, err := sockaddr(a.Network, a.From)
			if err != nil {
				return nil, err
			}
			if err := unix.Bind(fd, from); err != nil {
				return nil, fmt.Errorf("bind %s: %w", a.From, err)
			}
		}
		err = unix.Connect(fd, sa)
		if err != nil && err != unix.EINPROGRESS {
			return nil, fmt.Errorf("connect to %s: %w", a.Addr, err)
		}
		if a.Wait && err == unix.EINPROGRESS {
			if err := ready(fd, unix.POLLOUT); err != nil {
				return nil, fmt.Errorf("connect to %s: %w", a.Addr, err)
			}
			if code, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); code != 0 {
				return nil, fmt.Errorf("connect to %s: %w", a.Addr, unix.Errno(code))
			}
		}
		out = append(out, Socket{fd, localAddr(fd)})
	}
	return out, nil
}

func opAccept(a fdCount) ([]Socket, error) {
	out := make([]Socket, 0, a.N)
	for range a.N {
		if err := ready(a.FD, unix.POLLIN); err != nil {
			return nil, fmt.Errorf("accept: %w", err)
		}
		fd, _, err := unix.Accept4(a.FD, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return nil, fmt.Errorf("accept: %w", err)
		}
		out = append(out, Socket{fd, localAddr(fd)})
	}
	return out, nil
}

func opPair(network string) ([2]Socket, error) {
	_, kind, _, _, err := sockaddr(network, "")
	if err != nil {
		return [2]Socket{}, err
	}
	p, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	return [2]Socket{{FD: p[0]}, {FD: p[1]}}, err
}

func opSend(a fdsCount) (any, error) {
	buf := make([]byte, a.N)
	for _, fd := range a.FDs {
		for left := buf; len(left) > 0; {
			n, err := unix.Write(fd, left)
			switch {
			case err == unix.EAGAIN:
				if err := ready(fd, unix.POLLOUT); err != nil {
					return nil, fmt.Errorf("send: %w", err)
				}
			case err != nil && err != unix.EINTR:
				return nil, fmt.Errorf("send: %w", err)
			case err == nil:
				left = left[n:]
			}
		}
	}
	return nil, nil
}

// opDatagrams sends n messages of one byte on each socket.
func opDatagrams(a fdsCount) (any, error) {
	for _, fd := range a.FDs {
		for range a.N {
			if err := unix.Send(fd, []byte{1}, 0); err != nil {
				return nil, fmt.Errorf("send datagram: %w", err)
			}
		}
	}
	return nil, nil
}

func opReceive(a fdsCount) (any, error) {
	buf := make([]byte, min(a.N, 1<<20))
	for _, fd := range a.FDs {
		for left := a.N; left > 0; {
			n, err := unix.Read(fd, buf[:min(left, len(buf))])
			switch {
			case err == unix.EAGAIN:
				if err := ready(fd, unix.POLLIN); err != nil {
					return nil, fmt.Errorf("receive: %w", err)
				}
			case err == unix.EINTR:
			case err != nil:
				return nil, fmt.Errorf("receive: %w", err)
			case n == 0:
				return nil, fmt.Errorf("receive: peer closed with %d bytes missing", left)
			default:
				left -= n
			}
		}
	}
	return nil, nil
}

func opPeek(a fdsCount) (any, error) {
	buf := make([]byte, a.N)
	for _, fd := range a.FDs {
		if err := ready(fd, unix.POLLIN); err != nil {
			return nil, fmt.Errorf("peek: %w", err)
		}
		n, _, err := unix.Recvfrom(fd, buf, unix.MSG_PEEK)
		if err != nil || n != a.N {
			return nil, fmt.Errorf("peek: %d bytes of %d: %w", n, a.N, err)
		}
	}
	return nil, nil
}

func opCork(fds []int) (any, error) {
	for _, fd := range fds {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_CORK, 1); err != nil {
			return nil, fmt.Errorf("cork %d: %w", fd, err)
		}
	}
	return nil, nil
}

// opFill stops when neither the writer nor the transport has moved for 300 ms:
// the receiver grows its window for as long as it gets data, so one refused
// write is not the end.
func opFill(fd int) (int, error) {
	const still = 300 // milliseconds
	buf := make([]byte, 64<<10)
	total, queued := 0, -1
	for {
		n, err := unix.Write(fd, buf)
		if err == nil {
			total += n
			continue
		}
		if err != unix.EAGAIN && err != unix.EINTR {
			return total, fmt.Errorf("fill: %w", err)
		}
		n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, still)
		if err != nil && err != unix.EINTR {
			return total, fmt.Errorf("fill: %w", err)
		}
		out, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		if err != nil {
			return total, fmt.Errorf("fill: SIOCOUTQ: %w", err)
		}
		if n == 0 && out == queued {
			return total, nil
		}
		queued = out
	}
}

func opClose(fds []int) (any, error) {
	for _, fd := range fds {
		if err := unix.Close(fd); err != nil {
			return nil, fmt.Errorf("close %d: %w", fd, err)
		}
	}
	return nil, nil
}

// opEventFDs makes a.N counters, a.FD of them readable.
func opEventFDs(a fdCount) ([]Socket, error) {
	out := make([]Socket, 0, a.N)
	for i := range a.N {
		value := uint(0)
		if i < a.FD {
			value = 1
		}
		fd, err := unix.Eventfd(value, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
		if err != nil {
			return nil, fmt.Errorf("eventfd: %w", err)
		}
		out = append(out, Socket{FD: fd})
	}
	return out, nil
}

func opEpoll(fds []int) (Socket, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return Socket{}, fmt.Errorf("epoll_create1: %w", err)
	}
	for _, fd := range fds {
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
		if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
			return Socket{}, fmt.Errorf("epoll_ctl: %w", err)
		}
	}
	return Socket{FD: ep}, nil
}

func opEpollWait(a fdCount) (int, error) {
	n, err := unix.EpollWait(a.FD, make([]unix.EpollEvent, a.N), int(Deadline.Milliseconds()))
	if err != nil {
		return 0, fmt.Errorf("epoll_wait: %w", err)
	}
	return n, nil
}

func opGive(a passArgs) (any, error) {
	if err := unix.Sendmsg(a.Via, []byte{0}, unix.UnixRights(a.FDs...), nil, 0); err != nil {
		return nil, fmt.Errorf("give: %w", err)
	}
	return opClose(a.FDs)
}

func opTake(a fdCount) ([]Socket, error) {
	if err := ready(a.FD, unix.POLLIN); err != nil {
		return nil, fmt.Errorf("take: %w", err)
	}
	oob := make([]byte, unix.CmsgSpace(4*a.N))
	_, n, _, _, err := unix.Recvmsg(a.FD, make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("take: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return nil, fmt.Errorf("take: %w", err)
	}
	var out []Socket
	for _, m := range messages {
		got, err := unix.ParseUnixRights(&m)
		if err != nil {
			return nil, fmt.Errorf("take: %w", err)
		}
		for _, fd := range got {
			out = append(out, Socket{fd, localAddr(fd)})
		}
	}
	if len(out) != a.N {
		return nil, fmt.Errorf("take: got %d descriptors, want %d", len(out), a.N)
	}
	return out, nil
}

func opStat(fds []int) ([]Stat, error) {
	out := make([]Stat, 0, len(fds))
	for _, fd := range fds {
		var file unix.Stat_t
		if err := unix.Fstat(fd, &file); err != nil {
			return nil, fmt.Errorf("stat %d: %w", fd, err)
		}
		s := Stat{Inode: file.Ino}
		mem, err := meminfo(fd)
		if err != nil {
			return nil, fmt.Errorf("stat %d: %w", fd, err)
		}
		s.Wmem = int(mem[skMeminfoWmemAlloc])
		if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			s.State, s.SegmentsOut = info.State, int(info.Segs_out)
			if info.State == StateListen {
				// A listener shows its backlog in two fields that mean
				// something else in other states (tcp_get_info).
				s.Backlog, s.BacklogLimit = int(info.Unacked), int(info.Sacked)
				out = append(out, s)
				continue
			}
		}
		if s.Unread, err = unix.IoctlGetInt(fd, unix.SIOCINQ); err != nil && !errors.Is(err, unix.EINVAL) {
			return nil, fmt.Errorf("stat %d: SIOCINQ: %w", fd, err)
		}
		if s.Unsent, err = unix.IoctlGetInt(fd, unix.SIOCOUTQ); err != nil && !errors.Is(err, unix.EINVAL) {
			return nil, fmt.Errorf("stat %d: SIOCOUTQ: %w", fd, err)
		}
		out = append(out, s)
	}
	return out, nil
}

// skMeminfoWmemAlloc is SK_MEMINFO_WMEM_ALLOC, the index of
// sk_wmem_alloc_get() in what SO_MEMINFO returns (linux/sock_diag.h).
const skMeminfoWmemAlloc = 2

func meminfo(fd int) ([9]uint32, error) {
	var mem [9]uint32
	size := uint32(unsafe.Sizeof(mem))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&mem)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return mem, os.NewSyscallError("SO_MEMINFO", errno)
	}
	return mem, nil
}

package collector

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"seer/bpf"
	"seer/collector/container"
)

// tcpStates are ss(8)'s words for include/net/tcp_states.h.
var tcpStates = [...]string{
	1: "ESTAB", 2: "SYN-SENT", 3: "SYN-RECV", 4: "FIN-WAIT-1", 5: "FIN-WAIT-2", 6: "TIME-WAIT",
	7: "UNCONN", 8: "CLOSE-WAIT", 9: "LAST-ACK", 10: "LISTEN", 11: "CLOSING", 12: "SYN-RECV",
}

// Sockets appends every tracked socket to dst, as the last pass over it found
// it. It walks the kernel's list and may run beside passes, one call at a time.
func (c *Collector) Sockets(ctx context.Context, dst []Socket) ([]Socket, error) {
	c.dumping.Lock()
	defer c.dumping.Unlock()
	if c.programs.dump == nil {
		return dst, fmt.Errorf("list sockets: %w", errOr(c.dumpErr, ErrUnsupported))
	}
	c.memory.control.Dump++
	fd, err := c.programs.dump.open()
	if err != nil {
		return dst, fmt.Errorf("list sockets: %w", err)
	}
	defer unix.Close(fd)
	const size = int(unsafe.Sizeof(bpf.DumpSocketRecord{}))
	// Less than the kernel's own buffer, eight pages: a record that does not fit
	// into that one is lost, as its socket counts as listed.
	buf := make([]byte, 256*size)
	kept := 0
	for {
		if err := ctx.Err(); err != nil {
			return dst, err
		}
		n, err := unix.Read(fd, buf[kept:])
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err != nil {
			return dst, fmt.Errorf("list sockets: %w", err)
		}
		if n == 0 {
			return dst, nil
		}
		n += kept
		used := 0
		for ; used+size <= n; used += size {
			record := (*bpf.DumpSocketRecord)(unsafe.Pointer(&buf[used]))
			dst = append(dst, socketOf(record))
		}
		kept = copy(buf, buf[used:n])
	}
}

func errOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

func socketOf(r *bpf.DumpSocketRecord) Socket {
	s := Socket{
		Container:    container.ID(r.Owner),
		Role:         Role(r.Role),
		State:        "UNKNOWN",
		NetNS:        r.Netns,
		Inode:        r.Inode,
		ReceiveBytes: uint64(r.ReceiveBytes),
		SendBytes:    uint64(r.SendBytes),
		NICTxBytes:   uint64(r.NicTxBytes),
		Requests:     uint64(r.Requests),
		Waited:       time.Duration(r.WaitedNs),
	}
	if int(r.TcpState) < len(tcpStates) && tcpStates[r.TcpState] != "" {
		s.State = tcpStates[r.TcpState]
	}
	if s.Role != RoleUnix {
		s.Local = addrPort(r.Local, r.LocalPort)
		s.Remote = addrPort(r.Remote, r.RemotePort)
	}
	turn := bpf.SocketSocketTurn(r.Turn)
	s.Outstanding = s.Role == RoleServer && turn == bpf.SocketSocketTurnTURN_RECEIVED && r.UnreadRequests == 0
	s.Downstream = s.Role == RoleClient && turn == bpf.SocketSocketTurnTURN_SENT && r.UnreadRequests == 0
	if s.State == "LISTEN" {
		s.AcceptBacklog, s.AcceptBacklogLimit, s.SYNQueue = r.AcceptBacklog, r.AcceptBacklogLimit, r.SynQueue
	}
	return s
}

// addrPort makes an address of four words in network byte order, as the
// little-endian kernel side copied them.
func addrPort(words [4]uint32, port uint16) netip.AddrPort {
	var b [16]byte
	for i, w := range words {
		binary.LittleEndian.PutUint32(b[4*i:], w)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(b).Unmap(), port)
}

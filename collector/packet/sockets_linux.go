package packet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"unsafe"

	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"

	"seer/bpf"
	"seer/collector/container"
)

// maxSockets bounds one look at the host's sockets.
const maxSockets = 1 << 20

// Look lists the host's sockets and network namespaces, for Owners. identify says
// which container a process is in.
func (s *Sampler) Look(ctx context.Context, identify Identify) (sockets []Socket, namespaces []Namespace, err error) {
	owned := map[uint32]container.ID{} // by process, 0 for one that has gone
	sockets, err = s.sockets(ctx, func(pid uint32) container.ID {
		id, known := owned[pid]
		if !known {
			id, _ = identify(int(pid))
			owned[pid] = id
		}
		return id
	})
	if err == nil {
		namespaces, err = ReadNamespaces("/proc", identify)
	}
	return sockets, namespaces, err
}

// sockets lists the internet sockets that processes hold, in every namespace.
func (s *Sampler) sockets(ctx context.Context, ownerOf func(pid uint32) container.ID) ([]Socket, error) {
	file, err := s.walk.Open()
	if err != nil {
		return nil, fmt.Errorf("list sockets: %w", err)
	}
	defer file.Close()
	const size = int(unsafe.Sizeof(bpf.PacketPacketSocket{}))
	buf := make([]byte, 512*size)
	var sockets []Socket
	for kept := 0; len(sockets) < maxSockets; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := file.Read(buf[kept:])
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("list sockets: %w", err)
		}
		n += kept
		used := 0
		for ; used+size <= n; used += size {
			record := (*bpf.PacketPacketSocket)(unsafe.Pointer(&buf[used]))
			if owner := ownerOf(record.Tgid); owner != 0 {
				sockets = append(sockets, socketOf(record, owner))
			}
		}
		kept = copy(buf, buf[used:n])
	}
	return sockets, nil
}

func socketOf(r *bpf.PacketPacketSocket, owner container.ID) Socket {
	protocol := layers.IPProtocolTCP // of Multipath TCP too
	if r.Protocol != unix.IPPROTO_MPTCP {
		protocol = layers.IPProtocol(r.Protocol)
	}
	return Socket{
		Owner: owner, Init: r.Tgid == 1, NetNS: r.Netns, Protocol: protocol,
		Local: endpoint(r.Local, r.LocalPort), Remote: endpoint(r.Remote, r.RemotePort),
	}
}

// endpoint makes an address of four words in network byte order, as the
// little-endian kernel side copied them.
func endpoint(words [4]uint32, port uint16) Endpoint {
	var b [16]byte
	for i, w := range words {
		binary.LittleEndian.PutUint32(b[4*i:], w)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(b).Unmap(), port)
}

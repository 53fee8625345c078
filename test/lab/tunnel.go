//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TunnelKinds are the tunnels that the lab can dig.
var TunnelKinds = []string{"vxlan", "geneve", "ipip"}

// ErrNoTunnel is returned for a tunnel that this kernel does not have.
var ErrNoTunnel = errors.New("not supported: this kernel has no such tunnel")

// Tunnel connects two containers of one Network by a tunnel between their
// addresses, and returns their addresses in it. number is the tunnel's, 1 to 255, and
// the VNI where the kind has one.
func Tunnel(kind string, number byte, a, b *Container) (inA, inB netip.Addr, err error) {
	inA, inB = netip.AddrFrom4([4]byte{10, 233, number, 1}), netip.AddrFrom4([4]byte{10, 233, number, 2})
	if err = a.tunnel(kind, number, inA, b.Addr); err == nil {
		err = b.tunnel(kind, number, inB, a.Addr)
	}
	if err != nil {
		return inA, inB, fmt.Errorf("tunnel %s: %w", kind, err)
	}
	return inA, inB, nil
}

// tunnel adds one end.
func (c *Container) tunnel(kind string, number byte, here, peer netip.Addr) error {
	eth0, err := c.link()
	if err != nil {
		return err
	}
	attrs := netlink.LinkAttrs{Name: fmt.Sprintf("tun%d", number)}
	var device netlink.Link
	switch kind {
	case "vxlan":
		device = &netlink.Vxlan{LinkAttrs: attrs, VxlanId: int(number), SrcAddr: c.Addr.AsSlice(), Group: peer.AsSlice(), Port: 4789, Learning: true}
	case "geneve":
		device = &netlink.Geneve{LinkAttrs: attrs, ID: uint32(number), Remote: peer.AsSlice(), Dport: 6081}
	case "ipip":
		device = &netlink.Iptun{LinkAttrs: attrs, Local: c.Addr.AsSlice(), Remote: peer.AsSlice()}
	default:
		return fmt.Errorf("no kind %q", kind)
	}
	if err := eth0.h.LinkAdd(device); errors.Is(err, unix.EOPNOTSUPP) {
		return ErrNoTunnel
	} else if err != nil {
		return fmt.Errorf("add device: %w", err)
	}
	return configure(eth0.h, attrs.Name, here)
}

//go:build linux

package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Bridge is the name of the bridge in a network's router namespace.
const Bridge = "sb0"

// Network connects containers by a bridge in a namespace of its own.
type Network struct {
	Router Namespace
	Subnet netip.Prefix // the bridge has its first address

	dir string // of the mounts that keep namespaces
	j   *Journal
}

// NewNetwork makes a network without members. Namespaces are kept by mounts in
// dir, which must exist.
func NewNetwork(j *Journal, dir string, subnet netip.Prefix) (*Network, error) {
	n := OpenNetwork(j, dir, subnet)
	if _, err := newNamespace(j, n.Router.Path); err != nil {
		return nil, err
	}
	h, err := n.Router.Netlink()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	off := false
	bridge := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs(), MulticastSnooping: &off}
	bridge.Name = Bridge
	if err := n.Router.sysctls(quiet); err != nil {
		return nil, err
	}
	if err := h.LinkAdd(bridge); err != nil {
		return nil, fmt.Errorf("add bridge: %w", err)
	}
	return n, configure(h, Bridge, netip.PrefixFrom(n.address(0), subnet.Bits()))
}

// OpenNetwork returns a network that NewNetwork made.
func OpenNetwork(j *Journal, dir string, subnet netip.Prefix) *Network {
	return &Network{Router: Namespace{filepath.Join(dir, "router")}, Subnet: subnet.Masked(), dir: dir, j: j}
}

// quiet keeps a link from sending what nobody asked for: no IPv6, so neither
// duplicate detection nor router solicitations.
var quiet = map[string]string{
	"ipv6/conf/all/disable_ipv6":     "1",
	"ipv6/conf/default/disable_ipv6": "1",
}

// Link is a container's place in a network.
type Link struct {
	Namespace Namespace
	Addr      netip.Addr
	Veth      string // the other end of its eth0, in the router namespace
}

// Link returns the place of member i, from 1, whether it is taken or not.
func (n *Network) Link(name string, i int) Link {
	return Link{Namespace{filepath.Join(n.dir, name)}, n.address(i), fmt.Sprintf("sb%d", i)}
}

// Join makes the namespace of a container and member i of the network.
func (n *Network) Join(name string, i int) (Link, error) {
	l := n.Link(name, i)
	if !n.Subnet.Contains(l.Addr) {
		return l, fmt.Errorf("network %s: no address left", n.Subnet)
	}
	if _, err := newNamespace(n.j, l.Namespace.Path); err != nil {
		return l, err
	}
	if err := l.Namespace.sysctls(quiet); err != nil {
		return l, err
	}
	router, err := n.Router.Netlink()
	if err != nil {
		return l, err
	}
	defer router.Close()
	inside, err := l.Namespace.Netlink()
	if err != nil {
		return l, err
	}
	defer inside.Close()

	// Made in the router, with the other end in the container: the host does
	// not see it for a moment.
	fd, err := unix.Open(l.Namespace.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return l, err
	}
	defer unix.Close(fd)
	veth := netlink.NewVeth(netlink.NewLinkAttrs())
	veth.Name, veth.PeerName, veth.PeerNamespace = l.Veth, "eth0", netlink.NsFd(fd)
	if err := router.LinkAdd(veth); err != nil {
		return l, fmt.Errorf("add link %s: %w", l.Veth, err)
	}
	bridge, err := router.LinkByName(Bridge)
	if err != nil {
		return l, fmt.Errorf("interface %s: %w", Bridge, err)
	}
	if err := router.LinkSetMaster(veth, bridge); err != nil {
		return l, fmt.Errorf("add %s to the bridge: %w", l.Veth, err)
	}
	if err := setUp(router, l.Veth); err != nil {
		return l, err
	}
	return l, configure(inside, "eth0", netip.PrefixFrom(l.Addr, n.Subnet.Bits()))
}

// Leave removes a container's link and namespace, at once and not when the
// kernel finds the time.
func (n *Network) Leave(l Link) error {
	h, err := n.Router.Netlink()
	if err != nil {
		return err
	}
	defer h.Close()
	if link, err := h.LinkByName(l.Veth); err == nil {
		if err := h.LinkDel(link); err != nil {
			return fmt.Errorf("remove link %s: %w", l.Veth, err)
		}
	} else if !errors.As(err, &netlink.LinkNotFoundError{}) {
		return fmt.Errorf("interface %s: %w", l.Veth, err)
	}
	return unmount(l.Namespace.Path)
}

// address returns the address of member i; 0 is the bridge.
func (n *Network) address(i int) netip.Addr {
	a := n.Subnet.Addr().As4()
	v := uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3])
	v += uint32(i) + 1
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// configure gives an interface its address and brings it up.
func configure(h *netlink.Handle, name string, p netip.Prefix) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}}
	if err := h.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("address %s: %w", p, err)
	}
	return setUp(h, name)
}

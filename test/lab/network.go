//go:build linux

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Network connects containers that each have a network namespace of their
// own. A router in a namespace of its own holds one end of each container's
// veth and forwards between them, so nothing of it shows on the host:
//
//	container A --eth0/veth-- router --veth/eth0-- container B
//	10.231.1.2               .1.1 .2.1              10.231.2.2
//
// None of the namespaces has a name: they vanish with the last process and
// descriptor that uses them.
type Network struct {
	t      TB
	router int // namespace descriptor
	h      *netlink.Handle
	joined int
}

// NewNetwork makes an empty network that lasts until the end of the test.
func NewNetwork(t TB) *Network {
	t.Helper()
	n := &Network{t: t}
	ns, h, err := newNamespace(t)
	if err != nil {
		t.Fatalf("new network: %v", err)
	}
	n.router, n.h = ns, h
	for path, value := range map[string]string{
		"ipv4/ip_forward":              "1",
		"ipv6/conf/all/forwarding":     "1",
		"ipv6/conf/all/accept_dad":     "0", // link-local addresses would take a second
		"ipv6/conf/default/accept_dad": "0",
		"ipv4/conf/all/rp_filter":      "0", // Unanswered uses foreign sources
		"ipv4/conf/default/rp_filter":  "0",
	} {
		if err := writeSysctl(ns, path, value); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("new network: set %s: %v", path, err)
		}
	}
	return n
}

// Router runs f on a thread in the router's namespace, where the container that
// joined as the i-th is behind the device vethi, from 1.
func (n *Network) Router(f func() error) error { return onSpawner(n.router, f) }

// newNamespace makes a network namespace with loopback up.
func newNamespace(t TB) (int, *netlink.Handle, error) {
	ns, err := newNetNS()
	if err != nil {
		return 0, nil, err
	}
	t.Cleanup(func() { unix.Close(ns) })
	h, err := netlink.NewHandleAt(netns.NsHandle(ns), unix.NETLINK_ROUTE)
	if err != nil {
		return 0, nil, fmt.Errorf("netlink: %w", err)
	}
	t.Cleanup(h.Close)
	lo, err := h.LinkByName("lo")
	if err != nil {
		return 0, nil, fmt.Errorf("loopback: %w", err)
	}
	if err := h.LinkSetUp(lo); err != nil {
		return 0, nil, fmt.Errorf("loopback: %w", err)
	}
	return ns, h, nil
}

// Translate has the router send what goes to one address and port to another, as a
// Kubernetes node does for a service's address. Without nft(8) that is
// errors.ErrUnsupported.
func (n *Network) Translate(from, to netip.AddrPort) error {
	rule := fmt.Sprintf("table ip lab {\nchain nat {\ntype nat hook prerouting priority dstnat; policy accept;\nip daddr %s tcp dport %d dnat to %s\n}\n}\n",
		from.Addr(), from.Port(), to)
	err := onSpawner(n.router, func() error {
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(rule)
		said, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("nft: %w: %s", err, said)
		}
		return nil
	})
	if errors.Is(err, exec.ErrNotFound) {
		err = fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}

// attach gives a container its namespace, addresses and default routes.
func (n *Network) attach(c *Container) error {
	ns, h, err := newNamespace(c.t)
	if err != nil {
		return err
	}
	n.joined++
	i := byte(n.joined)
	port := fmt.Sprintf("veth%d", i)
	veth := netlink.NewVeth(netlink.LinkAttrs{Name: port})
	veth.PeerName, veth.PeerNamespace = "eth0", netlink.NsFd(ns)
	if err := n.h.LinkAdd(veth); err != nil {
		return fmt.Errorf("add veth: %w", err)
	}
	here := netip.AddrFrom4([4]byte{10, 231, i, 2})
	gateway := netip.AddrFrom4([4]byte{10, 231, i, 1})
	here6 := netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x5e, 2: 0xe2, 7: i, 15: 2})
	gateway6 := netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x5e, 2: 0xe2, 7: i, 15: 1})
	if err := configure(n.h, port, gateway, gateway6); err != nil {
		return err
	}
	if err := configure(h, "eth0", here, here6); err != nil {
		return err
	}
	eth0, err := h.LinkByName("eth0")
	if err != nil {
		return err
	}
	for _, gw := range []netip.Addr{gateway, gateway6} {
		bits := 8 * len(gw.AsSlice())
		all := &net.IPNet{IP: make(net.IP, bits/8), Mask: net.CIDRMask(0, bits)}
		route := &netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: gw.AsSlice(), Dst: all}
		if err := h.RouteAdd(route); err != nil {
			return fmt.Errorf("default route via %s: %w", gw, err)
		}
	}
	c.ns, c.network, c.Addr, c.Addr6 = ns, n, here, here6
	return nil
}

// configure gives an interface its addresses and brings it up.
func configure(h *netlink.Handle, name string, addrs ...netip.Addr) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("interface %s up: %w", name, err)
	}
	for _, a := range addrs {
		if err := addAddress(h, link, a, a.BitLen()-2); err != nil {
			return err
		}
	}
	return nil
}

// addAddress adds one address. IPv6 ones skip duplicate detection, during
// which they could not be used.
func addAddress(h *netlink.Handle, link netlink.Link, a netip.Addr, bits int) error {
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(bits, a.BitLen())}}
	if a.Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	if err := h.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("add address %s: %w", a, err)
	}
	return nil
}

// Unanswered gives the container one more address, whose packets reach others
// but to which nothing comes back: the router drops them. A connection from
// it is half-open at the server until Answer. Each container has one.
func (c *Container) Unanswered() netip.Addr {
	c.t.Helper()
	a := c.unanswered()
	eth0, err := c.link()
	if err == nil {
		err = addAddress(eth0.h, eth0.link, a, 32)
	}
	if err == nil {
		err = c.network.h.RouteAdd(blackhole(a))
	}
	if err != nil {
		c.t.Fatalf("unanswered address of %s: %v", c.Name, err)
	}
	return a
}

// Answer lets packets reach the Unanswered address from now on.
func (c *Container) Answer() {
	c.t.Helper()
	a := c.unanswered()
	err := c.network.h.RouteDel(blackhole(a))
	if err == nil {
		dst := &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(32, 32)}
		err = c.network.h.RouteAdd(&netlink.Route{Dst: dst, Gw: c.Addr.AsSlice()})
	}
	if err != nil {
		c.t.Fatalf("answer %s of %s: %v", a, c.Name, err)
	}
}

func (c *Container) unanswered() netip.Addr {
	b := c.Addr.As4()
	return netip.AddrFrom4([4]byte{10, 232, b[2], 2})
}

func blackhole(a netip.Addr) *netlink.Route {
	return &netlink.Route{
		Dst:  &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(32, 32)},
		Type: unix.RTN_BLACKHOLE,
	}
}

// boundLink is an interface and the netlink handle of its namespace.
type boundLink struct {
	h    *netlink.Handle
	link netlink.Link
}

// link returns the container's end of its veth.
func (c *Container) link() (boundLink, error) {
	if c.network == nil {
		return boundLink{}, errors.New("container has no network")
	}
	h, err := netlink.NewHandleAt(netns.NsHandle(c.ns), unix.NETLINK_ROUTE)
	if err != nil {
		return boundLink{}, fmt.Errorf("netlink: %w", err)
	}
	c.t.Cleanup(h.Close)
	link, err := h.LinkByName("eth0")
	if err != nil {
		return boundLink{}, fmt.Errorf("interface eth0: %w", err)
	}
	return boundLink{h, link}, nil
}

// Throttle is a token bucket filter on a container's outgoing packets.
type Throttle struct {
	t TB
	l boundLink
}

// Throttle limits what the container sends to rate bytes a second, in bursts
// of burst bytes, and queues up to limit bytes behind that.
func (c *Container) Throttle(rate uint64, burst, limit uint32) *Throttle {
	c.t.Helper()
	l, err := c.link()
	if err != nil {
		c.t.Fatalf("throttle %s: %v", c.Name, err)
	}
	err = l.h.QdiscAdd(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: l.link.Attrs().Index,
			Handle:    netlink.MakeHandle(1, 0),
			Parent:    netlink.HANDLE_ROOT,
		},
		Rate:   rate,
		Limit:  limit,
		Buffer: netlink.Xmittime(rate, burst),
	})
	if err != nil {
		c.t.Fatalf("throttle %s: %v", c.Name, err)
	}
	return &Throttle{c.t, l}
}

// Backlog returns the bytes that wait in the filter now.
func (th *Throttle) Backlog() uint32 {
	th.t.Helper()
	qdiscs, err := th.l.h.QdiscList(th.l.link)
	if err != nil {
		th.t.Fatalf("read qdisc: %v", err)
	}
	for _, q := range qdiscs {
		if q.Type() == "tbf" && q.Attrs().Statistics != nil && q.Attrs().Statistics.Queue != nil {
			return q.Attrs().Statistics.Queue.Backlog
		}
	}
	th.t.Fatalf("read qdisc: the filter shows no statistics")
	return 0
}

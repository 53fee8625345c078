package packet

import (
	"net/netip"

	"github.com/google/gopacket/layers"

	"seer/collector/container"
)

// Socket is one socket that a container holds.
type Socket struct {
	Owner    container.ID
	Init     bool // held by init, which holds sockets for services: owner only for want of another
	NetNS    uint32
	Protocol layers.IPProtocol
	Local    Endpoint
	Remote   Endpoint // not valid, or without port: listens, or is not connected
}

// Namespace is a network namespace, its addresses, and the containers in it.
type Namespace struct {
	NetNS     uint32 // inode number
	Addresses []netip.Addr
	Owners    []container.ID // of the processes in it
}

// Whose says how a packet's end was found, or why not.
type Whose uint8

// The answers. Only with Owned there is a container.
const (
	// Unknown is an address of this host which no container is known to use, and
	// a packet without address.
	Unknown Whose = iota
	// External is an address that no namespace of this host has.
	External
	// Owned is a container's.
	Owned
)

func (w Whose) String() string { return [...]string{"unknown", "external", "owned"}[w] }

// Owners knows the sockets and addresses of a host: whose an end of a packet is.
//
// It only learns: what a later look no longer finds stays known, as the packets
// of a connection are asked for when it is over. Bounded by maxOwners per table;
// what does not fit is answered by the next coarser table.
type Owners struct {
	here      uint32 // namespace of the devices
	exact     map[pair]claim
	bound     map[end]claim // listeners and sockets without peer, by address
	wildcard  map[end]claim // by namespace, no address
	addresses map[netip.Addr]*place
}

// maxOwners bounds each table: twice the sockets that Seer tracks.
const maxOwners = 1 << 18

// end is one end of a connection. The namespace is that of an address which is
// only valid within it: loopback, link-local, or none (the wildcard).
type end struct {
	protocol layers.IPProtocol
	netns    uint32
	local    Endpoint
}

type pair struct {
	end
	remote Endpoint
}

// claim is who holds a place, and in which namespace that is.
type claim struct {
	owner container.ID
	netns uint32
	init  bool
	torn  bool // containers of several namespaces have it: none is right
}

// place is the namespaces that have an address.
type place struct {
	netns []uint32
	claim claim // of the only container in the only namespace; owner 0: none
}

// NewOwners returns an empty table for devices of the namespace here.
func NewOwners(here uint32) *Owners {
	return &Owners{
		here: here, exact: map[pair]claim{}, bound: map[end]claim{}, wildcard: map[end]claim{}, addresses: map[netip.Addr]*place{},
	}
}

// Learn adds what one look at the host found.
func (o *Owners) Learn(sockets []Socket, namespaces []Namespace) {
	for i := range sockets {
		o.learnSocket(&sockets[i])
	}
	for i := range namespaces {
		n := &namespaces[i]
		for _, a := range n.Addresses {
			o.learnAddress(a, n)
		}
	}
}

func (o *Owners) learnSocket(s *Socket) {
	c := claim{owner: s.Owner, netns: s.NetNS, init: s.Init}
	local := o.endOf(s.Protocol, s.NetNS, s.Local)
	switch remote := unmapped(s.Remote); {
	case s.Local.Addr().IsUnspecified():
		local.netns = s.NetNS
		local.local = netip.AddrPortFrom(netip.Addr{}, s.Local.Port()) // v4 and v6 alike
		claimIn(o.wildcard, local, c)
	case remote.Port() != 0:
		claimIn(o.exact, pair{local, remote}, c)
	default:
		claimIn(o.bound, local, c)
	}
}

// LearnSender adds that a packet from source to destination was sent by a socket of
// owner in the namespace of the devices: the connection may be over at the next look.
func (o *Owners) LearnSender(protocol layers.IPProtocol, source, destination Endpoint, owner container.ID) {
	if source.Port() == 0 || destination.Port() == 0 {
		return
	}
	o.learnSocket(&Socket{Owner: owner, NetNS: o.here, Protocol: protocol, Local: source, Remote: destination})
}

// claimIn enters a claim where it is better than what is there.
func claimIn[K comparable](table map[K]claim, key K, c claim) {
	old, found := table[key]
	switch {
	case !found:
		if len(table) < maxOwners {
			table[key] = c
		}
	case old.owner == c.owner:
	case old.netns != c.netns:
		old.torn = true
		table[key] = old
	case old.init && !c.init:
		table[key] = c
	}
}

func (o *Owners) learnAddress(a netip.Addr, n *Namespace) {
	a = a.Unmap()
	if scoped(a) {
		return // says nothing of where it is
	}
	p := o.addresses[a]
	if p == nil {
		if len(o.addresses) >= maxOwners {
			return
		}
		p = &place{}
		o.addresses[a] = p
		if len(n.Owners) == 1 {
			p.claim = claim{owner: n.Owners[0], netns: n.NetNS}
		}
	}
	for _, known := range p.netns {
		if known == n.NetNS {
			if len(n.Owners) != 1 || p.claim.owner != n.Owners[0] {
				p.claim = claim{}
			}
			return
		}
	}
	p.netns = append(p.netns, n.NetNS)
	if len(p.netns) > 1 {
		p.claim = claim{}
	}
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// scoped tells addresses that every namespace has.
func scoped(a netip.Addr) bool {
	return a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified()
}

func unmapped(e Endpoint) Endpoint {
	return netip.AddrPortFrom(e.Addr().Unmap().WithZone(""), e.Port())
}

func (o *Owners) endOf(protocol layers.IPProtocol, netns uint32, local Endpoint) end {
	e := end{protocol: protocol, local: unmapped(local)}
	if scoped(e.local.Addr()) {
		e.netns = netns
	}
	return e
}

// Of returns whose the end local of a packet is. In this order: the socket of
// its connection; one bound to its address and port; one bound to its port in a
// namespace that has its address; the only container in that namespace.
func (o *Owners) Of(protocol layers.IPProtocol, local, remote Endpoint) (container.ID, Whose) {
	local, remote = unmapped(local), unmapped(remote)
	if !local.Addr().IsValid() {
		return 0, Unknown
	}
	at := o.endOf(protocol, o.here, local)
	if local.Port() != 0 {
		if c, found := o.exact[pair{at, remote}]; found && !c.torn {
			return c.owner, Owned
		}
		if c, found := o.bound[at]; found && !c.torn {
			return c.owner, Owned
		}
	}
	if scoped(local.Addr()) {
		return o.inNamespaces(at, []uint32{o.here})
	}
	p := o.addresses[local.Addr()]
	switch {
	case p == nil && (local.Addr().IsMulticast() || local.Addr() == broadcast):
		return 0, Unknown // for whoever listens
	case p == nil:
		return 0, External
	case p.claim.owner != 0:
		return p.claim.owner, Owned
	}
	return o.inNamespaces(at, p.netns)
}

// inNamespaces looks for who has a port in all of them: that must be one.
func (o *Owners) inNamespaces(at end, namespaces []uint32) (container.ID, Whose) {
	var owner container.ID
	at.local = netip.AddrPortFrom(netip.Addr{}, at.local.Port())
	for _, at.netns = range namespaces {
		c, found := o.wildcard[at]
		if !found || at.local.Port() == 0 {
			continue
		}
		if owner != 0 && owner != c.owner {
			return 0, Unknown
		}
		owner = c.owner
	}
	if owner == 0 {
		return 0, Unknown
	}
	return owner, Owned
}

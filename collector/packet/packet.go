package packet

import "time"

// Direction is which way a packet passes a device.
type Direction uint8

// The directions, equal to enum packet_direction (bpf/packet.bpf.h); a test compares.
const (
	Ingress Direction = iota // from the wire, or from the other end of a veth, to the host
	Egress
)

func (d Direction) String() string {
	if d == Egress {
		return "egress"
	}
	return "ingress"
}

// Link says what a device's packets begin with.
type Link uint8

// The kinds of link.
const (
	LinkEthernet Link = iota // an Ethernet header; loopback too
	LinkIP                   // an IP header: tunnels, tun
)

// Device is a network device of the namespace in which the sampler was made.
type Device struct {
	Index int
	Name  string
	Link  Link
}

// Packet is one sampled packet.
type Packet struct {
	Time      time.Time
	Device    *Device
	Direction Direction
	Length    int    // bytes on the device, of all segments
	Segments  int    // packets on the wire that it stands for (GRO, GSO); at least 1
	Cgroup    uint64 // of the socket that sends it, in cgroup v2; 0: not known
	Headers   []byte // as on the wire, without payload; the sampler's until the next packet
	Decoded
}

// Local returns the end of the packet that its device's side of the network has:
// where an incoming packet goes to, where an outgoing one comes from.
func (p *Packet) Local() (local, remote Endpoint) {
	if p.Direction == Ingress {
		return p.Destination, p.Source
	}
	return p.Source, p.Destination
}

package packet

import (
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Endpoint is an address and the port of a protocol that has ports, else 0.
type Endpoint = netip.AddrPort

// TunnelKind is a way to carry packets in packets.
type TunnelKind uint8

// The tunnels that are looked into.
const (
	TunnelIP     TunnelKind = iota // IP in IP: 4in4, 6in4, 4in6, 6in6
	TunnelGRE                      // with a key as its number
	TunnelVXLAN                    // with a VNI
	TunnelGeneve                   // with a VNI
)

func (k TunnelKind) String() string {
	return [...]string{"ip-in-ip", "gre", "vxlan", "geneve"}[k]
}

// Tunnel is one carrier of a packet.
type Tunnel struct {
	Kind   TunnelKind
	Number uint32 // of the virtual network, where the kind has one
	From   netip.Addr
	To     netip.Addr
}

// Bounds of what is remembered of one packet. Tunnels beyond are still looked
// into, as far as the headers go.
const (
	maxTunnels = 4
	maxVLANs   = 2
)

// Decoded is what the headers of a packet say.
type Decoded struct {
	IP          bool                // the packet, or what it carries, is IP
	EtherType   layers.EthernetType // of the frame as the wire has it; 0 without Ethernet
	Protocol    layers.IPProtocol   // the innermost
	Source      Endpoint            // the innermost
	Destination Endpoint
	Fragment    bool // not the first of its packet: without ports
	Flags       TCPFlags

	tunnels  [maxTunnels]Tunnel
	vlans    [maxVLANs]uint16
	nTunnels int
	nVLANs   int
	length   int // of all headers, in bytes
}

// Tunnels returns what carries the packet, outermost first.
func (d *Decoded) Tunnels() []Tunnel { return d.tunnels[:d.nTunnels] }

// VLANs returns the tags of the outermost frame, outermost first.
func (d *Decoded) VLANs() []uint16 { return d.vlans[:d.nVLANs] }

// HeaderLength returns how many bytes belong to headers; payload follows.
func (d *Decoded) HeaderLength() int { return d.length }

// Decoder decodes packets one at a time. It keeps the layers that it decodes
// into, so a packet costs no allocation, but for Geneve's options and errors.
type Decoder struct {
	ethernet, ipv4, ipv6 *gopacket.DecodingLayerParser
	decoded              []gopacket.LayerType
	out                  Decoded
	carried              bool // the next IP header is inside the tunnel that was noted last
}

// NewDecoder returns a Decoder.
func NewDecoder() *Decoder {
	d := &Decoder{}
	all := []gopacket.DecodingLayer{
		&ethernetLayer{d: d}, &vlanLayer{d: d}, &ipv4Layer{d: d}, &ipv6Layer{d: d}, &extensionLayer{d: d},
		&fragmentLayer{d: d}, &udpLayer{d: d}, &tcpLayer{d: d}, &greLayer{d: d}, &vxlanLayer{d: d}, &geneveLayer{d: d},
	}
	parser := func(first gopacket.LayerType) *gopacket.DecodingLayerParser {
		p := gopacket.NewDecodingLayerParser(first)
		p.SetDecodingLayerContainer(gopacket.DecodingLayerArray(nil))
		for _, l := range all {
			p.AddDecodingLayer(l)
		}
		p.IgnoreUnsupported = true // what follows the headers is not ours
		return p
	}
	d.ethernet, d.ipv4, d.ipv6 = parser(layers.LayerTypeEthernet), parser(layers.LayerTypeIPv4), parser(layers.LayerTypeIPv6)
	return d
}

// Decode decodes the beginning of a packet. What is cut off or broken ends it: the
// answer holds what was understood up to there.
func (d *Decoder) Decode(link Link, data []byte) Decoded {
	d.out, d.carried = Decoded{}, false
	parser := d.ethernet
	if link == LinkIP {
		if len(data) == 0 {
			return d.out
		}
		switch data[0] >> 4 {
		case 4:
			parser = d.ipv4
		case 6:
			parser = d.ipv6
		default:
			return d.out
		}
	}
	_ = parser.DecodeLayers(data, &d.decoded) // an error is the end of what is understood
	d.out.length = min(d.out.length, len(data))
	return d.out
}

// enter notes an IP header: the innermost so far.
func (d *Decoder) enter(from, to []byte, protocol layers.IPProtocol) {
	if d.out.IP && !d.carried {
		d.carry(TunnelIP, 0)
	}
	source, _ := netip.AddrFromSlice(from)
	destination, _ := netip.AddrFromSlice(to)
	d.carried = false
	d.out.IP, d.out.Protocol, d.out.Fragment, d.out.Flags = true, protocol, false, 0
	d.out.Source, d.out.Destination = netip.AddrPortFrom(source, 0), netip.AddrPortFrom(destination, 0)
}

// carry notes that the addresses so far are only those of a tunnel.
func (d *Decoder) carry(kind TunnelKind, number uint32) {
	d.carried = true
	if d.out.nTunnels == maxTunnels {
		return
	}
	d.out.tunnels[d.out.nTunnels] = Tunnel{kind, number, d.out.Source.Addr(), d.out.Destination.Addr()}
	d.out.nTunnels++
}

func (d *Decoder) ports(source, destination uint16) {
	d.out.Source = netip.AddrPortFrom(d.out.Source.Addr(), source)
	d.out.Destination = netip.AddrPortFrom(d.out.Destination.Addr(), destination)
}

// header adds the header of one layer to the length of all.
func (d *Decoder) header(contents []byte) { d.out.length += len(contents) }

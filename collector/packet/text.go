package packet

import (
	"fmt"
	"strings"

	"github.com/google/gopacket/layers"
)

// TCPFlags are the flags of a TCP header.
type TCPFlags uint8

// String shows the flags as tcpdump(8) does: "S.", "P.", "F.".
func (f TCPFlags) String() string {
	const letters = "FSRP.UEW"
	var b strings.Builder
	for i := range letters {
		if f&(1<<i) != 0 {
			b.WriteByte(letters[i])
		}
	}
	return b.String()
}

// Describe says what the packet is, in one line: protocol, addresses, and what
// carries it.
func (d *Decoded) Describe() string {
	var b strings.Builder
	switch {
	case !d.IP && d.EtherType == 0:
		b.WriteString("not IP")
	case !d.IP:
		b.WriteString(d.EtherType.String())
	default:
		fmt.Fprintf(&b, "%s %s > %s", d.Protocol, d.end(d.Source), d.end(d.Destination))
	}
	if d.Fragment {
		b.WriteString(" fragment")
	}
	if d.Protocol == layers.IPProtocolTCP && d.Flags != 0 {
		fmt.Fprintf(&b, " [%s]", d.Flags)
	}
	for _, id := range d.VLANs() {
		fmt.Fprintf(&b, " vlan %d", id)
	}
	for _, t := range d.Tunnels() {
		b.WriteString(" in " + t.Kind.String())
		if t.Kind != TunnelIP {
			fmt.Fprintf(&b, " %d", t.Number)
		}
		fmt.Fprintf(&b, " %s > %s", t.From, t.To)
	}
	return b.String()
}

// end shows an endpoint, without a port where the protocol, or a fragment, has none.
func (d *Decoded) end(e Endpoint) string {
	if e.Port() == 0 {
		return e.Addr().String()
	}
	return e.String()
}

package packet

import (
	"encoding/binary"
	"errors"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// gopacket decodes; these note what it found, as it goes, and decide what comes
// next where its own choice would not do.

type ethernetLayer struct {
	layers.Ethernet
	d *Decoder
}

func (l *ethernetLayer) DecodeFromBytes(data []byte, df gopacket.DecodeFeedback) error {
	if err := l.Ethernet.DecodeFromBytes(data, df); err != nil {
		return err
	}
	l.d.header(l.Contents)
	if l.d.out.EtherType == 0 && !l.d.out.IP {
		l.d.out.EtherType = l.EthernetType
	}
	return nil
}

type vlanLayer struct {
	layers.Dot1Q
	d *Decoder
}

func (l *vlanLayer) DecodeFromBytes(data []byte, df gopacket.DecodeFeedback) error {
	if err := l.Dot1Q.DecodeFromBytes(data, df); err != nil {
		return err
	}
	l.d.header(l.Contents)
	out := &l.d.out
	if !out.IP && out.nVLANs < maxVLANs {
		out.vlans[out.nVLANs] = l.VLANIdentifier
		out.nVLANs++
		out.EtherType = l.Type
	}
	return nil
}

type ipv4Layer struct {
	layers.IPv4
	d *Decoder
}

func (l *ipv4Layer) DecodeFromBytes(data []byte, df gopacket.DecodeFeedback) error {
	if err := l.IPv4.DecodeFromBytes(data, df); err != nil {
		return err
	}
	if l.Version != 4 {
		return errors.New("not IP version 4")
	}
	l.d.header(l.Contents)
	l.d.enter(l.SrcIP, l.DstIP, l.Protocol)
	l.d.out.Fragment = l.FragOffset != 0
	return nil
}

// NextLayerType goes on with a first fragment, which has the ports.
func (l *ipv4Layer) NextLayerType() gopacket.LayerType {
	if l.FragOffset != 0 {
		return gopacket.LayerTypeZero
	}
	return l.Protocol.LayerType()
}

type ipv6Layer struct {
	layers.IPv6
	d *Decoder
}

const ipv6Bytes = 40

func (l *ipv6Layer) DecodeFromBytes(data []byte, df gopacket.DecodeFeedback) error {
	// A packet that GRO or GSO made longer than 64 KiB gives no length (BIG TCP).
	// gopacket takes that for an error, or loses its place behind the option.
	if len(data) >= ipv6Bytes && data[4] == 0 && data[5] == 0 {
		l.Version, l.NextHeader, l.HopByHop = data[0]>>4, layers.IPProtocol(data[6]), nil
		l.SrcIP, l.DstIP = data[8:24], data[24:ipv6Bytes]
		l.BaseLayer = layers.BaseLayer{Contents: data[:ipv6Bytes], Payload: data[ipv6Bytes:]}
	} else if err := l.IPv6.DecodeFromBytes(data, df); err != nil {
		return err
	}
	if l.Version != 6 {
		return errors.New("not IP version 6")
	}
	next := l.NextHeader
	l.d.header(l.Contents)
	if l.HopByHop != nil { // which gopacket decodes with the header
		next = l.HopByHop.NextHeader
		l.d.header(l.HopByHop.Contents)
	}
	l.d.enter(l.SrcIP, l.DstIP, next)
	return nil
}

// extensionLayer is an extension header of IPv6 that says nothing of use here.
type extensionLayer struct {
	layers.IPv6ExtensionSkipper
	d *Decoder
}

func (*extensionLayer) CanDecode() gopacket.LayerClass {
	return gopacket.NewLayerClass([]gopacket.LayerType{
		layers.LayerTypeIPv6HopByHop, layers.LayerTypeIPv6Routing, layers.LayerTypeIPv6Destination,
	})
}

func (l *extensionLayer) DecodeFromBytes(data []byte, df gopacket.DecodeFeedback) error {
	if err := l.IPv6ExtensionSkipper.DecodeFromBytes(data, df); err != nil {
		return err
	}
	l.d.header(l.Contents)
	l.d.out.Protocol = l.NextHeader
	return nil
}

// fragmentLayer is IPv6's fragment header, which gopacket cannot decode into a
// layer that is kept.
type fragmentLayer struct {
	layers.IPv6ExtensionSkipper
	d *Decoder
}

func (*fragmentLayer) CanDecode() gopacket.LayerClass { return layers.LayerTypeIPv6Fragment }

func (l *fragmentLayer) DecodeFromBytes(data []byte, _ gopacket.DecodeFeedback) error {
	const size = 8
	if len(data) < size {
		return errors.New("IPv6 fragment header is cut off")
	}
	l.BaseLayer = layers.BaseLayer{Contents: data[:size], Payload: data[size:]}
	l.NextHeader = layers.IPProtocol(data[0])
	l.d.header(l.Contents)
	l.d.out.Protocol = l.NextHeader
	l.d.out.Fragment = binary.BigEndian.Uint16(data[2:])>>3 != 0
	return nil
}

func (l *fragmentLayer) NextLayerType() gopacket.LayerType {
	if l.d.out.Fragment {
		return gopacket.LayerTypeZero
	}
	return l.NextHeader.LayerType()
}

// Ports that tunnels are sent to. Linux and the overlay networks built on it use
// their own number for VXLAN, from before there was a standard.
const (
	portVXLAN      = 4789
	portVXLANLinux = 8472
	portGeneve     = 6081
)

type udpLayer struct {
	layers.UDP
	d *Decoder
}

func (l *udpLayer) DecodeFromBytes(data []byte, df gopacket.DecodeFeedback) error {
	if err := l.UDP.DecodeFromBytes(data, df); err != nil {
		return l.d.portsOnly(data, 8, err)
	}
	l.d.header(l.Contents)
	l.d.ports(uint16(l.SrcPort), uint16(l.DstPort))
	return nil
}

// NextLayerType looks at the destination only: gopacket also guesses by the
// source, and knows protocols that are payload here.
func (l *udpLayer) NextLayerType() gopacket.LayerType {
	switch l.DstPort {
	case portVXLAN, portVXLANLinux:
		return layers.LayerTypeVXLAN
	case portGeneve:
		return layers.LayerTypeGeneve
	}
	return gopacket.LayerTypeZero
}

type tcpLayer struct {
	layers.TCP
	d *Decoder
}

func (l *tcpLayer) DecodeFromBytes(data []byte, df gopacket.DecodeFeedback) error {
	if err := l.TCP.DecodeFromBytes(data, df); err != nil {
		return l.d.portsOnly(data, tcpBytes(data), err)
	}
	l.d.header(l.Contents)
	l.d.ports(uint16(l.SrcPort), uint16(l.DstPort))
	l.d.out.Flags = TCPFlags(data[13])
	return nil
}

func (*tcpLayer) NextLayerType() gopacket.LayerType { return gopacket.LayerTypeZero }

// tcpBytes is how long a TCP header says it is.
func tcpBytes(data []byte) int {
	const fixed = 20
	if len(data) < fixed {
		return fixed
	}
	return max(fixed, int(data[12]>>4)*4)
}

// portsOnly makes what it can of a transport header of size bytes that is cut off
// or broken: the ports are its first four.
func (d *Decoder) portsOnly(data []byte, size int, err error) error {
	if len(data) >= 4 {
		d.header(data[:min(size, len(data))])
		d.ports(binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:]))
	}
	return err
}

type greLayer struct {
	layers.GRE
	d *Decoder
}

func (l *greLayer) DecodeFromBytes(data []byte, df gopacket.DecodeFeedback) error {
	l.Key = 0
	if err := l.GRE.DecodeFromBytes(data, df); err != nil {
		return err
	}
	l.d.header(l.Contents)
	l.d.carry(TunnelGRE, l.Key)
	return nil
}

type vxlanLayer struct {
	layers.VXLAN
	d *Decoder
}

func (l *vxlanLayer) DecodeFromBytes(data []byte, df gopacket.DecodeFeedback) error {
	if err := l.VXLAN.DecodeFromBytes(data, df); err != nil {
		return err
	}
	if !l.ValidIDFlag { // something else is sent to this port
		return errors.New("not VXLAN")
	}
	l.d.header(l.Contents)
	l.d.carry(TunnelVXLAN, l.VNI)
	return nil
}

type geneveLayer struct {
	layers.Geneve
	d *Decoder
}

func (*geneveLayer) CanDecode() gopacket.LayerClass { return layers.LayerTypeGeneve }

func (l *geneveLayer) DecodeFromBytes(data []byte, df gopacket.DecodeFeedback) error {
	l.Options = l.Options[:0] // gopacket would add to those of the packet before
	if err := l.Geneve.DecodeFromBytes(data, df); err != nil {
		return err
	}
	if l.Version != 0 {
		return errors.New("not Geneve")
	}
	l.d.header(l.Contents)
	l.d.carry(TunnelGeneve, l.VNI)
	return nil
}

package packet

import (
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Parts of packets, as gopacket serialises them.

func ether(next layers.EthernetType) gopacket.SerializableLayer {
	return &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: next}
}

func vlan(id uint16, next layers.EthernetType) gopacket.SerializableLayer {
	return &layers.Dot1Q{VLANIdentifier: id, Type: next}
}

func v4(from, to string, next layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{Version: 4, TTL: 64, Protocol: next, SrcIP: net.ParseIP(from), DstIP: net.ParseIP(to)}
}

func v6(from, to string, next layers.IPProtocol) *layers.IPv6 {
	return &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: next, SrcIP: net.ParseIP(from), DstIP: net.ParseIP(to)}
}

func udp(from, to layers.UDPPort) gopacket.SerializableLayer {
	return &layers.UDP{SrcPort: from, DstPort: to}
}

func tcp(from, to layers.TCPPort) gopacket.SerializableLayer {
	return &layers.TCP{SrcPort: from, DstPort: to, SYN: true, ACK: true, Options: []layers.TCPOption{
		{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 0xb4}},
	}}
}

func vxlan(vni uint32) gopacket.SerializableLayer { return &layers.VXLAN{ValidIDFlag: true, VNI: vni} }

// geneve is a header (RFC 8926) with an option of eight bytes, since gopacket only
// reads them.
func geneve(vni uint32, next layers.EthernetType) gopacket.SerializableLayer {
	return gopacket.Payload{2, 0, byte(next >> 8), byte(next), byte(vni >> 16), byte(vni >> 8), byte(vni), 0, 1, 2, 0x80, 1, 0, 0, 0, 9}
}

// raw is a header written by hand.
func raw(b ...byte) gopacket.SerializableLayer { return gopacket.Payload(b) }

const payload = "this is the payload, and nobody's business"

func build(t testing.TB, parts ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true}
	if err := gopacket.SerializeLayers(b, options, append(parts, gopacket.Payload(payload))...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDecode(t *testing.T) {
	const ip4, ip6 = layers.EthernetTypeIPv4, layers.EthernetTypeIPv6
	const isTCP, isUDP, is4, is6 = layers.IPProtocolTCP, layers.IPProtocolUDP, layers.IPProtocolIPv4, layers.IPProtocolIPv6
	bigTCP := build(t, ether(ip6), v6("fd00::1", "fd00::2", isTCP), tcp(1000, 80))
	bigTCP[14+4], bigTCP[14+5] = 0, 0
	optioned := v4("10.0.0.1", "10.0.0.2", isUDP)
	optioned.Options = []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}} // router alert
	first, later := v4("10.0.0.1", "10.0.0.2", isUDP), v4("10.0.0.1", "10.0.0.2", isUDP)
	first.Flags, later.FragOffset = layers.IPv4MoreFragments, 100

	tests := []struct {
		name   string
		link   Link
		data   []byte
		want   string // Describe
		header int    // bytes of headers; 0: all but the payload
	}{
		{name: "tcp over 4", data: build(t, ether(ip4), v4("10.0.0.1", "10.0.0.2", isTCP), tcp(1000, 80)),
			want: "TCP 10.0.0.1:1000 > 10.0.0.2:80 [S.]"},
		{name: "udp over 6", data: build(t, ether(ip6), v6("fd00::1", "fd00::2", isUDP), udp(53, 5353)),
			want: "UDP [fd00::1]:53 > [fd00::2]:5353"},
		{name: "options of 4", data: build(t, ether(ip4), optioned, udp(1000, 2000)),
			want: "UDP 10.0.0.1:1000 > 10.0.0.2:2000"},
		{name: "vlan", data: build(t, ether(layers.EthernetTypeDot1Q), vlan(7, ip4), v4("10.0.0.1", "10.0.0.2", isUDP), udp(1, 2)),
			want: "UDP 10.0.0.1:1 > 10.0.0.2:2 vlan 7"},
		{name: "QinQ", data: build(t, ether(layers.EthernetTypeQinQ), vlan(7, layers.EthernetTypeDot1Q), vlan(8, ip6), v6("fd00::1", "fd00::2", isUDP), udp(1, 2)),
			want: "UDP [fd00::1]:1 > [fd00::2]:2 vlan 7 vlan 8"},
		{name: "vxlan", data: build(t, ether(ip4), v4("192.0.2.1", "192.0.2.2", isUDP), udp(55555, 4789), vxlan(42),
			ether(ip4), v4("10.0.0.1", "10.0.0.2", isTCP), tcp(1000, 80)),
			want: "TCP 10.0.0.1:1000 > 10.0.0.2:80 [S.] in vxlan 42 192.0.2.1 > 192.0.2.2"},
		{name: "vxlan in 6, at Linux's port, tags and options everywhere", data: build(t, ether(layers.EthernetTypeQinQ), vlan(7, layers.EthernetTypeDot1Q), vlan(8, ip6),
			v6("2001:db8::1", "2001:db8::2", layers.IPProtocolIPv6Destination), raw(17, 0, 1, 4, 0, 0, 0, 0), udp(55555, 8472), vxlan(1<<24-1),
			ether(layers.EthernetTypeDot1Q), vlan(9, ip6), v6("fd00::1", "fd00::2", layers.IPProtocolIPv6Destination), raw(6, 0, 1, 4, 0, 0, 0, 0), tcp(1000, 80)),
			want: "TCP [fd00::1]:1000 > [fd00::2]:80 [S.] vlan 7 vlan 8 in vxlan 16777215 2001:db8::1 > 2001:db8::2"},
		{name: "geneve", data: build(t, ether(ip4), v4("192.0.2.1", "192.0.2.2", isUDP), udp(55555, 6081), geneve(5, layers.EthernetTypeTransparentEthernetBridging),
			ether(ip4), v4("10.0.0.1", "10.0.0.2", isUDP), udp(1000, 2000)),
			want: "UDP 10.0.0.1:1000 > 10.0.0.2:2000 in geneve 5 192.0.2.1 > 192.0.2.2"},
		{name: "geneve with IP inside", data: build(t, ether(ip6), v6("2001:db8::1", "2001:db8::2", isUDP), udp(55555, 6081), geneve(5, ip6),
			v6("fd00::1", "fd00::2", isUDP), udp(1000, 2000)),
			want: "UDP [fd00::1]:1000 > [fd00::2]:2000 in geneve 5 2001:db8::1 > 2001:db8::2"},
		{name: "4in4", data: build(t, ether(ip4), v4("192.0.2.1", "192.0.2.2", is4), v4("10.0.0.1", "10.0.0.2", isUDP), udp(1, 2)),
			want: "UDP 10.0.0.1:1 > 10.0.0.2:2 in ip-in-ip 192.0.2.1 > 192.0.2.2"},
		{name: "6in4", data: build(t, ether(ip4), v4("192.0.2.1", "192.0.2.2", is6), v6("fd00::1", "fd00::2", isUDP), udp(1, 2)),
			want: "UDP [fd00::1]:1 > [fd00::2]:2 in ip-in-ip 192.0.2.1 > 192.0.2.2"},
		{name: "6in6", data: build(t, ether(ip6), v6("2001:db8::1", "2001:db8::2", is6), v6("fd00::1", "fd00::2", isTCP), tcp(1, 2)),
			want: "TCP [fd00::1]:1 > [fd00::2]:2 [S.] in ip-in-ip 2001:db8::1 > 2001:db8::2"},
		{name: "4in6 with an encapsulation limit", data: build(t, ether(ip6), v6("2001:db8::1", "2001:db8::2", layers.IPProtocolIPv6Destination),
			raw(4, 0, 4, 1, 4, 1, 1, 0), v4("10.0.0.1", "10.0.0.2", isUDP), udp(1, 2)),
			want: "UDP 10.0.0.1:1 > 10.0.0.2:2 in ip-in-ip 2001:db8::1 > 2001:db8::2"},
		{name: "gre with a key", data: build(t, ether(ip4), v4("192.0.2.1", "192.0.2.2", layers.IPProtocolGRE),
			&layers.GRE{KeyPresent: true, Key: 99, Protocol: ip4}, v4("10.0.0.1", "10.0.0.2", isUDP), udp(1, 2)),
			want: "UDP 10.0.0.1:1 > 10.0.0.2:2 in gre 99 192.0.2.1 > 192.0.2.2"},
		{name: "vxlan in 4in4", data: build(t, ether(ip4), v4("198.51.100.1", "198.51.100.2", is4), v4("192.0.2.1", "192.0.2.2", isUDP), udp(5, 4789), vxlan(42),
			ether(ip4), v4("10.0.0.1", "10.0.0.2", isUDP), udp(1, 2)),
			want: "UDP 10.0.0.1:1 > 10.0.0.2:2 in ip-in-ip 198.51.100.1 > 198.51.100.2 in vxlan 42 192.0.2.1 > 192.0.2.2"},
		{name: "hop-by-hop and routing", data: build(t, ether(ip6), v6("fd00::1", "fd00::2", layers.IPProtocolIPv6HopByHop),
			raw(43, 0, 5, 2, 0, 0, 1, 0), raw(17, 2, 4, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8), udp(1, 2)),
			want: "UDP [fd00::1]:1 > [fd00::2]:2"},
		{name: "first fragment of 6", data: build(t, ether(ip6), v6("fd00::1", "fd00::2", layers.IPProtocolIPv6Fragment), raw(17, 0, 0, 1, 1, 2, 3, 4), udp(1, 2)),
			want: "UDP [fd00::1]:1 > [fd00::2]:2"},
		{name: "later fragment of 6", data: build(t, ether(ip6), v6("fd00::1", "fd00::2", layers.IPProtocolIPv6Fragment), raw(17, 0, 0, 0x59, 1, 2, 3, 4)),
			want: "UDP fd00::1 > fd00::2 fragment"},
		{name: "first fragment of 4", data: build(t, ether(ip4), first, udp(1, 2)), want: "UDP 10.0.0.1:1 > 10.0.0.2:2"},
		{name: "later fragment of 4", data: build(t, ether(ip4), later), want: "UDP 10.0.0.1 > 10.0.0.2 fragment"},
		{name: "longer than 64 KiB", data: bigTCP, want: "TCP [fd00::1]:1000 > [fd00::2]:80 [S.]"},
		{name: "without Ethernet", link: LinkIP, data: build(t, v4("10.0.0.1", "10.0.0.2", isUDP), udp(1, 2)), want: "UDP 10.0.0.1:1 > 10.0.0.2:2"},
		{name: "6 without Ethernet", link: LinkIP, data: build(t, v6("fd00::1", "fd00::2", isUDP), udp(1, 2)), want: "UDP [fd00::1]:1 > [fd00::2]:2"},
		{name: "arp", data: build(t, ether(layers.EthernetTypeARP)), want: "ARP", header: 14},
		{name: "arp in vxlan", data: build(t, ether(ip4), v4("192.0.2.1", "192.0.2.2", isUDP), udp(5, 4789), vxlan(42), ether(layers.EthernetTypeARP)),
			want: "UDP 192.0.2.1:5 > 192.0.2.2:4789 in vxlan 42 192.0.2.1 > 192.0.2.2", header: 14 + 20 + 8 + 8 + 14},
		{name: "icmp", data: build(t, ether(ip4), v4("10.0.0.1", "10.0.0.2", layers.IPProtocolICMPv4), raw()), want: "ICMPv4 10.0.0.1 > 10.0.0.2"},
		{name: "another protocol at VXLAN's port", data: build(t, ether(ip4), v4("10.0.0.1", "10.0.0.2", isUDP), udp(1, 4789)),
			want: "UDP 10.0.0.1:1 > 10.0.0.2:4789"},
		{name: "an answer from VXLAN's port", data: build(t, ether(ip4), v4("10.0.0.1", "10.0.0.2", isUDP), udp(4789, 1)),
			want: "UDP 10.0.0.1:4789 > 10.0.0.2:1"},
		{name: "a TCP header that is cut off", data: build(t, ether(ip4), v4("10.0.0.1", "10.0.0.2", isTCP), tcp(1000, 80))[:14+20+8],
			want: "TCP 10.0.0.1:1000 > 10.0.0.2:80", header: 14 + 20 + 8},
		{name: "TCP options that are broken", data: build(t, ether(ip4), v4("10.0.0.1", "10.0.0.2", isTCP), raw(3, 0xe8, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 2, 0, 0, 0, 0, 0, 0, 2, 99, 0, 0)),
			want: "TCP 10.0.0.1:1000 > 10.0.0.2:80"},
		{name: "an IP header that is cut off", data: build(t, ether(ip4), v4("10.0.0.1", "10.0.0.2", isTCP))[:14+19], want: "IPv4", header: 14},
		{name: "nothing", want: "not IP"},
		{name: "nothing without Ethernet", link: LinkIP, data: []byte{0}, want: "not IP"},
	}
	d := NewDecoder()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := d.Decode(tt.link, tt.data)
			if text := got.Describe(); text != tt.want {
				t.Errorf("Decode(%x) = %s, want %s", tt.data, text, tt.want)
			}
			want := tt.header
			if want == 0 {
				want = max(0, len(tt.data)-len(payload))
			}
			if tt.data != nil && tt.want != "not IP" && got.HeaderLength() != want {
				t.Errorf("Decode(%x) has headers of %d bytes, want %d", tt.data, got.HeaderLength(), want)
			}
			if headers := tt.data[:got.HeaderLength()]; strings.Contains(string(headers), payload[:4]) {
				t.Errorf("Decode(%x) leaves payload: %q", tt.data, headers)
			}
		})
	}
}

// A Decoder forgets the packet before.
func TestDecodeAgain(t *testing.T) {
	d := NewDecoder()
	tunnelled := build(t, ether(layers.EthernetTypeIPv4), v4("192.0.2.1", "192.0.2.2", layers.IPProtocolGRE),
		&layers.GRE{KeyPresent: true, Key: 99, Protocol: layers.EthernetTypeIPv4}, v4("10.0.0.1", "10.0.0.2", layers.IPProtocolUDP), udp(1, 2))
	d.Decode(LinkEthernet, tunnelled)
	keyless := build(t, ether(layers.EthernetTypeIPv4), v4("192.0.2.1", "192.0.2.2", layers.IPProtocolGRE),
		&layers.GRE{Protocol: layers.EthernetTypeIPv4}, v4("10.0.0.1", "10.0.0.2", layers.IPProtocolUDP), udp(1, 2))
	got := d.Decode(LinkEthernet, keyless)
	if text, want := got.Describe(), "UDP 10.0.0.1:1 > 10.0.0.2:2 in gre 0 192.0.2.1 > 192.0.2.2"; text != want {
		t.Errorf("Decode = %s, want %s", text, want)
	}
	if got := d.Decode(LinkEthernet, nil); got != (Decoded{}) {
		t.Errorf("Decode(nil) = %+v, want nothing", got)
	}
}

// Packets on their way between two containers of the lab, as they were sampled:
// the headers are the kernels' own, of Linux 6.18 and, for Geneve, 6.12.
func TestDecodeLive(t *testing.T) {
	tests := []struct{ name, hex, want string }{
		{"SYN in vxlan", "8efe6cb84673fa36c879983f08004500006ed8890000401189240ae701020ae70202d11212b5005a2ff00800000000002a005609f8d27c4eda7b8cd8d03408004500003c8e3a4000400642ad0ae92a010ae92a02c354a597e83df3f800000000a002faf06a030000020405b40402080a3618bf03000000000103030a",
			"TCP 10.233.42.1:50004 > 10.233.42.2:42391 [S] in vxlan 42 10.231.1.2 > 10.231.2.2"},
		{"vxlan, first fragment", "8efe6cb84673fa36c879983f0800450005dcd88b2000401163b40ae701020ae70202d11212b505fa2a500800000000002a005609f8d27c4eda7b8cd8d0340800450005dc8e3c400040063d0b0ae92a010ae92a02c354a597e83df3f90113f4db8010003fc89a00000101080a3618bf0657c1b673",
			"TCP 10.233.42.1:50004 > 10.233.42.2:42391 [.] in vxlan 42 10.231.1.2 > 10.231.2.2"},
		{"vxlan, second fragment", "8efe6cb84673fa36c879983f080045000046d88b00b9401188910ae701020ae70202", "UDP 10.231.1.2 > 10.231.2.2 fragment"},
		{"arp in vxlan", "8efe6cb84673fa36c879983f08004500004ed8880000401189450ae701020ae70202983b12b5003a191d0800000000002a00ffffffffffffda7b8cd8d0340806",
			"UDP 10.231.1.2:38971 > 10.231.2.2:4789 in vxlan 42 10.231.1.2 > 10.231.2.2"},
		{"multicast report with hop-by-hop options in vxlan", "8efe6cb84673fa36c879983f08004500007ed8b00000401188ed0ae701020ae70202c30b12b5006a194d0800000000002a00333300000016da7b8cd8d03486dd600000000024000100000000000000000000000000000000ff0200000000000000000000000000163a00050200000100",
			"ICMPv6 :: > ff02::16 in vxlan 42 10.231.1.2 > 10.231.2.2"},
		{"SYN in geneve", "163c77fa003c1ab607ed870d08004500006e69b900004011f7f40ae701020ae70202552717c1005a00000000655800002a00728eeea2879a124d72e54e9508004500003c88c940004006481e0ae92a010ae92a02dceed5617c7a057d00000000a002fd5c6a030000020405820402080a85949a1e0000000001030307",
			"TCP 10.233.42.1:56558 > 10.233.42.2:54625 [S] in geneve 42 10.231.1.2 > 10.231.2.2"},
		{"v6, four segments", "8efe6cb84673fa36c879983f86dd6005980b13a80640fd5ee200000000010000000000000002fd5ee200000000020000000000000002ed92d4b3877e70feb64da8a080180040d27400000101080a15cbc499692a0b43",
			"TCP [fd5e:e200:0:1::2]:60818 > [fd5e:e200:0:2::2]:54451 [P.]"},
	}
	d := NewDecoder()
	for _, tt := range tests {
		data, err := hex.DecodeString(tt.hex)
		if err != nil {
			t.Fatal(err)
		}
		got := d.Decode(LinkEthernet, data)
		if text := got.Describe(); text != tt.want || got.HeaderLength() != len(data) {
			t.Errorf("Decode(%s) = %s in %d bytes, want %s in %d", tt.name, text, got.HeaderLength(), tt.want, len(data))
		}
	}
}

// Up to the longest headers that SnapLength was chosen for, the ports are found.
func TestSnapLength(t *testing.T) {
	longest := build(t, ether(layers.EthernetTypeQinQ), vlan(7, layers.EthernetTypeDot1Q), vlan(8, layers.EthernetTypeIPv6),
		v6("2001:db8::1", "2001:db8::2", layers.IPProtocolIPv6Destination), raw(17, 0, 1, 4, 0, 0, 0, 0), udp(5, 6081),
		geneve(5, layers.EthernetTypeTransparentEthernetBridging), ether(layers.EthernetTypeDot1Q), vlan(9, layers.EthernetTypeIPv6),
		v6("fd00::1", "fd00::2", layers.IPProtocolIPv6Destination), raw(6, 0, 1, 4, 0, 0, 0, 0), tcp(1000, 80))
	got := NewDecoder().Decode(LinkEthernet, longest[:SnapLength-vlanBytes])
	if want := netip.MustParseAddrPort("[fd00::2]:80"); got.Destination != want || got.Flags != 0x12 {
		t.Errorf("Decode(the longest headers) = %s, want %v with flags", got.Describe(), want)
	}
}

// The tag that a device has taken off a frame is put back to where it was.
func TestOnWire(t *testing.T) {
	untagged := build(t, ether(layers.EthernetTypeIPv4), v4("10.0.0.1", "10.0.0.2", layers.IPProtocolUDP), udp(1, 2))
	tagged := build(t, ether(layers.EthernetTypeDot1Q), vlan(7, layers.EthernetTypeIPv4), v4("10.0.0.1", "10.0.0.2", layers.IPProtocolUDP), udp(1, 2))
	buf := make([]byte, 0, 512)
	if got := onWire(buf, untagged, uint16(layers.EthernetTypeDot1Q), 7); string(got) != string(tagged) {
		t.Errorf("onWire(vlan 7) = %x, want %x", got, tagged)
	}
	if got := onWire(buf, untagged, 0, 0); string(got) != string(untagged) {
		t.Errorf("onWire(no tag) = %x, want %x", got, untagged)
	}
	if got := onWire(buf, untagged[:3], uint16(layers.EthernetTypeDot1Q), 7); string(got) != string(untagged[:3]) {
		t.Errorf("onWire(3 bytes) = %x, want them as they are", got)
	}
}

// FuzzDecode: whatever comes by, decoding ends, and within the data.
func FuzzDecode(f *testing.F) {
	f.Add(false, build(f, ether(layers.EthernetTypeIPv4), v4("192.0.2.1", "192.0.2.2", layers.IPProtocolUDP), udp(5, 4789), vxlan(42),
		ether(layers.EthernetTypeIPv6), v6("fd00::1", "fd00::2", layers.IPProtocolTCP), tcp(1, 2)))
	f.Add(false, build(f, ether(layers.EthernetTypeIPv4), v4("192.0.2.1", "192.0.2.2", layers.IPProtocolUDP), udp(5, 6081), geneve(5, layers.EthernetTypeIPv6)))
	f.Add(true, build(f, v6("fd00::1", "fd00::2", layers.IPProtocolIPv6HopByHop), raw(43, 0, 5, 2, 0, 0, 1, 0), raw(44, 0, 4, 0, 0, 0, 0, 0), raw(17, 0, 0, 1, 1, 2, 3, 4), udp(1, 2)))
	f.Add(true, build(f, v4("192.0.2.1", "192.0.2.2", layers.IPProtocolGRE), &layers.GRE{KeyPresent: true, SeqPresent: true, ChecksumPresent: true}))
	d := NewDecoder()
	f.Fuzz(func(t *testing.T, ip bool, data []byte) {
		link := LinkEthernet
		if ip {
			link = LinkIP
		}
		got := d.Decode(link, data)
		if got.HeaderLength() < 0 || got.HeaderLength() > len(data) {
			t.Errorf("Decode(%x) has headers of %d bytes of %d", data, got.HeaderLength(), len(data))
		}
		if got.IP != got.Source.Addr().IsValid() || got.IP != got.Destination.Addr().IsValid() {
			t.Errorf("Decode(%x) = %+v: IP without addresses, or addresses without IP", data, got)
		}
		if got.Fragment && got.Source.Port() != 0 {
			t.Errorf("Decode(%x) = %+v: a fragment with ports", data, got)
		}
		if again := NewDecoder().Decode(link, data); again != got {
			t.Errorf("Decode(%x) = %+v, by a new decoder %+v", data, got, again)
		}
		_ = got.Describe()
	})
}

func BenchmarkDecode(b *testing.B) {
	benchmarks := map[string][]byte{
		"tcp": build(b, ether(layers.EthernetTypeIPv4), v4("10.0.0.1", "10.0.0.2", layers.IPProtocolTCP), tcp(1, 2)),
		"vxlan": build(b, ether(layers.EthernetTypeIPv4), v4("192.0.2.1", "192.0.2.2", layers.IPProtocolUDP), udp(5, 4789), vxlan(42),
			ether(layers.EthernetTypeIPv6), v6("fd00::1", "fd00::2", layers.IPProtocolTCP), tcp(1, 2)),
	}
	for name, data := range benchmarks {
		b.Run(name, func(b *testing.B) {
			d := NewDecoder()
			b.ReportAllocs()
			for b.Loop() {
				d.Decode(LinkEthernet, data)
			}
		})
	}
}

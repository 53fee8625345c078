package packet

import (
	"net/netip"
	"testing"

	"github.com/google/gopacket/layers"

	"seer/collector/container"
)

const (
	host uint32 = 1 // namespaces
	podA uint32 = 2
	podB uint32 = 3
)

func at(s string) Endpoint { return netip.MustParseAddrPort(s) }

func addresses(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, s := range texts {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

// A host with two daemons, a pod of one container and a pod of two.
func someOwners() *Owners {
	const tcp, udp = layers.IPProtocolTCP, layers.IPProtocolUDP
	o := NewOwners(host)
	o.Learn([]Socket{
		{Owner: 10, NetNS: host, Protocol: tcp, Local: at("0.0.0.0:22")},
		{Owner: 1, Init: true, NetNS: host, Protocol: tcp, Local: at("[::]:80")},
		{Owner: 11, NetNS: host, Protocol: tcp, Local: at("[::]:80")},
		{Owner: 1, Init: true, NetNS: host, Protocol: tcp, Local: at("[::]:80")},
		{Owner: 11, NetNS: host, Protocol: tcp, Local: at("127.0.0.1:9000")},
		{Owner: 10, NetNS: host, Protocol: tcp, Local: at("127.0.0.1:40000"), Remote: at("127.0.0.1:9000")},
		{Owner: 12, NetNS: host, Protocol: tcp, Local: at("192.0.2.1:50000"), Remote: at("198.51.100.7:443")},
		{Owner: 20, NetNS: podA, Protocol: tcp, Local: at("[::ffff:10.0.0.1]:8080"), Remote: at("[::ffff:10.0.0.9]:51000")},
		{Owner: 20, NetNS: podA, Protocol: tcp, Local: at("127.0.0.1:9000")},
		{Owner: 30, NetNS: podB, Protocol: tcp, Local: at("0.0.0.0:8080")},
		{Owner: 31, NetNS: podB, Protocol: udp, Local: at("10.0.0.2:53")},
	}, []Namespace{
		{NetNS: host, Addresses: addresses("127.0.0.1", "192.0.2.1", "fd00::1"), Owners: []container.ID{1, 10, 11, 12}},
		{NetNS: podA, Addresses: addresses("127.0.0.1", "10.0.0.1", "fe80::1", "fd00::a"), Owners: []container.ID{20}},
		{NetNS: podB, Addresses: addresses("127.0.0.1", "10.0.0.2"), Owners: []container.ID{30, 31}},
	})
	return o
}

func TestOwners(t *testing.T) {
	const tcp, udp, icmp = layers.IPProtocolTCP, layers.IPProtocolUDP, layers.IPProtocolICMPv4
	tests := []struct {
		name          string
		protocol      layers.IPProtocol
		local, remote string
		want          container.ID
		whose         Whose
	}{
		{"connection, v4-mapped socket", tcp, "10.0.0.1:8080", "10.0.0.9:51000", 20, Owned},
		{"connection of the host", tcp, "192.0.2.1:50000", "198.51.100.7:443", 12, Owned},
		{"another connection from that port", tcp, "192.0.2.1:50000", "198.51.100.8:443", 0, Unknown},
		{"wildcard listener", tcp, "192.0.2.1:22", "198.51.100.7:1", 10, Owned},
		{"wildcard of v6 takes v4", tcp, "192.0.2.1:80", "198.51.100.7:1", 11, Owned},
		{"and v6", tcp, "[fd00::1]:80", "[fd00::99]:1", 11, Owned},
		{"wildcard of another protocol", udp, "192.0.2.1:22", "198.51.100.7:1", 0, Unknown},
		{"wildcard in a pod of two", tcp, "10.0.0.2:8080", "10.0.0.1:1", 30, Owned},
		{"bound in a pod of two", udp, "10.0.0.2:53", "10.0.0.1:1", 31, Owned},
		{"no socket in a pod of two", tcp, "10.0.0.2:9", "10.0.0.1:1", 0, Unknown},
		{"no socket in a pod of one", tcp, "10.0.0.1:9", "10.0.0.2:1", 20, Owned},
		{"no port in a pod of one", icmp, "10.0.0.1:0", "10.0.0.2:0", 20, Owned},
		{"another of its addresses", icmp, "[fd00::a]:0", "[fd00::1]:0", 20, Owned},
		{"no port on the host", icmp, "192.0.2.1:0", "10.0.0.2:0", 0, Unknown},
		{"loopback of the host, not of the pod", tcp, "127.0.0.1:9000", "127.0.0.1:40001", 11, Owned},
		{"the client on loopback", tcp, "127.0.0.1:40000", "127.0.0.1:9000", 10, Owned},
		{"wildcard on loopback", tcp, "127.0.0.1:22", "127.0.0.1:1", 10, Owned},
		{"link-local: which link is not known", icmp, "[fe80::1]:0", "[fe80::2]:0", 0, Unknown},
		{"elsewhere", tcp, "198.51.100.7:443", "192.0.2.1:50000", 0, External},
		{"multicast", udp, "224.0.0.251:5353", "192.0.2.1:5353", 0, Unknown},
		{"broadcast", udp, "255.255.255.255:67", "0.0.0.0:68", 0, Unknown},
	}
	o := someOwners()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, whose := o.Of(tt.protocol, at(tt.local), at(tt.remote))
			if got != tt.want || whose != tt.whose {
				t.Errorf("Of(%v, %s, %s) = %d, %v, want %d, %v", tt.protocol, tt.local, tt.remote, got, whose, tt.want, tt.whose)
			}
		})
	}
	if got, whose := o.Of(0, Endpoint{}, Endpoint{}); got != 0 || whose != Unknown {
		t.Errorf("Of(no address) = %d, %v, want unknown", got, whose)
	}
}

// Overlay networks of different tenants may have the same addresses: better no
// answer than a wrong one.
func TestOwnersOverlap(t *testing.T) {
	const tcp = layers.IPProtocolTCP
	o := NewOwners(host)
	for i, netns := range []uint32{podA, podB} {
		owner := container.ID(20 + i)
		o.Learn([]Socket{
			{Owner: owner, NetNS: netns, Protocol: tcp, Local: at("10.0.0.1:80"), Remote: at("10.0.0.2:1")},
			{Owner: owner, NetNS: netns, Protocol: tcp, Local: at("10.0.0.1:81")},
			{Owner: owner, NetNS: netns, Protocol: tcp, Local: at("0.0.0.0:82")},
		}, []Namespace{{NetNS: netns, Addresses: addresses("10.0.0.1"), Owners: []container.ID{owner}}})
	}
	o.Learn([]Socket{{Owner: 21, NetNS: podB, Protocol: tcp, Local: at("0.0.0.0:83")}}, nil)
	for _, port := range []string{"80", "81", "82"} {
		if got, whose := o.Of(tcp, at("10.0.0.1:"+port), at("10.0.0.2:1")); whose != Unknown {
			t.Errorf("Of(10.0.0.1:%s of two pods) = %d, %v, want unknown", port, got, whose)
		}
	}
	if got, whose := o.Of(tcp, at("10.0.0.1:83"), at("10.0.0.2:1")); got != 21 || whose != Owned {
		t.Errorf("Of(a port that one of them has) = %d, %v, want 21", got, whose)
	}
}

// A short connection is known by what was sent on it, in both directions.
func TestOwnersLearnSender(t *testing.T) {
	o := someOwners()
	const tcp = layers.IPProtocolTCP
	here, there := at("192.0.2.1:50001"), at("198.51.100.9:443")
	if got, whose := o.Of(tcp, here, there); whose != Unknown {
		t.Fatalf("Of(a new connection) = %d, %v, want unknown", got, whose)
	}
	o.LearnSender(tcp, here, there, 12)
	if got, whose := o.Of(tcp, here, there); got != 12 || whose != Owned {
		t.Errorf("Of(what has sent) = %d, %v, want 12", got, whose)
	}
	if got, whose := o.Of(tcp, at("192.0.2.1:50001"), at("198.51.100.10:443")); whose != Unknown {
		t.Errorf("Of(another connection) = %d, %v, want unknown", got, whose)
	}
	o.LearnSender(layers.IPProtocolICMPv4, at("192.0.2.1:0"), at("198.51.100.9:0"), 12)
	if got, whose := o.Of(layers.IPProtocolICMPv4, at("192.0.2.1:0"), at("198.51.100.9:0")); whose != Unknown {
		t.Errorf("Of(no ports) = %d, %v, want unknown", got, whose)
	}
}

// A connection that is over is still known.
func TestOwnersRemember(t *testing.T) {
	o := someOwners()
	o.Learn(nil, []Namespace{{NetNS: host, Addresses: addresses("192.0.2.1"), Owners: []container.ID{1, 10}}})
	if got, _ := o.Of(layers.IPProtocolTCP, at("192.0.2.1:50000"), at("198.51.100.7:443")); got != 12 {
		t.Errorf("Of(a connection that has closed) = %d, want 12", got)
	}
}

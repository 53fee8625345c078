package packet

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// What is written is read again: times, both lengths, interfaces, link types.
func TestWriter(t *testing.T) {
	tun := Device{Index: 9, Name: "tun0", Link: LinkIP}
	var file bytes.Buffer
	w, err := NewWriter(&file, "seer test", []Device{eth0, tun}, 10)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	frame := build(t, ether(layers.EthernetTypeIPv4), v4("10.0.0.1", "10.0.0.2", layers.IPProtocolTCP), tcp(1000, 80))
	datagram := build(t, v4("10.0.0.1", "10.0.0.2", layers.IPProtocolUDP), udp(1, 2))
	packets := []Packet{
		{Time: start, Device: &eth0, Length: 1514, Headers: frame[:58]},
		{Time: start.Add(time.Nanosecond), Device: &eth0, Direction: Egress, Length: 65000, Headers: frame[:54]},
		{Time: start.Add(time.Second), Device: &tun, Direction: Egress, Length: 28, Headers: datagram[:28]},
	}
	for i := range packets {
		if err := w.Write(&packets[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Write(&Packet{Device: &eth1}); err == nil {
		t.Error("Write(a packet of a device that was not announced) = nil, want an error")
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}

	r, err := pcapgo.NewNgReader(&file, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.SectionInfo().Application; got != "seer test" {
		t.Errorf("application = %q, want %q", got, "seer test")
	}
	type record struct {
		Name, Description string
		Link              layers.LinkType
		Time              time.Time
		Length            int
		Data              string
	}
	var got []record
	for {
		data, ci, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		block, err := r.Interface(ci.InterfaceIndex)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, record{block.Name, block.Description, block.LinkType, ci.Timestamp.UTC(), ci.Length, string(data)})
	}
	want := []record{
		{"eth0", "eth0, ingress, 1 packet in 10", layers.LinkTypeEthernet, start, 1514, string(frame[:58])},
		{"eth0", "eth0, egress, 1 packet in 10", layers.LinkTypeEthernet, start.Add(1), 65000, string(frame[:54])},
		{"tun0", "tun0, egress, 1 packet in 10", layers.LinkTypeRaw, start.Add(time.Second), 28, string(datagram[:28])},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what was written (-want +got):\n%s", diff)
	}
	if _, err := NewWriter(&file, "seer test", nil, 1); err == nil {
		t.Error("NewWriter(no device) = nil, want an error")
	}
}

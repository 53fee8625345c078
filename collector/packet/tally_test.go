package packet

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"seer/collector/container"
)

var eth0, eth1 = Device{Index: 2, Name: "eth0"}, Device{Index: 3, Name: "eth1"}

func somePacket(d *Device, direction Direction, local, remote string, length, segments int) *Packet {
	p := &Packet{Device: d, Direction: direction, Length: length, Segments: segments}
	p.IP, p.Protocol, p.Source, p.Destination = true, layers.IPProtocolTCP, at(remote), at(local)
	if direction == Egress {
		p.Source, p.Destination = p.Destination, p.Source
	}
	return p
}

func TestShares(t *testing.T) {
	tally := NewTally()
	add := func(times int, p *Packet) {
		for range times {
			tally.Add(p)
		}
	}
	add(30, somePacket(&eth0, Ingress, "10.0.0.1:8080", "10.0.0.9:51000", 100, 1))
	add(10, somePacket(&eth0, Ingress, "10.0.0.2:8080", "10.0.0.9:51000", 1500, 1))
	add(10, somePacket(&eth0, Ingress, "203.0.113.1:443", "10.0.0.9:51000", 100, 2))
	add(5, somePacket(&eth0, Egress, "10.0.0.1:8080", "10.0.0.9:51000", 60, 1))
	add(7, somePacket(&eth1, Ingress, "10.0.0.2:8080", "10.0.0.9:51000", 60, 1))
	got := tally.Shares([]Passed{
		{Device: eth0, Direction: Ingress, Counts: Counts{Packets: 500, Segments: 600, Bytes: 190_000}},
		{Device: eth0, Direction: Egress, Counts: Counts{Packets: 5, Segments: 5, Bytes: 300}},
		{Device: eth1, Direction: Egress, Counts: Counts{Packets: 3, Segments: 3, Bytes: 300}}, // none sampled
	}, someOwners())
	deviation := func(share float64) float64 { return math.Sqrt(share * (1 - share) / 50 * .9) }
	want := []Share{
		{Device: eth0, Whose: Owned, Owner: 20, Sampled: Counts{30, 30, 3000}, Estimated: Counts{300, 300, 30_000}, Share: .6, ShareBytes: 3. / 19, Error: deviation(.6)},
		{Device: eth0, Whose: Owned, Owner: 30, Sampled: Counts{10, 10, 15000}, Estimated: Counts{100, 100, 150_000}, Share: .2, ShareBytes: 15. / 19, Error: deviation(.2)},
		{Device: eth0, Whose: External, Sampled: Counts{10, 20, 1000}, Estimated: Counts{100, 200, 10_000}, Share: .2, ShareBytes: 1. / 19, Error: deviation(.2)},
		{Device: eth0, Direction: Egress, Whose: Owned, Owner: 20, Sampled: Counts{5, 5, 300}, Estimated: Counts{5, 5, 300}, Share: 1, ShareBytes: 1},
	}
	near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-12 })
	if diff := cmp.Diff(want, got, near); diff != "" {
		t.Errorf("Shares (-want +got):\n%s", diff)
	}
	weights := Weights(got, eth0.Index)
	if diff := cmp.Diff(map[container.ID]float64{20: .75, 30: .25}, weights, near); diff != "" {
		t.Errorf("Weights(eth0) (-want +got):\n%s", diff)
	}
	if weights := Weights(got, eth1.Index); len(weights) != 0 {
		t.Errorf("Weights(eth1) = %v, want none: nothing came in there", weights)
	}
}

// The standard error is what a share really strays by, drawn again and again.
func TestShareError(t *testing.T) {
	const packets, every, draws = 4000, 5, 400
	random := rand.New(rand.NewPCG(1, 2))
	owners := someOwners()
	strayed, claimed := 0.0, 0.0
	for range draws {
		tally := NewTally()
		for i := range packets {
			if random.IntN(every) != 0 {
				continue
			}
			local := "10.0.0.1:8080"
			if i%4 != 0 {
				local = "10.0.0.2:8080"
			}
			tally.Add(somePacket(&eth0, Ingress, local, "10.0.0.9:51000", 100, 1))
		}
		for _, s := range tally.Shares([]Passed{{Device: eth0, Counts: Counts{Packets: packets, Segments: packets, Bytes: 100 * packets}}}, owners) {
			if s.Owner == 20 {
				strayed += (s.Share - .25) * (s.Share - .25)
				claimed += s.Error * s.Error
			}
		}
	}
	if ratio := math.Sqrt(strayed / claimed); ratio < .9 || ratio > 1.1 {
		t.Errorf("shares stray by %.2f of the standard error, want 1", ratio)
	}
}

// More flows than a Tally keeps are counted, as nobody's.
func TestTallyFull(t *testing.T) {
	tally := NewTally()
	const over = 3
	for i := range maxFlows + over {
		remote := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 16), byte(i >> 8)}), uint16(1+i&0xff))
		tally.Add(somePacket(&eth0, Ingress, "10.0.0.1:80", remote.String(), 100, 1))
	}
	tally.Add(somePacket(&eth0, Ingress, "10.0.0.1:80", "198.51.0.0:1", 100, 1)) // a flow that is kept
	got := tally.Shares([]Passed{{Device: eth0, Counts: Counts{Packets: maxFlows + over + 1}}}, someOwners())
	if len(got) != 2 || got[0].Owner != 20 || got[0].Sampled.Packets != maxFlows+1 || got[1].Whose != Unknown || got[1].Sampled.Packets != over {
		t.Errorf("Shares(%d flows) = %s, want %d of the container and %d of nobody known", maxFlows+over, fmt.Sprint(got), maxFlows+1, over)
	}
}

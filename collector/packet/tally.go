package packet

import (
	"cmp"
	"math"
	"slices"

	"github.com/google/gopacket/layers"

	"seer/collector/container"
)

// maxFlows bounds what a Tally keeps apart; 65,536 x some 150 bytes. Packets of
// further flows are counted without their remote end, or not at all (Overflow).
const maxFlows = 1 << 16

// flow is what decides whose a packet is.
type flow struct {
	device    int
	direction Direction
	protocol  layers.IPProtocol
	local     Endpoint
	remote    Endpoint
}

// Counts are packets that were sampled or passed.
type Counts struct {
	Packets  uint64
	Segments uint64 // packets on the wire that these stand for
	Bytes    uint64
}

func (c *Counts) add(other Counts) {
	c.Packets += other.Packets
	c.Segments += other.Segments
	c.Bytes += other.Bytes
}

// Passed is all that passed one device in one direction, known exactly.
type Passed struct {
	Device    Device
	Direction Direction
	Counts
	Lost uint64 // sampled, but the reader was late
}

// Tally counts sampled packets by flow. Whose they are is asked at the end, when
// most is known about the host.
type Tally struct {
	flows map[flow]*Counts
	over  map[flow]*Counts // by device and direction
}

// NewTally returns an empty Tally.
func NewTally() *Tally { return &Tally{flows: map[flow]*Counts{}, over: map[flow]*Counts{}} }

// Add counts a packet.
func (t *Tally) Add(p *Packet) {
	local, remote := p.Local()
	key := flow{p.Device.Index, p.Direction, p.Protocol, local, remote}
	one := Counts{1, uint64(p.Segments), uint64(p.Length)}
	if c := t.flows[key]; c != nil {
		c.add(one)
		return
	}
	if len(t.flows) < maxFlows {
		t.flows[key] = &one
		return
	}
	key = flow{device: key.device, direction: key.direction}
	if c := t.over[key]; c != nil {
		c.add(one)
		return
	}
	t.over[key] = &one
}

// Share is what one container has of a device's packets in one direction.
type Share struct {
	Device    Device
	Direction Direction
	Whose     Whose
	Owner     container.ID // of Owned
	Sampled   Counts
	Estimated Counts // of all that passed: the exact total, shared out like the sample

	// Share is the part of the packets, 0 to 1: the weight by which to share
	// out a depth that is known for the device as a whole. Bytes have
	// ShareBytes.
	Share      float64
	ShareBytes float64
	// Error is the standard error of Share: 0 where every packet was sampled.
	Error float64
}

// Shares returns who had which part of what passed, in order of device,
// direction and share.
func (t *Tally) Shares(passed []Passed, owners *Owners) []Share {
	var all []Share
	for i := range passed {
		p := &passed[i]
		all = append(all, t.sharesOf(p, owners)...)
	}
	return all
}

func (t *Tally) sharesOf(p *Passed, owners *Owners) []Share {
	type party struct {
		whose Whose
		owner container.ID
	}
	counts := map[party]*Counts{}
	var sampled Counts
	count := func(who party, c *Counts) {
		sampled.add(*c)
		if counts[who] == nil {
			counts[who] = &Counts{}
		}
		counts[who].add(*c)
	}
	for key, c := range t.flows {
		if key.device == p.Device.Index && key.direction == p.Direction {
			owner, whose := owners.Of(key.protocol, key.local, key.remote)
			count(party{whose, owner}, c)
		}
	}
	if c := t.over[flow{device: p.Device.Index, direction: p.Direction}]; c != nil {
		count(party{whose: Unknown}, c)
	}
	shares := make([]Share, 0, len(counts))
	for who, c := range counts {
		s := Share{Device: p.Device, Direction: p.Direction, Whose: who.whose, Owner: who.owner, Sampled: *c}
		s.estimate(sampled, p.Counts)
		shares = append(shares, s)
	}
	slices.SortFunc(shares, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(b.Whose, a.Whose), cmp.Compare(a.Owner, b.Owner))
	})
	return shares
}

// estimate scales the part that s has of a sample up to all that passed.
//
// The standard error of a share s of n packets, drawn from N without putting
// them back, is sqrt(s (1-s) / n * (1 - n/N)).
func (s *Share) estimate(sampled, passed Counts) {
	part := func(of, all uint64) float64 {
		if all == 0 {
			return 0
		}
		return float64(of) / float64(all)
	}
	s.Share = part(s.Sampled.Packets, sampled.Packets)
	s.ShareBytes = part(s.Sampled.Bytes, sampled.Bytes)
	s.Estimated = Counts{
		Packets:  uint64(math.Round(s.Share * float64(passed.Packets))),
		Segments: uint64(math.Round(part(s.Sampled.Segments, sampled.Segments) * float64(passed.Segments))),
		Bytes:    uint64(math.Round(s.ShareBytes * float64(passed.Bytes))),
	}
	unseen := max(0, 1-part(sampled.Packets, passed.Packets))
	s.Error = math.Sqrt(s.Share * (1 - s.Share) / float64(sampled.Packets) * unseen)
}

// Weights returns what part of the packets that came in by one device each
// container has, for sharing out a depth of the device (nic_rx). Packets that are
// nobody's here have no part in it; without any other, there are no weights.
func Weights(shares []Share, device int) map[container.ID]float64 {
	weights := map[container.ID]float64{}
	total := 0.0
	for i := range shares {
		s := &shares[i]
		if s.Device.Index == device && s.Direction == Ingress && s.Whose == Owned {
			weights[s.Owner] += s.Share
			total += s.Share
		}
	}
	for id := range weights {
		weights[id] /= total
	}
	return weights
}

package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"seer/collector/container"
	"seer/collector/graph"
	"seer/collector/packet"
)

// PacketShares is the document of what a survey found.
func PacketShares(r *packet.Report, sel Selector) (*Document, error) {
	picked, err := sel.pickOf(slices.Collect(maps.Values(r.Containers)))
	if err != nil {
		return nil, err
	}
	rows := []PacketShareRow{}
	weights := map[int]map[container.ID]float64{}
	for i := range r.Shares {
		s := &r.Shares[i]
		party := packet.Party{Whose: s.Whose, Container: r.Containers[s.Owner]}
		if !sel.takes(party, picked) {
			continue
		}
		row := PacketShareRow{
			Device: s.Device.Name, Direction: s.Direction.String(), Every: r.Every, Sampled: s.Sampled.Packets,
			Packets: s.Estimated.Packets, Segments: s.Estimated.Segments, Bytes: s.Estimated.Bytes,
			Share: finite(s.Share), ShareBytes: finite(s.ShareBytes), ShareError: finite(s.Error),
		}
		row.Container, row.Service, row.CgroupID = partyNames(party)
		if seconds := r.Took.Seconds(); seconds > 0 {
			row.PacketsPerSecond, row.BytesPerSecond = float64(row.Packets)/seconds, float64(row.Bytes)/seconds
		}
		if s.Direction == packet.Ingress && s.Whose == packet.Owned {
			if weights[s.Device.Index] == nil {
				weights[s.Device.Index] = packet.Weights(r.Shares, s.Device.Index)
			}
			row.Weight = weights[s.Device.Index][s.Owner]
		}
		rows = append(rows, row)
	}
	return packetDocument(rows, r)
}

// Packets is the document of sampled packets.
func Packets(rows []PacketRow, r *packet.Report) (*Document, error) {
	if rows == nil {
		rows = []PacketRow{}
	}
	return packetDocument(rows, r)
}

func packetDocument(rows any, r *packet.Report) (*Document, error) {
	raw, err := json.Marshal(rows)
	if err != nil {
		return nil, fmt.Errorf("packet: %w", err)
	}
	return &Document{Schema: Schema, Object: "packet", TickMS: milliseconds(r.Took), Losses: r.Lost(), Rows: raw}, nil
}

// Takes tells whether a packet is selected, as far as its own container says.
func (s Selector) Takes(party packet.Party) bool {
	if party.Container == nil {
		return s == (Selector{})
	}
	picked, err := s.pickOf([]*container.Container{party.Container})
	return err == nil && picked(party.Container)
}

// takes is Takes among containers that are all known. What is nobody's is taken
// where nothing is selected.
func (s Selector) takes(party packet.Party, picked pickFunc) bool {
	if party.Container == nil {
		return s == (Selector{})
	}
	return picked(party.Container)
}

// NewPacketRow describes a packet.
func NewPacketRow(p *packet.Packet, party packet.Party) PacketRow {
	row := PacketRow{
		Time: p.Time.UTC().Format(time.RFC3339Nano), Device: p.Device.Name, Direction: p.Direction.String(),
		Bytes: p.Length, Segments: p.Segments, Fragment: p.Fragment, Flags: p.Flags.String(), VLANs: slices.Clone(p.VLANs()),
		Summary: p.Describe(),
	}
	row.Container, row.Service, row.CgroupID = partyNames(party)
	switch {
	case p.IP:
		row.Protocol, row.Source, row.Destination = p.Protocol.String(), packetEnd(p.Source), packetEnd(p.Destination)
	case p.EtherType != 0:
		row.Protocol = p.EtherType.String()
	}
	for _, t := range p.Tunnels() {
		row.Tunnels = append(row.Tunnels, TunnelRow{t.Kind.String(), t.Number, t.From.String(), t.To.String()})
	}
	return row
}

// packetEnd leaves out the port that a protocol does not have.
func packetEnd(e netip.AddrPort) string {
	if e.Port() == 0 {
		return e.Addr().String()
	}
	return e.String()
}

func partyNames(party packet.Party) (name, service string, cgroup uint64) {
	switch {
	case party.Container != nil:
		return party.Container.Name, party.Container.Service, party.Container.ID.CgroupID()
	case party.Whose == packet.External:
		return graph.External, graph.External, 0
	}
	return party.Whose.String(), party.Whose.String(), 0
}

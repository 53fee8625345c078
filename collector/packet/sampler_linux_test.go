package packet

import (
	"errors"
	"testing"

	"seer/bpf"
)

// What Go repeats of the BPF side is equal to it.
func TestLayout(t *testing.T) {
	var event bpf.PacketPacketEvent
	if got := len(event.Headers) + vlanBytes; got != SnapLength {
		t.Errorf("SnapLength = %d, want HEADERS_MAX and a tag: %d", SnapLength, got)
	}
	if Ingress != Direction(bpf.PacketPacketDirectionPACKET_INGRESS) || Egress != Direction(bpf.PacketPacketDirectionPACKET_EGRESS) {
		t.Errorf("Ingress, Egress = %d, %d, want those of enum packet_direction", Ingress, Egress)
	}
	spec, err := bpf.LoadPacket()
	if err != nil {
		t.Fatal(err)
	}
	if got := spec.Maps[bpf.PacketMapPacketCounters].MaxEntries; got != 2*MaxDevices {
		t.Errorf("packet_counters holds %d, want both directions of %d devices", got, MaxDevices)
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Config{Devices: []string{"lo"}, Every: -1}); err == nil {
		t.Error("New(one in -1) = nil, want an error")
	}
	if _, err := New(Config{Devices: []string{"no-such-device"}}); !errors.Is(err, ErrNoDevice) {
		t.Errorf("New(no-such-device) = %v, want ErrNoDevice", err)
	}
}

package packet

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"

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

// What a program adds to each packet of a device, and the reader to each that was sampled.
func BenchmarkProgram(b *testing.B) {
	packet := build(b, ether(layers.EthernetTypeIPv4), v4("10.0.0.1", "10.0.0.2", layers.IPProtocolTCP), tcp(1, 2))
	for _, every := range []int{1, 10, 100, 1 << 30} {
		b.Run(fmt.Sprintf("every=%d", every), func(b *testing.B) {
			s, err := New(Config{Devices: []string{"lo"}, Every: every})
			if errors.Is(err, ErrUnsupported) || errors.Is(err, unix.EPERM) {
				b.Skip(err)
			} else if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			if err := s.objects.PacketCounters.Put(counterKey(&s.devices[0], Ingress), make([]bpf.PacketPacketCounts, ebpf.MustPossibleCPU())); err != nil {
				b.Fatal(err)
			}
			const repeat = 4000 // fit into the ring
			var inKernel, reading time.Duration
			read := 0
			for b.Loop() {
				_, took, err := s.objects.PacketIngress.Benchmark(packet, repeat, nil)
				if err != nil {
					b.Fatal(err)
				}
				inKernel += took // of one
				began := time.Now()
				if err := s.drain(func(*Packet) error { read++; return nil }); err != nil {
					b.Fatal(err)
				}
				reading += time.Since(began)
			}
			b.ReportMetric(float64(inKernel)/float64(b.N), "ns/packet")
			if read > 0 {
				b.ReportMetric(float64(reading)/float64(read), "ns/sampled")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

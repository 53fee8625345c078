//go:build linux

package known

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"seer/collector/packet"
	"seer/test/lab"
)

// needsTCX skips the test where the kernel has no tcx (before Linux 6.6).
func needsTCX(t *testing.T) {
	t.Helper()
	s, err := packet.NewSurvey(t.Context(), packet.Config{Devices: []string{"lo"}, Every: math.MaxInt32})
	if errors.Is(err, packet.ErrUnsupported) {
		t.Skip(err)
	}
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// shares runs f while one packet in every is sampled at all devices of the
// network's router, and returns whose packets they were, and how many of those
// sampled at the first device were neither UDP nor TCP inside: ARP, for one.
func shares(t *testing.T, n *lab.Network, every int, f func()) (all []packet.Share, others uint64) {
	t.Helper()
	return sharesAt(t, packet.Config{Every: every}, n.Router, f)
}

// sharesAt is shares with devices of the namespace that within runs a function in.
func sharesAt(t *testing.T, cfg packet.Config, within func(func() error) error, f func()) (all []packet.Share, others uint64) {
	t.Helper()
	var s *packet.Survey
	err := within(func() (err error) {
		s, err = packet.NewSurvey(t.Context(), cfg)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() {
		ran <- s.Run(ctx, func(p *packet.Packet, _ packet.Party) error {
			if p.Device.Name != "veth1" {
				return nil
			}
			carrier := len(p.Tunnels()) > 0 && p.Destination.Addr() == p.Tunnels()[0].To // of what is not IP
			if p.Destination.Port() == 0 || carrier {
				others++
			}
			return nil
		})
	}()
	f()
	cancel()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	report, err := s.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if lost := report.Lost(); lost != 0 {
		t.Errorf("%d packets lost, want none", lost)
	}
	return report.Shares, others
}

// of returns what a container has of a device's packets, and nothing if it has none.
func of(all []packet.Share, device string, direction packet.Direction, c *lab.Container) packet.Share {
	for _, s := range all {
		if s.Device.Name == device && s.Direction == direction && s.Whose == packet.Owned && s.Owner == idOf(c) {
			return s
		}
	}
	return packet.Share{}
}

var unspecified = map[string]netip.Addr{"udp4": netip.IPv4Unspecified(), "udp6": netip.IPv6Unspecified()}

// A client sends datagrams to one server and three times as many to another.
// All cross the device of the client, inwards, and each server's, outwards.
func TestPackets(t *testing.T) {
	needsTCX(t)
	tests := []struct {
		name, tunnel string
		network      string
		every        int
		datagrams    int // to the first server
	}{
		{name: "every packet", network: "udp4", every: 1, datagrams: 300},
		{name: "every packet of v6", network: "udp6", every: 1, datagrams: 100},
		{name: "one in 10", network: "udp4", every: 10, datagrams: 1500},
		{name: "in vxlan", tunnel: "vxlan", network: "udp4", every: 1, datagrams: 300},
		{name: "one in 10 in vxlan", tunnel: "vxlan", network: "udp4", every: 10, datagrams: 1000},
		{name: "in geneve", tunnel: "geneve", network: "udp4", every: 1, datagrams: 100},
		{name: "IP in IP", tunnel: "ipip", network: "udp4", every: 1, datagrams: 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := lab.NewNetwork(t)
			var c [4]*lab.Container
			for i, name := range []string{"client", "first", "second", "neighbour"} {
				c[i] = lab.NewContainer(t, name, lab.Options{Network: n})
			}
			client, servers, neighbour := c[0], c[1:3], c[3]
			out := client.Sockets()
			in := make([]*lab.Sockets, 2)
			from, to := make([][]lab.Socket, 2), make([]lab.Socket, 2)
			for i, server := range servers {
				address := server.Addr
				if tt.network == "udp6" {
					address = server.Addr6
				}
				if tt.tunnel != "" {
					var err error
					if _, address, err = lab.Tunnel(tt.tunnel, byte(i+1), client, server); errors.Is(err, lab.ErrNoTunnel) {
						t.Skip(err)
					} else if err != nil {
						t.Fatal(err)
					}
				}
				// One server is bound to its address, the other to its port alone.
				bound := address
				if i == 1 {
					bound = unspecified[tt.network]
				}
				in[i] = server.Sockets()
				to[i] = in[i].Listen(tt.network, netip.AddrPortFrom(bound, 0).String(), 0)
				from[i] = out.Connect(tt.network, netip.AddrPortFrom(address, to[i].AddrPort().Port()).String(), 1)
			}
			for _, port := range to { // the same ports, next door
				neighbour.Sockets().Listen(tt.network, netip.AddrPortFrom(unspecified[tt.network], port.AddrPort().Port()).String(), 0)
			}

			const burst = 100 // fits a receive buffer, and the backlog of a processor
			send := func(i int) {
				out.Datagrams(from[i], burst)
				in[i].Receive(to[i:i+1], burst)
			}
			send(0) // so that the neighbours on each link know each other
			send(1)
			all, others := shares(t, n, tt.every, func() {
				for range tt.datagrams / burst {
					for i, times := range []int{1, 3} {
						for range times {
							send(i)
						}
					}
				}
			})
			for i, times := range []int{1, 3} {
				want := uint64(times * tt.datagrams)
				for _, end := range []struct {
					device    string
					direction packet.Direction
					owner     *lab.Container
				}{
					{"veth1", packet.Ingress, servers[i]},
					{fmt.Sprintf("veth%d", i+2), packet.Egress, client},
				} {
					got := of(all, end.device, end.direction, end.owner)
					n := got.Estimated.Packets
					where := fmt.Sprintf("%s of %s: one packet in %d: %s has %d sampled, %d estimated", end.direction, end.device, tt.every, end.owner.Name, got.Sampled.Packets, n)
					if tt.every == 1 {
						if got.Error != 0 || n != got.Sampled.Packets || n < want || n > want+others {
							t.Errorf("%s, error %v; want %d, at most %d more", where, got.Error, want, others)
						}
						continue
					}
					// What is not IP is in what passed, and seldom in the sample.
					const alien = 10
					if off := math.Abs(float64(n) - float64(want)); off > 5*got.Error*float64(4*tt.datagrams)+alien {
						t.Errorf("%s, standard error of the share %.4f; want %d", where, got.Error, want)
					}
					mean := float64(want) / float64(tt.every) // of a binomial distribution
					if off := math.Abs(float64(got.Sampled.Packets) - mean); off > 5*math.Sqrt(mean*(1-1/float64(tt.every)))+alien {
						t.Errorf("%s, want about %.0f sampled", where, mean)
					}
				}
			}
			for _, s := range all {
				if s.Whose == packet.Owned && s.Owner == idOf(neighbour) {
					t.Errorf("%s of %s has %d packets of the neighbour, want none", s.Direction, s.Device.Name, s.Sampled.Packets)
				}
			}
			// The rest is what the router itself gets, who is in this process.
			weights := packet.Weights(all, of(all, "veth1", packet.Ingress, servers[0]).Device.Index)
			for c, want := range map[*lab.Container]float64{servers[0]: .25, servers[1]: .75, neighbour: 0} {
				deviation := of(all, "veth1", packet.Ingress, c).Error
				if got := weights[idOf(c)]; math.Abs(got-want) > 5*deviation+.02 {
					t.Errorf("Weights(veth1) = %.3f for %s, standard error %.3f, want %.2f", got, c.Name, deviation, want)
				}
			}
		})
	}
}

// Segments of a TCP connection, counted where they pass: as many as the sender
// says, though a packet at the device may stand for several.
func TestPacketsOfTCP(t *testing.T) {
	needsTCX(t)
	n := lab.NewNetwork(t)
	client, server := lab.NewContainer(t, "client", lab.Options{Network: n}), lab.NewContainer(t, "server", lab.Options{Network: n})
	out, in := client.Sockets(), server.Sockets()
	l := in.Listen("tcp4", netip.AddrPortFrom(netip.IPv4Unspecified(), 0).String(), 1)
	from := out.Connect("tcp4", netip.AddrPortFrom(server.Addr, l.AddrPort().Port()).String(), 1)
	to := in.Accept(l, 1)
	const rounds, bytes = 16, 1 << 16
	before := out.Stat(from...)[0].SegmentsOut
	var after int
	all, _ := shares(t, n, 1, func() {
		for range rounds {
			out.Send(from, bytes)
			in.Receive(to, bytes)
		}
		after = out.Stat(from...)[0].SegmentsOut
	})
	got := of(all, "veth1", packet.Ingress, server)
	if want := uint64(after - before); got.Sampled.Segments != want || got.Sampled.Packets == 0 || got.Sampled.Packets > want {
		t.Errorf("ingress of veth1: %+v for %s, want %d segments", got.Sampled, server.Name, want)
	}
	if got.Sampled.Bytes < rounds*bytes {
		t.Errorf("ingress of veth1: %d bytes for %s, want at least the %d sent", got.Sampled.Bytes, server.Name, rounds*bytes)
	}
	if back := of(all, "veth2", packet.Ingress, client); back.Sampled.Packets == 0 {
		t.Errorf("ingress of veth2 has no acknowledgement for %s", client.Name)
	}
}

// Connections of processes that share the host's namespace, which are over before
// anybody can have looked who holds them.
func TestPacketsOfShortConnections(t *testing.T) {
	needsTCX(t)
	client, server := lab.NewContainer(t, "client", lab.Options{}), lab.NewContainer(t, "server", lab.Options{})
	neighbour := lab.NewContainer(t, "neighbour", lab.Options{})
	out, in := client.Sockets(), server.Sockets()
	neighbour.Sockets()
	l := in.Listen("tcp4", "127.0.0.1:0", 16)
	const connections = 8
	here := func(f func() error) error { return f() }
	all, _ := sharesAt(t, packet.Config{Devices: []string{"lo"}, Every: 1}, here, func() {
		from := out.Connect("tcp4", l.Addr, connections)
		to := in.Accept(l, connections)
		out.Send(from, 100)
		in.Receive(to, 100)
		in.Close(to...)
		out.Close(from...)
	})
	// To the client: at least SYN-ACK and FIN of each. To the server: SYN, ACK, data, FIN.
	for c, least := range map[*lab.Container]uint64{client: 2 * connections, server: 4 * connections} {
		if got := of(all, "lo", packet.Ingress, c).Sampled.Packets; got < least || got > 3*least {
			t.Errorf("ingress of lo: %d packets for %s, want %d or a few more", got, c.Name, least)
		}
	}
	if got := of(all, "lo", packet.Ingress, neighbour).Sampled.Packets; got != 0 {
		t.Errorf("ingress of lo: %d packets for the neighbour, want none", got)
	}
}

// surveyor is the workload that samples packets until it is killed.
const surveyor = "surveyor"

func surveyorWorkload(w *lab.Worker) error {
	if err := w.Begin(nil); err != nil {
		return err
	}
	s, err := packet.NewSurvey(context.Background(), packet.Config{Devices: []string{"lo"}, Every: 1})
	if err != nil {
		return err
	}
	go func() { _ = s.Run(context.Background(), nil) }() // ends with the process
	return w.Serve(nil)
}

// A sampler that is killed leaves nothing at its devices.
func TestPacketsKilled(t *testing.T) {
	needsTCX(t)
	p := lab.NewContainer(t, "surveyor", lab.Options{Network: lab.NewNetwork(t)}).Start(surveyor, nil)
	netns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", p.PID))
	if err != nil {
		t.Fatal(err)
	}
	defer netns.Close()
	attached := func() (programs int) {
		t.Helper()
		result := make(chan error, 1)
		go func() {
			runtime.LockOSThread() // and stays: the thread ends with the goroutine
			if err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
				result <- err
				return
			}
			const lo = 1
			for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
				found, err := link.QueryPrograms(link.QueryOptions{Target: lo, Attach: at})
				if err != nil {
					result <- err
					return
				}
				programs += len(found.Programs)
			}
			result <- nil
		}()
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		return programs
	}
	if got := attached(); got != 2 {
		t.Fatalf("%d programs are attached to lo, want 2", got)
	}
	if err := unix.Kill(p.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// The kernel detaches when the last descriptor goes, and waits for CPUs to
	// have left the programs.
	lab.Wait(t, "no program at lo", func() (bool, string) {
		n := attached()
		return n == 0, fmt.Sprintf("%d are attached", n)
	})
}

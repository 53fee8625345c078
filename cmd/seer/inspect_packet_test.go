package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/pcapgo"

	"seer/collector/container"
	"seer/collector/packet"
)

// Frames that Linux 6.18 sent between containers of the lab, without payload: TCP,
// TCP in VXLAN, the beginning of an ARP request.
const (
	tcpFrame   = "8efe6cb84673fa36c879983f0800450013bcd358400040063b120ae701020ae70202ce10cc91bed8a7185e8298da8018003f2c8000000101080a8f8001acf65a8adb"
	vxlanFrame = "8efe6cb84673fa36c879983f08004500006ed8890000401189240ae701020ae70202d11212b5005a2ff00800000000002a005609f8d27c4eda7b8cd8d034" +
		"08004500003c8e3a4000400642ad0ae92a010ae92a02c354a597e83df3f800000000a002faf06a030000020405b40402080a3618bf03000000000103030a"
	arpFrame = "ffffffffffff0200000000010806"
)

func frame(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// shopPackets is a host with two devices.
type shopPackets struct {
	cancel func() // called once running, if there is one
	closed *bool
}

var (
	shopWeb     = &container.Container{ID: 4711, Name: "web-7f9c", Service: "web", RuntimeID: "7f9c41d2aa00", Pod: "web-0", Namespace: "shop"}
	shopDB      = &container.Container{ID: container.Legacy | 52, Name: "db", Service: "db"}
	shopDevices = []packet.Device{{Index: 2, Name: "eth0"}, {Index: 3, Name: "vethc0ffee12345"}}
)

func samplePacketsOfShop(_ context.Context, cfg packet.Config) (packetSurvey, error) {
	for _, name := range cfg.Devices {
		if name != "eth0" {
			return nil, fmt.Errorf("sample packets: %w called %q: there are eth0", packet.ErrNoDevice, name)
		}
	}
	return shopPackets{}, nil
}

func (s shopPackets) Devices() []packet.Device { return shopDevices }

func (s shopPackets) Close() error {
	if s.closed != nil {
		*s.closed = true
	}
	return nil
}

func (s shopPackets) Run(ctx context.Context, each func(*packet.Packet, packet.Party) error) error {
	start := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	decoder := packet.NewDecoder()
	for i, p := range []struct {
		frame     string
		device    *packet.Device
		direction packet.Direction
		length    int
		segments  int
		party     packet.Party
	}{
		{tcpFrame, &shopDevices[0], packet.Ingress, 5066, 4, packet.Party{Whose: packet.Owned, Container: shopWeb}},
		{vxlanFrame, &shopDevices[0], packet.Egress, 124, 1, packet.Party{Whose: packet.Owned, Container: shopDB}},
		{arpFrame, &shopDevices[1], packet.Ingress, 42, 1, packet.Party{Whose: packet.Unknown}},
	} {
		data, err := hex.DecodeString(p.frame)
		if err != nil {
			return err
		}
		decoded := decoder.Decode(packet.LinkEthernet, data)
		err = each(&packet.Packet{
			Time: start.Add(time.Duration(i) * time.Millisecond), Device: p.device, Direction: p.direction, Length: p.length, Segments: p.segments,
			Headers: data[:decoded.HeaderLength()], Decoded: decoded,
		}, p.party)
		if err != nil {
			return err
		}
	}
	if s.cancel != nil {
		s.cancel()
		<-ctx.Done()
	}
	return nil
}

func (shopPackets) Report(context.Context) (*packet.Report, error) {
	counts := func(n uint64) packet.Counts { return packet.Counts{Packets: n, Segments: 2 * n, Bytes: 1000 * n} }
	share := func(device int, direction packet.Direction, whose packet.Whose, owner container.ID, n uint64, part float64) packet.Share {
		return packet.Share{Device: shopDevices[device], Direction: direction, Whose: whose, Owner: owner, Sampled: counts(n), Estimated: counts(10 * n),
			Share: part, ShareBytes: part, Error: part / 20}
	}
	return &packet.Report{
		Devices: shopDevices, Every: 10, Took: 2 * time.Second,
		Passed:     []packet.Passed{{Device: shopDevices[0], Counts: counts(12_000), Lost: 1}},
		Containers: map[container.ID]*container.Container{shopWeb.ID: shopWeb, shopDB.ID: shopDB},
		Shares: []packet.Share{
			share(0, packet.Ingress, packet.Owned, shopWeb.ID, 600, .5), share(0, packet.Ingress, packet.External, 0, 400, 1./3),
			share(0, packet.Ingress, packet.Owned, shopDB.ID, 200, 1./6), share(0, packet.Egress, packet.Owned, shopDB.ID, 123456, 1),
			share(1, packet.Ingress, packet.Unknown, 0, 1, 1),
		},
	}, nil
}

func newPacketInspector(survey packetSurvey, out io.Writer) *inspector {
	return &inspector{out: out, notes: io.Discard, length: time.Hour, packet: packetOptions{every: 10},
		hooks: inspectHooks{Packets: func(context.Context, packet.Config) (packetSurvey, error) { return survey, nil }}}
}

// Ctrl-C ends sampling at once; what was found by then is shown, and it is no success.
func TestInspectPacketInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	closed := false
	var out bytes.Buffer
	err := newPacketInspector(shopPackets{cancel: cancel, closed: &closed}, &out).run(ctx, []string{"packet"})
	if !errors.Is(err, context.Canceled) || !closed || !strings.Contains(out.String(), "web-7f9c") {
		t.Errorf("interrupted inspect packet = %v, closed %v, printed %q; want context.Canceled, closed, and what it found", err, closed, out.String())
	}
}

// A file holds the packets that were selected, and can be read.
func TestInspectPacketFile(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in := newPacketInspector(shopPackets{cancel: cancel}, io.Discard)
	in.packet.file = filepath.Join(t.TempDir(), "p.pcapng")
	if err := in.run(ctx, []string{"packet", "container", "db"}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	file, err := os.Open(in.packet.file)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := pcapgo.NewNgReader(file, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	data, ci, err := r.ReadPacketData()
	if err != nil || !bytes.Equal(data, frame(t, vxlanFrame)[:len(data)]) || ci.Length != 124 {
		t.Errorf("ReadPacketData = %x of %d bytes, %v; want the packet of db, of 124 bytes", data, ci.Length, err)
	}
	if _, _, err := r.ReadPacketData(); !errors.Is(err, io.EOF) {
		t.Errorf("ReadPacketData, second = %v, want EOF: one packet is selected", err)
	}
	if info, err := file.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("Stat = %v, %v, want a file for its owner only", info.Mode(), err)
	}
}

// `seer inspect packet dump | head -1` is no error, and detaches.
func TestInspectPacketClosedOutput(t *testing.T) {
	closed := false
	if err := newPacketInspector(shopPackets{closed: &closed}, brokenPipe{}).run(t.Context(), []string{"packet", "dump"}); err != nil || !closed {
		t.Errorf("inspect packet dump into a closed pipe = %v, closed %v; want nil, closed", err, closed)
	}
}

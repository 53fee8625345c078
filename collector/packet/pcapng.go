package packet

import (
	"fmt"
	"io"
	"runtime"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// Writer writes packets as pcapng, for Wireshark and tcpdump: an interface block
// per device and direction, times to the nanosecond, headers only, with the
// length that the packet had.
type Writer struct {
	out   *pcapgo.NgWriter
	index map[channel]int
}

// channel is one direction of a device.
type channel struct {
	device    int
	direction Direction
}

// NewWriter begins a file of what is sampled at devices, one packet in every.
func NewWriter(w io.Writer, application string, devices []Device, every int) (*Writer, error) {
	if len(devices) == 0 {
		return nil, fmt.Errorf("pcapng: no device")
	}
	writer := &Writer{index: map[channel]int{}}
	for i := range devices {
		d := &devices[i]
		for _, direction := range []Direction{Ingress, Egress} {
			block := pcapgo.NgInterface{
				Name: d.Name, Description: fmt.Sprintf("%s, %s, 1 packet in %d", d.Name, direction, every),
				LinkType: layers.LinkTypeEthernet, SnapLength: SnapLength, OS: runtime.GOOS, TimestampResolution: 9,
			}
			if d.Link == LinkIP {
				block.LinkType = layers.LinkTypeRaw
			}
			index, err := writer.add(w, application, block)
			if err != nil {
				return nil, fmt.Errorf("pcapng: %w", err)
			}
			writer.index[channel{d.Index, direction}] = index
		}
	}
	return writer, nil
}

// add adds an interface; the first comes with the beginning of the file.
func (w *Writer) add(to io.Writer, application string, block pcapgo.NgInterface) (index int, err error) {
	if w.out != nil {
		return w.out.AddInterface(block)
	}
	w.out, err = pcapgo.NewNgWriterInterface(to, block, pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{
		Hardware: runtime.GOARCH, OS: runtime.GOOS, Application: application,
	}})
	return 0, err
}

// Write writes one packet.
func (w *Writer) Write(p *Packet) error {
	index, ok := w.index[channel{p.Device.Index, p.Direction}]
	if !ok {
		return fmt.Errorf("pcapng: device %s was not announced", p.Device.Name)
	}
	err := w.out.WritePacket(gopacket.CaptureInfo{
		Timestamp: p.Time, CaptureLength: len(p.Headers), Length: max(p.Length, len(p.Headers)), InterfaceIndex: index,
	}, p.Headers)
	if err != nil {
		return fmt.Errorf("pcapng: %w", err)
	}
	return nil
}

// Flush writes out what is buffered. The file is the caller's to close.
func (w *Writer) Flush() error {
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("pcapng: %w", err)
	}
	return nil
}

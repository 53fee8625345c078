package packet

import "encoding/binary"

// SnapLength is the most of a packet that is kept: HEADERS_MAX of
// bpf/packet.bpf.h, and a VLAN tag.
const SnapLength = 192 + vlanBytes

const (
	macBytes  = 12 // both addresses
	vlanBytes = 4
)

// onWire returns the beginning of a frame as the wire has it. Devices take the
// outermost VLAN tag out of a frame that comes in, and put it into one that goes
// out: the kernel keeps it beside the frame. buf is reused.
func onWire(buf, headers []byte, vlanProtocol, vlan uint16) []byte {
	if vlanProtocol == 0 || len(headers) < macBytes {
		return append(buf[:0], headers...)
	}
	buf = append(buf[:0], headers[:macBytes]...)
	buf = binary.BigEndian.AppendUint16(buf, vlanProtocol)
	buf = binary.BigEndian.AppendUint16(buf, vlan)
	return append(buf, headers[macBytes:]...)
}

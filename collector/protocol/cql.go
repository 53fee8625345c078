package protocol

import "encoding/binary"

const (
	cqlQuery   = 0x07
	cqlPrepare = 0x09
)

// cqlOps are the other requests, by number.
var cqlOps = map[byte]string{0x01: "STARTUP", 0x05: "OPTIONS", 0x0a: Any, 0x0b: "REGISTER", 0x0d: "BATCH", 0x0f: "AUTH"}

// parseCQL reads a frame of a request in version 3 or 4 of CQL's protocol. Version 5
// wraps frames in segments with checksums after its first message.
func parseCQL(b []byte) (Request, bool) {
	if len(b) < 9 || b[0] < 3 || b[0] > 5 || b[1]&^0x1f != 0 || b[2]&0x80 != 0 {
		return Request{}, false
	}
	op, length, body := b[4], binary.BigEndian.Uint32(b[5:]), b[9:]
	if length > 256<<20 {
		return Request{}, false
	}
	whole := uint32(len(body)) >= length
	if name, ok := cqlOps[op]; ok && (whole || len(b) == MaxSample) {
		return Request{CQL, name}, true
	}
	if op != cqlQuery && op != cqlPrepare || len(body) < 4 {
		return Request{}, false
	}
	size := binary.BigEndian.Uint32(body)
	if size > length {
		return Request{}, false
	}
	text := body[4:]
	text = text[:min(uint64(len(text)), uint64(size))]
	name, ok := statementName(string(text), uint64(len(text)) == uint64(size))
	return Request{CQL, name}, ok
}

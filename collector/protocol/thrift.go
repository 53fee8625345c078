package protocol

import "encoding/binary"

const (
	thriftCall   = 1
	thriftOneway = 4
)

// parseThrift reads the head of a call in the binary (strict) or the compact
// protocol, in a frame or not.
func parseThrift(b []byte) (Request, bool) {
	if r, ok := parseThriftMessage(b); ok {
		return r, true
	}
	if len(b) > 4 && b[0] == 0 && binary.BigEndian.Uint32(b) >= 4 { // a frame's length, below 16 MB
		return parseThriftMessage(b[4:])
	}
	return Request{}, false
}

func parseThriftMessage(b []byte) (Request, bool) {
	if len(b) < 4 {
		return Request{}, false
	}
	var kind byte
	var length uint64
	switch {
	case b[0] == 0x80 && b[1] == 1 && b[2] == 0 && len(b) >= 8:
		kind, length = b[3], uint64(binary.BigEndian.Uint32(b[4:]))
		b = b[8:]
	case b[0] == 0x82 && b[1]&0x1f == 1:
		kind = b[1] >> 5
		_, n := binary.Uvarint(b[2:]) // sequence number
		if n <= 0 {
			return Request{}, false
		}
		b = b[2+n:]
		if length, n = binary.Uvarint(b); n <= 0 {
			return Request{}, false
		}
		b = b[n:]
	default:
		return Request{}, false
	}
	if kind != thriftCall && kind != thriftOneway || length == 0 || length > 128 || uint64(len(b)) < length {
		return Request{}, false
	}
	name := string(b[:length])
	if !isWord(name, "_.:") {
		return Request{}, false
	}
	return Request{Thrift, name}, true
}

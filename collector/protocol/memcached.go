package protocol

import "bytes"

var memcachedWords = map[string]bool{
	"get": true, "gets": true, "gat": true, "gats": true, "set": true, "add": true, "replace": true, "append": true, "prepend": true, "cas": true,
	"incr": true, "decr": true, "delete": true, "touch": true, "version": true, "flush_all": true, "stats": true, "quit": true, "verbosity": true,
	"mg": true, "ms": true, "md": true, "ma": true, "mn": true, "me": true, // the meta commands
}

// memcachedOps are the binary protocol's commands by number; those without reply
// go by the name of their like.
var memcachedOps = [...]string{
	0x00: "get", 0x01: "set", 0x02: "add", 0x03: "replace", 0x04: "delete", 0x05: "incr", 0x06: "decr", 0x07: "quit", 0x08: "flush_all",
	0x09: "get", 0x0a: "noop", 0x0b: "version", 0x0c: "get", 0x0d: "get", 0x0e: "append", 0x0f: "prepend", 0x10: "stats",
	0x11: "set", 0x12: "add", 0x13: "replace", 0x14: "delete", 0x15: "incr", 0x16: "decr", 0x17: "quit", 0x18: "flush_all", 0x19: "append", 0x1a: "prepend",
	0x1c: "touch", 0x1d: "gat", 0x1e: "gat", 0x20: "sasl", 0x21: "sasl", 0x22: "sasl",
}

// parseMemcached reads a command of the text, meta or binary protocol.
func parseMemcached(b []byte) (Request, bool) {
	if len(b) >= 24 && b[0] == 0x80 {
		// Opcode, key, extras and all within the body, and no data type is in use.
		key, extras := int(b[2])<<8|int(b[3]), int(b[4])
		body := int(b[8])<<24 | int(b[9])<<16 | int(b[10])<<8 | int(b[11])
		if op := int(b[1]); op < len(memcachedOps) && memcachedOps[op] != "" && b[5] == 0 && key <= 250 && extras <= 20 && key+extras <= body {
			return Request{Memcached, memcachedOps[op]}, true
		}
		return Request{}, false
	}
	end := bytes.IndexAny(b, " \r")
	if end < 1 || end > 9 || !memcachedWords[string(b[:end])] {
		return Request{}, false
	}
	line, _, whole := bytes.Cut(b, []byte("\r\n"))
	if !whole && len(b) < MaxSample || bytes.ContainsAny(line, "\x00\n") {
		return Request{}, false
	}
	return Request{Memcached, string(b[:end])}, true
}

package protocol

import (
	"bytes"
	"encoding/binary"
)

const (
	opCompressed = 2012
	opMsg        = 2013
	bsonString   = 2
)

// parseMongoDB reads a message: its header, and the first element of the command,
// which is the command's name and mostly names the collection.
func parseMongoDB(b []byte) (Request, bool) {
	if len(b) < 16 {
		return Request{}, false
	}
	length, replyTo, op := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:])
	if length < 21 || length > 48<<20 || replyTo != 0 {
		return Request{}, false
	}
	if op == opCompressed {
		return Request{MongoDB, Any}, true
	}
	// Flags, a section of kind 0, the length of its document, an element.
	if op != opMsg || len(b) < 27 || b[20] != 0 {
		return Request{}, false
	}
	kind := b[25]
	name, rest, ok := bytes.Cut(b[26:], []byte{0})
	if !ok || len(name) > 40 || !isWord(string(name), "") {
		return Request{}, false
	}
	r := Request{MongoDB, string(name)}
	if kind == bsonString && len(rest) > 4 {
		if collection, _, ok := bytes.Cut(rest[4:], []byte{0}); ok {
			if table, ok := tableName(string(collection)); ok {
				r.Name += " " + table
			}
		}
	}
	return r, true
}

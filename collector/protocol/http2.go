package protocol

import (
	"bytes"
	"encoding/binary"
	"strings"

	"golang.org/x/net/http2/hpack"
)

const (
	preface     = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameHeader = 9
	typeHeaders = 1
	endHeaders  = 0x4
	padded      = 0x8
	priority    = 0x20
	tableSize   = 4096 // of HPACK, unless a peer says otherwise
)

// parseHTTP2 reads frames (RFC 9113 section 4) up to the first HEADERS, after a
// connection's preface or, in the middle of one, at once.
func parseHTTP2(b []byte) (Request, bool) {
	rest, begins := bytes.CutPrefix(b, []byte(preface))
	for len(rest) >= frameHeader {
		length := int(rest[0])<<16 | int(rest[1])<<8 | int(rest[2])
		kind, flags, stream := rest[3], rest[4], binary.BigEndian.Uint32(rest[5:])
		if kind != typeHeaders && !begins || stream>>31 != 0 {
			break
		}
		rest = rest[frameHeader:]
		if kind != typeHeaders {
			rest = rest[min(length, len(rest)):]
			continue
		}
		if stream%2 == 0 || length == 0 || flags&^(endHeaders|padded|priority|1) != 0 {
			break
		}
		return parseHeaders(rest[:min(length, len(rest))], flags, !begins)
	}
	return Request{HTTP2, Any}, begins
}

// parseHeaders reads the fields that name a request. The dynamic table of the
// connection is not known: a field that refers to it, and all after it, are not
// read. Where the bytes may not be HTTP/2 at all, they are only if :method is there.
func parseHeaders(block []byte, flags byte, doubtful bool) (Request, bool) {
	pad := 0
	if flags&padded != 0 && len(block) > 0 {
		pad, block = int(block[0]), block[1:]
	}
	if flags&priority != 0 {
		block = block[min(5, len(block)):]
	}
	block = block[:max(0, len(block)-pad)]
	var method, path string
	grpc := false
	d := hpack.NewDecoder(tableSize, func(f hpack.HeaderField) {
		switch {
		case f.Name == ":method":
			method = f.Value
		case f.Name == ":path":
			path = f.Value
		case f.Name == "content-type" && strings.HasPrefix(f.Value, "application/grpc"), f.Name == "te" && f.Value == "trailers":
			grpc = true
		}
	})
	d.SetMaxStringLength(MaxSample)
	_, _ = d.Write(block) // an unknown index, or the end of the sample: what was read stands
	if !isWord(method, "") || len(method) > 16 {
		return Request{HTTP2, Any}, !doubtful
	}
	if service, name, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/"); grpc && ok && isWord(service, "._-") && isWord(name, "_") {
		return Request{GRPC, path}, true
	}
	r := Request{HTTP2, Any}
	if path != "" {
		r.Name = method + " " + normalPath(path, false)
	}
	return r, true
}

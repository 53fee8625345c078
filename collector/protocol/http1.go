package protocol

import (
	"bytes"
	"strings"
)

var methods = [...]string{"GET ", "POST ", "PUT ", "HEAD ", "DELETE ", "PATCH ", "OPTIONS ", "CONNECT ", "TRACE "}

// parseHTTP1 reads a request line (RFC 9112 section 3).
func parseHTTP1(b []byte) (Request, bool) {
	for _, m := range methods {
		rest, ok := bytes.CutPrefix(b, []byte(m))
		if !ok {
			continue
		}
		line, _, whole := bytes.Cut(rest, []byte("\n"))
		target, version, ok := bytes.Cut(line, []byte(" "))
		if ok && whole && !bytes.HasPrefix(version, []byte("HTTP/1.")) {
			return Request{}, false
		}
		if !ok && (whole || len(b) < MaxSample) || len(target) == 0 {
			return Request{}, false // a line without version, which only a cut may lack
		}
		return Request{HTTP1, m + targetPath(string(target), !ok)}, true
	}
	return Request{}, false
}

// targetPath is the path of any form of request target.
func targetPath(target string, cut bool) string {
	if _, rest, ok := strings.Cut(target, "://"); ok { // through a proxy
		i := strings.IndexByte(rest, '/')
		if i < 0 {
			return "/"
		}
		target = rest[i:]
	}
	return normalPath(target, cut)
}

package protocol

import "strings"

const (
	maxName     = 96
	maxSegments = 6
	maxSegment  = 32
	id          = "{id}"
)

// bounded makes a name fit to be shown: short, and of printable ASCII.
func bounded(name string) string {
	if len(name) > maxName {
		name = name[:maxName-1] + Any
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' && r != ' ' || r >= 0x7f {
			return '?'
		}
		return r
	}, name)
}

// normalPath takes the ids out of a path, and the query off it. Of a path that the
// sample cuts off, the last segment may be part of an id.
func normalPath(path string, cut bool) string {
	if i := strings.IndexAny(path, "?#;"); i >= 0 {
		path, cut = path[:i], false
	}
	if path == "" || path[0] != '/' {
		return Any
	}
	segments := strings.Split(path[1:], "/")
	if cut {
		segments[len(segments)-1] = Any
	}
	if len(segments) > maxSegments {
		segments = append(segments[:maxSegments:maxSegments], Any)
	}
	for i, s := range segments {
		if isID(s) {
			segments[i] = id
		}
	}
	return "/" + strings.Join(segments, "/")
}

// isID tells a path segment that names one object from one that names a kind: it
// has a digit and is no version, or is long, or hexadecimal, or encoded.
func isID(s string) bool {
	if s == Any || isVersion(s) {
		return false
	}
	if len(s) > maxSegment || len(s) >= 8 && strings.Trim(s, "abcdefABCDEF-") == "" {
		return true
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 0x7f || r <= ' ' || strings.ContainsRune(`%@=,:+~!*'"$&()`, r)
	}) >= 0
}

// isVersion: v1, v2beta1, and no longer.
func isVersion(s string) bool {
	if len(s) < 2 || len(s) > 8 || s[0] != 'v' || s[1] < '1' || s[1] > '9' {
		return false
	}
	rest := strings.TrimLeft(s[2:], "0123456789")
	if len(s)-len(rest) > 3 {
		return false // a number that happens to begin with v
	}
	rest = strings.TrimPrefix(strings.TrimPrefix(rest, "alpha"), "beta")
	return rest == "" || len(rest) == 1 && rest[0] >= '1' && rest[0] <= '9'
}

// isWord says whether s is a name in a program: letters, digits and some marks.
func isWord(s, marks string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(marks, c) >= 0) {
			return false
		}
	}
	return s != ""
}

package protocol

import (
	"bytes"
	"strconv"
	"strings"
)

// families are commands whose first argument says which.
var families = map[string]bool{
	"ACL": true, "CLIENT": true, "CLUSTER": true, "COMMAND": true, "CONFIG": true, "FUNCTION": true, "LATENCY": true, "MEMORY": true,
	"MODULE": true, "OBJECT": true, "PUBSUB": true, "SCRIPT": true, "SLOWLOG": true, "XGROUP": true, "XINFO": true,
}

// parseRedis reads the command of a RESP array, or one of the three that people
// and health checks write inline.
func parseRedis(b []byte) (Request, bool) {
	for _, inline := range [...]string{"PING", "QUIT", "INFO"} {
		if line, _, ok := bytes.Cut(b, []byte("\r\n")); ok && string(line) == inline {
			return Request{Redis, inline}, true
		}
	}
	if len(b) == 0 || b[0] != '*' {
		return Request{}, false
	}
	count, rest, ok := cutNumber(b[1:])
	if !ok || count < 1 {
		return Request{}, false
	}
	command, rest, ok := cutBulk(rest)
	if !ok {
		return Request{}, false
	}
	if families[command] && count > 1 {
		if sub, _, ok := cutBulk(rest); ok {
			command += " " + sub
		}
	}
	return Request{Redis, command}, true
}

// cutBulk takes a word off: $LENGTH, its letters.
func cutBulk(b []byte) (word string, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '$' {
		return "", nil, false
	}
	length, rest, ok := cutNumber(b[1:])
	if !ok || length < 1 || length > 24 || len(rest) < length || !isWord(string(rest[:length]), ".-_") {
		return "", nil, false
	}
	word, rest = strings.ToUpper(string(rest[:length])), rest[length:]
	rest, _ = bytes.CutPrefix(rest, []byte("\r\n"))
	return word, rest, true
}

func cutNumber(b []byte) (n int, rest []byte, ok bool) {
	line, rest, ok := bytes.Cut(b, []byte("\r\n"))
	if !ok || len(line) > 7 {
		return 0, nil, false
	}
	n, err := strconv.Atoi(string(line))
	return n, rest, err == nil
}

package protocol

import "encoding/binary"

const (
	comQuery       = 0x03
	comStmtPrepare = 0x16
	comStmtExecute = 0x17
)

// mysqlCommands of a fixed form, and how long they are.
var mysqlCommands = map[byte]struct {
	name   string
	length uint32
}{
	0x01: {"QUIT", 1}, 0x0e: {"PING", 1}, 0x19: {"CLOSE", 5}, 0x1a: {"RESET", 5}, 0x1f: {"RESET CONNECTION", 1},
}

// parseMySQL reads a command packet: its length, number 0, and the command.
func parseMySQL(b []byte) (Request, bool) {
	if len(b) < 5 || b[3] != 0 {
		return Request{}, false
	}
	length := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
	command, body := b[4], b[5:]
	if fixed, ok := mysqlCommands[command]; ok && length == fixed.length && len(b) == int(length)+4 {
		return Request{MySQL, fixed.name}, true
	}
	whole := uint32(len(body)) >= length-1
	switch {
	case length < 2 || !whole && len(b) < MaxSample:
	case command == comQuery || command == comStmtPrepare:
		if whole {
			body = body[:length-1]
		}
		// Since 8.0 the attributes of a query may come before it: none, in one set.
		if len(body) > 2 && body[0] == 0 && body[1] == 1 {
			body = body[2:]
		}
		name, ok := statementName(string(body), whole)
		return Request{MySQL, name}, ok
	case command == comStmtExecute && len(body) >= 9 && binary.LittleEndian.Uint32(body[5:]) == 1: // iterations, always 1
		return Request{MySQL, Any}, true
	}
	return Request{}, false
}

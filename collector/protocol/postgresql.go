package protocol

import (
	"bytes"
	"encoding/binary"
)

// parsePostgreSQL reads a message of the frontend (PostgreSQL's protocol, version
// 3): its type, its length, its text.
func parsePostgreSQL(b []byte) (Request, bool) {
	if len(b) < 5 {
		return Request{}, false
	}
	length := binary.BigEndian.Uint32(b[1:])
	body := b[5:]
	if length < 4 || length > 1<<26 {
		return Request{}, false
	}
	whole := uint32(len(body)) >= length-4
	if whole {
		body = body[:length-4]
	}
	switch b[0] {
	case 'Q': // query
		text, ended := bytes.CutSuffix(body, []byte{0})
		if whole && !ended {
			return Request{}, false
		}
		return postgreSQLText(text, whole)
	case 'P': // parse: the statement's name, its text, the types of its parameters
		_, rest, ok := bytes.Cut(body, []byte{0})
		text, _, ended := bytes.Cut(rest, []byte{0})
		if !ok || whole && !ended {
			return Request{}, false
		}
		return postgreSQLText(text, ended)
	case 'B': // bind, of a statement prepared before: portal, statement, formats
		_, rest, ok := bytes.Cut(body, []byte{0})
		statement, rest, named := bytes.Cut(rest, []byte{0})
		if ok && named && whole && len(rest) >= 6 && isWord(string(statement)+"s", "_-") {
			return Request{PostgreSQL, Any}, true
		}
	}
	return Request{}, false
}

func postgreSQLText(text []byte, whole bool) (Request, bool) {
	name, ok := statementName(string(text), whole)
	if !ok && whole {
		if _, any := (&sqlWords{rest: string(text)}).next(); !any { // an empty statement, which clients ask to see who is there
			return Request{PostgreSQL, "PING"}, true
		}
	}
	return Request{PostgreSQL, name}, ok
}

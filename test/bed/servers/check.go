//go:build linux

package servers

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// The checks speak just enough of each protocol to hear from the part of the
// server that will answer clients: a port can be open long before. Deadlines are
// set on the connection by the caller.

// expect sends a request and requires the answer to begin with a prefix.
func expect(c net.Conn, request, prefix string) error {
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	got := make([]byte, len(prefix))
	if n, err := io.ReadFull(c, got); err != nil {
		return fmt.Errorf("after %d bytes of the answer: %w", n, err)
	}
	if string(got) != prefix {
		return fmt.Errorf("it answers %q..., want %q", got, prefix)
	}
	return nil
}

func checkNginx(c net.Conn) error {
	return expect(c, "GET /seerbed-ready HTTP/1.1\r\nHost: seerbed\r\nConnection: close\r\n\r\n", "HTTP/1.1 204")
}

func checkMemcached(c net.Conn) error { return expect(c, "version\r\n", "VERSION ") }

func checkRedis(c net.Conn) error { return expect(c, "PING\r\n", "+PONG") }

// checkRabbitMQ opens with the protocol header of AMQP 0-9-1; the broker answers
// with Connection.Start, class 10 and method 10, in a method frame on channel 0.
func checkRabbitMQ(c net.Conn) error {
	if _, err := io.WriteString(c, "AMQP\x00\x00\x09\x01"); err != nil {
		return err
	}
	var frame [11]byte
	if _, err := io.ReadFull(c, frame[:]); err != nil {
		return err
	}
	if frame[0] != 1 || binary.BigEndian.Uint32(frame[7:]) != 10<<16|10 {
		return fmt.Errorf("it answers % x, want Connection.Start", frame)
	}
	return nil
}

// checkMariaDB reads the greeting, which is a packet of protocol version 10, or
// an error packet (255) that says why there is none.
func checkMariaDB(c net.Conn) error {
	var header [4]byte
	if _, err := io.ReadFull(c, header[:]); err != nil {
		return err
	}
	body := make([]byte, int(header[0])|int(header[1])<<8|int(header[2])<<16)
	if _, err := io.ReadFull(c, body); err != nil {
		return err
	}
	if len(body) == 0 || body[0] != 10 {
		return fmt.Errorf("it greets with %q, want protocol version 10", body)
	}
	return nil
}

// checkPostgreSQL logs in and waits for ReadyForQuery, which is not sent while
// the server recovers (PostgreSQL manual, 55.7 Message Formats).
func checkPostgreSQL(c net.Conn) error {
	parameters := "user\x00" + Account + "\x00database\x00" + Account + "\x00\x00"
	startup := binary.BigEndian.AppendUint32(nil, uint32(8+len(parameters)))
	startup = binary.BigEndian.AppendUint32(startup, 3<<16) // protocol 3.0
	if _, err := c.Write(append(startup, parameters...)); err != nil {
		return err
	}
	r := bufio.NewReader(c)
	for {
		var header [5]byte
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return err
		}
		body := make([]byte, max(4, binary.BigEndian.Uint32(header[1:]))-4)
		if _, err := io.ReadFull(r, body); err != nil {
			return err
		}
		switch header[0] {
		case 'Z':
			_, err := c.Write([]byte{'X', 0, 0, 0, 4}) // Terminate
			return err
		case 'E':
			return fmt.Errorf("it refuses: %s", bytes.ReplaceAll(body, []byte{0}, []byte{' '}))
		}
	}
}

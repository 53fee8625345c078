package main

import (
	"fmt"
	"io"
	"strings"

	"seer/collector/api"
)

// writeSockets writes the sockets of each container under its name.
func writeSockets(w io.Writer, doc *api.Document) error {
	rows, err := rowsOf[api.SocketRow](doc)
	if err != nil {
		return err
	}
	// Sockets come in the kernel's order; containers in that of their first.
	var order []uint64
	byContainer := map[uint64][]*api.SocketRow{}
	for i := range rows {
		id := rows[i].CgroupID
		if byContainer[id] == nil {
			order = append(order, id)
		}
		byContainer[id] = append(byContainer[id], &rows[i])
	}
	for i, id := range order {
		if i > 0 {
			fmt.Fprintln(w)
		}
		sockets := byContainer[id]
		fmt.Fprintf(w, "%s  (cgroup %d, %s)\n", cutMiddle(orGone(sockets[0].Container), 40), id, plural(len(sockets), "socket"))
		if err := socketTable(sockets).writeTo(w); err != nil {
			return err
		}
	}
	return nil
}

// socketTable has room for the peer only; dump has both addresses in full.
func socketTable(sockets []*api.SocketRow) *table {
	t := &table{columns: []column{
		{title: "ROLE"}, {title: "STATE"}, {title: "RECV B", right: true}, {title: "SEND B", right: true},
		{title: "WAITS FOR"}, {title: "LOCAL", right: true}, {title: "REMOTE"},
	}}
	for _, s := range sockets {
		receive, send := number(float64(s.ReceiveBytes)), number(float64(s.SendBytes))
		if s.Role == "listener" {
			receive, send = "-", "-"
		}
		local := "-"
		if i := strings.LastIndexByte(s.Local, ':'); i >= 0 {
			local = s.Local[i:]
		}
		t.add(s.Role, s.State, receive, send, waitsFor(s), local, shortAddress(s.Remote))
	}
	return t
}

// waitsFor says what a socket holds up: whose move it is.
func waitsFor(s *api.SocketRow) string {
	switch {
	case s.Role == "listener":
		return fmt.Sprintf("%d/%d", s.AcceptBacklog, s.AcceptBacklogLimit) // accept
	case s.Outstanding:
		return "own reply"
	case s.Downstream:
		return "answer"
	}
	return "-"
}

// shortAddress fits an IPv6 address and its port into the room of an IPv4
// one: the network and the end of the host, which tell peers apart.
func shortAddress(address string) string {
	const room = len("255.255.255.255:65535")
	if len(address) <= room {
		return orDash(address)
	}
	port := address[strings.LastIndexByte(address, ']'):]
	host := strings.TrimSuffix(address, port)
	keep := room - len("...") - len(port)
	return host[:keep/2+1] + "..." + host[len(host)-keep+keep/2+1:] + port
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

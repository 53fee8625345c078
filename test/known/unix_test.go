//go:build linux

package known

import (
	"fmt"
	"testing"

	"seer/collector"
	"seer/test/lab"
)

// Messages of a unix socket wait at their reader, whoever made the socket.
func TestUnix(t *testing.T) {
	cases := map[string]build{}
	for _, network := range []string{"unix", "unixpacket", "unixgram"} {
		cases[network] = func(t *testing.T) func(*testing.T, *tracer) {
			const messages, bytes = 5, 100
			w := newWorld(t, lab.Options{})
			name := fmt.Sprintf("seer-lab-%d-%s", w.s.PID, network)
			l := w.s.Listen(network, name, 16)
			out := w.c.Connect(network, name, 1)
			if network != "unixgram" {
				w.s.Accept(l, 1)
			}
			for range messages {
				w.c.Send(out, bytes)
			}
			return func(t *testing.T, tr *tracer) {
				tr.expect(t, all(
					only(w.server,
						expect{c: w.server, queue: collector.QueueReceive, depth: messages * bytes},
						expect{c: w.server, queue: collector.QueueUnreadRequests, depth: messages}),
					only(w.client), only(w.neighbour))...)
			}
		}
	}
	// A listener's backlog, and its limit.
	cases["backlog"] = func(t *testing.T) func(*testing.T, *tracer) {
		w := newWorld(t, lab.Options{})
		name := fmt.Sprintf("seer-lab-%d-backlog", w.s.PID)
		w.s.Listen("unix", name, 16)
		w.c.Connect("unix", name, 5)
		return func(t *testing.T, tr *tracer) {
			tr.expect(t, all(
				only(w.server, expect{w.server, collector.QueueAcceptBacklog, 5, 16}),
				only(w.client), only(w.neighbour))...)
		}
	}
	// A half-read stream message: what is left of it waits.
	cases["half-read"] = func(t *testing.T) func(*testing.T, *tracer) {
		w := newWorld(t, lab.Options{})
		name := fmt.Sprintf("seer-lab-%d-half", w.s.PID)
		l := w.s.Listen("unix", name, 16)
		out := w.c.Connect("unix", name, 1)
		in := w.s.Accept(l, 1)
		w.c.Send(out, 1000)
		w.s.Receive(in, 400)
		return func(t *testing.T, tr *tracer) {
			tr.expect(t, all(
				only(w.server,
					expect{c: w.server, queue: collector.QueueReceive, depth: 600},
					expect{c: w.server, queue: collector.QueueUnreadRequests, depth: 1}),
				only(w.client), only(w.neighbour))...)
		}
	}
	bothWays(t, cases)
}

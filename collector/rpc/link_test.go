package rpc

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lab builds a window of two services, A (10) and B (20), and a client of A (1).
type lab struct {
	g    Gather
	sock uint64
	seq  uint32
}

var (
	clientAt = netip.MustParseAddrPort("10.0.0.1:40000")
	serverAt = netip.MustParseAddrPort("10.0.0.2:80")
)

// serve adds a request that a service received on a thread at a time, and answered.
func (l *lab) serve(owner uint64, thread uint32, opened, answered int64, answeredBy uint32) {
	l.sock++
	l.seq += 100
	l.add(Record{Owner: owner, Socket: l.sock, Server: true, Opened: opened, Local: serverAt, Remote: clientAt, Seq: l.seq, Thread: thread}, answered, answeredBy)
}

func (l *lab) send(owner uint64, thread uint32, opened, answered int64, answeredBy uint32) {
	l.sock++
	l.seq += 100
	l.add(Record{Owner: owner, Socket: l.sock, Opened: opened, Local: clientAt, Remote: serverAt, Seq: l.seq, Thread: thread}, answered, answeredBy)
}

func (l *lab) add(r Record, answered int64, answeredBy uint32) {
	r.Event, r.At = Opened, r.Opened
	if r.Opened >= from {
		l.g.Add(&r)
	}
	if answered > 0 {
		r.Event, r.At, r.Thread, r.Seq = Answered, answered, answeredBy, 0
		l.g.Add(&r)
	}
}

const from, until = 1000, 100_000

// served has a service serve n requests, each on a thread of its own and with the
// threads' requests one after the other, well before all else.
func (l *lab) served(n int) {
	for i := range int64(n) {
		l.serve(10, uint32(100+i%2), 1000+i*10, 1005+i*10, uint32(100+i%2))
	}
}

func TestLink(t *testing.T) {
	tests := []struct {
		name  string
		build func(*lab)
		held  int
		lost  uint64
		want  []string // of the clients' spans, in order: link, candidates, when the parent was opened
	}{
		{"thread per request", func(l *lab) {
			l.served(8)
			l.serve(10, 100, 2000, 2900, 100)
			l.serve(10, 101, 2100, 2800, 101)
			l.send(10, 101, 2200, 2300, 101)
			l.send(10, 100, 2250, 2400, 100)
		}, 0, 0, []string{"thread 2 2100", "thread 2 2000"}},
		{"thread per request, the first from before the window", func(l *lab) {
			l.served(8)
			l.serve(10, 7, 500, 2900, 7)
			l.serve(10, 101, 2100, 2800, 101)
			l.send(10, 7, 2200, 2300, 7)
		}, 1, 0, []string{"thread 2 500"}},
		{"thread per request and a thread that serves nobody", func(l *lab) {
			l.served(8)
			l.serve(10, 100, 2000, 2900, 100)
			l.send(10, 55, 2200, 2300, 56)
			l.send(10, 55, 3000, 3300, 56)
		}, 0, 0, []string{"other_thread 1", "none_open 0"}},
		{"too few to say, and one open", func(l *lab) {
			l.serve(10, 100, 2000, 2900, 100)
			l.send(10, 55, 2200, 2300, 55)
		}, 0, 0, []string{"only_open 1 2000"}},
		{"too few to say, and two open", func(l *lab) {
			l.serve(10, 100, 2000, 2900, 100)
			l.serve(10, 101, 2000, 2900, 101)
			l.send(10, 101, 2200, 2300, 101)
		}, 0, 0, []string{"several_open 2"}},
		{"event loop: two open on one thread", func(l *lab) {
			l.served(8)
			l.serve(10, 100, 2000, 2900, 100)
			l.serve(10, 100, 2100, 2800, 100)
			l.send(10, 100, 2050, 2300, 100)
			l.send(10, 100, 2200, 2300, 100)
		}, 0, 0, []string{"only_open 1 2000", "several_open 2"}},
		{"goroutines: answered from another thread", func(l *lab) {
			l.served(8)
			l.serve(10, 100, 2000, 2900, 101)
			l.serve(10, 101, 2100, 2800, 101)
			l.send(10, 100, 2200, 2300, 100)
			l.send(10, 101, 2850, 2860, 101)
		}, 0, 0, []string{"several_open 2", "only_open 1 2000"}},
		{"goroutines: a serving thread sends with none open on it", func(l *lab) {
			l.served(8)
			l.serve(10, 102, 2000, 2900, 102)
			l.serve(10, 103, 2100, 2800, 103)
			l.send(10, 100, 2200, 2300, 100)
		}, 0, 0, []string{"several_open 2"}},
		{"goroutines: an answer arrives on another thread than sent", func(l *lab) {
			l.served(8)
			l.serve(10, 100, 2000, 2900, 100)
			l.serve(10, 101, 2100, 2800, 101)
			l.send(10, 100, 2200, 2300, 102)
		}, 0, 0, []string{"several_open 2"}},
		{"one is open that the window never saw", func(l *lab) {
			l.serve(10, 100, 2000, 2900, 100)
			l.send(10, 100, 2200, 2300, 100)
		}, 1, 0, []string{"unseen_open 2"}},
		{"one from before the window, answered in it", func(l *lab) {
			l.serve(10, 100, 500, 2900, 100)
			l.send(10, 100, 2200, 2300, 100)
		}, 1, 0, []string{"only_open 1 500"}},
		{"records were lost", func(l *lab) {
			l.served(8)
			l.serve(10, 100, 2000, 2900, 100)
			l.send(10, 100, 2200, 2300, 100)
		}, 0, 3, []string{"records_lost 1"}},
		{"another service's requests are not candidates", func(l *lab) {
			l.serve(20, 100, 2000, 2900, 100)
			l.send(10, 100, 2200, 2300, 100)
		}, 0, 0, []string{"none_open 0"}},
		{"sent after the answer began", func(l *lab) {
			l.serve(10, 100, 2000, 2100, 100)
			l.send(10, 100, 2200, 2300, 100)
		}, 0, 0, []string{"none_open 0"}},
		{"never answered", func(l *lab) {
			l.serve(10, 100, 2000, 0, 0)
			l.send(10, 100, 2200, 0, 0)
		}, 0, 0, []string{"only_open 1 2000"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l lab
			tt.build(&l)
			w := l.g.Window(from, until, map[uint64]int{10: tt.held}, from-1, tt.lost)
			var got []string
			for i := range w.Spans {
				s := &w.Spans[i]
				if s.Server {
					continue
				}
				is := fmt.Sprintf("%s %d", s.Link, s.Candidates)
				if s.Parent >= 0 {
					is += fmt.Sprintf(" %d", w.Spans[s.Parent].Opened)
				}
				got = append(got, is)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestJoin(t *testing.T) {
	other := netip.MustParseAddrPort("10.9.9.9:8080")
	end := func(sock uint64, server bool, opened int64, local, remote netip.AddrPort, seq uint32) Record {
		return Record{Owner: sock, Socket: sock, Server: server, Event: Opened, Opened: opened, At: opened, Local: local, Remote: remote, Seq: seq}
	}
	tests := []struct {
		name    string
		records []Record
		want    []int // of each span, in order of opening: its other end
	}{
		{"both ends", []Record{end(1, false, 2000, clientAt, serverAt, 5), end(2, true, 2001, serverAt, clientAt, 5)}, []int{1, 0}},
		{"behind a translated address", []Record{end(1, false, 2000, clientAt, other, 5), end(2, true, 2001, serverAt, clientAt, 5)}, []int{1, 0}},
		{"another sequence number", []Record{end(1, false, 2000, clientAt, serverAt, 5), end(2, true, 2001, serverAt, clientAt, 6)}, []int{-1, -1}},
		{"of two the one with the addresses", []Record{end(1, false, 2000, clientAt, serverAt, 5), end(2, true, 2001, other, clientAt, 5), end(3, true, 2002, serverAt, clientAt, 5)}, []int{2, -1, 0}},
		{"of two nothing tells which", []Record{end(1, false, 2000, clientAt, netip.MustParseAddrPort("10.8.8.8:1"), 5), end(2, true, 2001, other, clientAt, 5), end(3, true, 2002, serverAt, clientAt, 5)}, []int{-1, -1, -1}},
		{"no other end", []Record{end(1, false, 2000, clientAt, serverAt, 5)}, []int{-1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var g Gather
			for i := range tt.records {
				g.Add(&tt.records[i])
			}
			var got []int
			for _, s := range g.Window(from, until, nil, from, 0).Spans {
				got = append(got, s.Other)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

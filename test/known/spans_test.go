//go:build linux

package known

import (
	"context"
	"errors"
	"testing"
	"time"

	"seer/collector"
	"seer/collector/container"
	"seer/collector/rpc"
	"seer/test/lab"
)

// A chain client -> A -> B: every request is joined, and what A sends is linked to
// what it had received, by the way that its kind allows; never to anything else.
func TestSpans(t *testing.T) {
	const hold = 4 * time.Millisecond
	tests := []struct {
		name    string
		threads bool
		conns   int
		links   map[rpc.Link]bool // that A's requests may have
	}{
		{"a thread per request", true, 4, map[rpc.Link]bool{rpc.ByThread: true}},
		{"goroutines, one at a time", false, 1, map[rpc.Link]bool{rpc.OnlyOpen: true, rpc.ByThread: true}},
		{"goroutines, several at once", false, 4, map[rpc.Link]bool{rpc.OnlyOpen: true, rpc.SeveralOpen: true, rpc.UnseenOpen: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := trace(t, collector.Config{Exact: true, Spans: true})
			client, a, b := lab.NewContainer(t, "client", lab.Options{}), lab.NewContainer(t, "a", lab.Options{}), lab.NewContainer(t, "b", lab.Options{})
			var addr string
			last := b.Start(tierWorkload, tierConfig{Threads: tt.threads, Time: hold})
			last.Call("addr", nil, &addr)
			first := a.Start(tierWorkload, tierConfig{Next: addr, Threads: tt.threads, Time: hold})
			first.Call("addr", nil, &addr)
			client.Load(lab.LoadConfig{Network: "tcp4", Addr: addr, Conns: tt.conns})

			var windows []*rpc.Window
			ctx, cancel := context.WithTimeout(t.Context(), lab.Deadline)
			defer cancel()
			err := tr.c.RecordSpans(ctx, collector.Windows{Length: 300 * time.Millisecond, Every: 500 * time.Millisecond}, func(w *rpc.Window) {
				for i := range w.Spans {
					if w.Spans[i].Owner == uint64(idOf(a)) && !w.Spans[i].Server {
						windows = append(windows, w)
						break
					}
				}
				if len(windows) == 3 {
					cancel()
				}
			})
			if errors.Is(err, collector.ErrUnsupported) {
				t.Skip(err)
			}
			if err != nil || len(windows) < 3 {
				t.Fatalf("%d windows, %v", len(windows), err)
			}
			var ports map[uint16]uint16
			first.Call("ports", nil, &ports)
			// The first window may have begun before all of them were known and counted.
			for _, w := range windows[1:] {
				checkWindow(t, w, idOf(a), idOf(b), ports, tt.links)
			}
		})
	}
}

func checkWindow(t *testing.T, w *rpc.Window, a, b container.ID, ports map[uint16]uint16, links map[rpc.Link]bool) {
	t.Helper()
	count := map[rpc.Link]int{}
	joined, unjoined := 0, 0
	for i := range w.Spans {
		s := &w.Spans[i]
		if !s.Within || s.First == 0 || s.Owner != uint64(a) {
			continue
		}
		if s.Other < 0 {
			unjoined++
		} else {
			joined++
		}
		if s.Server {
			continue
		}
		if s.Other >= 0 {
			if o := &w.Spans[s.Other]; o.Owner != uint64(b) || o.Local != s.Remote || o.Remote != s.Local {
				t.Errorf("%v -> %v is joined to %v <- %v of another", s.Local, s.Remote, o.Local, o.Remote)
			}
		}
		count[s.Link]++
		if !links[s.Link] {
			t.Errorf("a request of A is %s among %d, want one of %v", s.Link, s.Candidates, links)
		}
		if s.Parent < 0 {
			continue
		}
		if p := &w.Spans[s.Parent]; p.Owner != uint64(a) || ports[p.Remote.Port()] != s.Local.Port() {
			t.Errorf("sent from port %d for the client at %d: linked wrongly (%s)", s.Local.Port(), p.Remote.Port(), s.Link)
		}
	}
	t.Logf("%d joined, %d not, %v", joined, unjoined, count)
	if joined == 0 || unjoined > 0 {
		t.Errorf("%d requests of A are joined, %d are not, want all", joined, unjoined)
	}
	if w.Lost > 0 {
		t.Errorf("%d records lost", w.Lost)
	}
}

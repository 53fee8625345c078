package collector

import (
	"errors"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"seer/collector/container"
	"seer/test/lab"
)

// askPairs is the name of a workload in which a thread of its own waits for
// bytes on each of so many connections, and answers what it reads.
const askPairs = "ask-pairs"

// askPairsWorkload asks one request on each connection per call of "ask".
func askPairsWorkload(w *lab.Worker) error {
	var pairs int
	if err := w.Begin(&pairs); err != nil {
		return err
	}
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(listener, pairs)); err != nil {
		return err
	}
	at, err := unix.Getsockname(listener)
	if err != nil {
		return err
	}
	clients := make([]int, pairs)
	failed := make(chan error, pairs)
	for i := range clients {
		if clients[i], err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); err != nil {
			return err
		}
		if err := unix.Connect(clients[i], at); err != nil {
			return err
		}
		server, _, err := unix.Accept(listener)
		if err != nil {
			return err
		}
		go func() { failed <- echo(server) }()
	}
	return w.Serve(map[string]lab.Handler{"ask": lab.Handle(func(rounds int) (int, error) {
		one := make([]byte, 1)
		for range rounds {
			for _, client := range clients {
				if _, err := unix.Write(client, one); err != nil {
					return 0, err
				}
				if _, err := unix.Read(client, one); err != nil {
					return 0, err
				}
			}
		}
		select {
		case err := <-failed:
			return 0, err
		default:
			return rounds * pairs, nil
		}
	})})
}

// echo answers bytes one by one; it blocks its thread in between.
func echo(fd int) error {
	one := make([]byte, 1)
	for {
		if _, err := unix.Read(fd, one); err != nil {
			return err
		}
		if _, err := unix.Write(fd, one); err != nil {
			return err
		}
	}
}

// A kretprobe watches a bounded number of calls at once, ten where there are
// one to five processors. Of more threads that wait for bytes, the rest return
// unseen: that is counted, and nothing is where they fit.
func TestUnseenReturns(t *testing.T) {
	for _, tt := range []struct {
		name   string
		pairs  int
		unseen bool
	}{{"all are watched", 4, false}, {"more than are watched", 64, true}} {
		t.Run(tt.name, func(t *testing.T) {
			c := open(t, Config{CPUBudget: 1, refuse: func(object string) error {
				if object == "request_tp_btf" || object == "request_fexit" {
					return unix.EPERM
				}
				return nil
			}})
			if c.exact == nil {
				if slices.Contains(promised[os.Getenv("SEER_TEST_KERNEL")], "kretprobe") {
					t.Fatal("no request hooks")
				}
				t.Skipf("no kretprobes here: %v", ErrUnsupported)
			}
			asker := lab.NewContainer(t, "asker", lab.Options{}).Start(askPairs, tt.pairs)
			if err := c.exact.switchOn(c.memory); err != nil {
				t.Fatal(err)
			}
			defer c.exact.switchOff(c.memory)
			if err := c.adopt(); err != nil {
				t.Fatal(err)
			}
			c.CountExactly("test", func(*container.Container) bool { return true })
			judgeAll(t, c)
			before := countOf(t, c, "transfers_full")
			const rounds = 5
			var asked uint64
			asker.Call("ask", rounds, &asked)

			id, err := c.resolver.IDOf(asker.PID)
			if err != nil {
				t.Fatal(err)
			}
			var slot uint32
			if err := c.slots.byID.Lookup(uint64(id), &slot); err != nil {
				t.Fatal(err)
			}
			seen, err := c.counted.read(slot)
			if err != nil {
				t.Fatal(err)
			}
			lost := countOf(t, c, "transfers_full") - before
			t.Logf("of %d requests %d seen at the server, %d at the client; %d losses", asked, seen.outstanding.arrivals, seen.downstream.arrivals, lost)
			// What a thread was in when the hooks came is not seen to begin.
			least := asked - uint64(tt.pairs)
			switch {
			case tt.unseen && (lost == 0 || seen.outstanding.arrivals >= least):
				t.Errorf("of %d requests %d seen, %d losses, want some of both", asked, seen.outstanding.arrivals, lost)
			case !tt.unseen && (lost != 0 || seen.outstanding.arrivals < least || seen.outstanding.arrivals > asked):
				t.Errorf("of %d requests %d seen, %d losses, want %d or more and none", asked, seen.outstanding.arrivals, lost, least)
			}
		})
	}
}

// countOf returns the count of one loss.
func countOf(t *testing.T, c *Collector, reason string) uint64 {
	t.Helper()
	for _, loss := range c.readLosses() {
		if loss.Reason == reason {
			return loss.Count
		}
	}
	t.Fatalf("no loss %q", reason)
	return 0
}

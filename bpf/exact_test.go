//go:build linux

package bpf

import (
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// transfer is one event of a connection in exact mode.
type transfer struct {
	turn  testExactSocketTurn // none: the connection closes
	epoch uint32
}

func TestCountTransfer(t *testing.T) {
	const (
		recv   = testExactSocketTurnTURN_RECEIVED
		send   = testExactSocketTurnTURN_SENT
		closes = testExactSocketTurnTURN_NONE
		server = testExactSocketRoleROLE_SERVER
		client = testExactSocketRoleROLE_CLIENT
	)
	tests := []struct {
		name                 string
		role                 testExactSocketRole
		events               []transfer
		arrivals, departures uint64
		open                 uint32
	}{
		{"request", server, []transfer{{recv, 1}}, 1, 0, 1},
		{"request and reply", server, []transfer{{recv, 1}, {send, 1}}, 1, 1, 0},
		{"request in three reads, reply in two writes", server, []transfer{{recv, 1}, {recv, 1}, {recv, 1}, {send, 1}, {send, 1}}, 1, 1, 0},
		{"two requests one after the other", server, []transfer{{recv, 1}, {send, 1}, {recv, 1}, {send, 1}}, 2, 2, 0},
		{"pipelined: a batch is one", server, []transfer{{recv, 1}, {recv, 1}, {send, 1}, {send, 1}, {recv, 1}}, 2, 1, 1},
		{"server speaks first", server, []transfer{{send, 1}, {recv, 1}, {send, 1}}, 1, 1, 0},
		{"client asks", client, []transfer{{send, 1}}, 1, 0, 1},
		{"client asks and is answered", client, []transfer{{send, 1}, {recv, 1}}, 1, 1, 0},
		{"client that hears a greeting first", client, []transfer{{recv, 1}, {send, 1}, {recv, 1}}, 1, 1, 0},

		{"closed with a request open", server, []transfer{{recv, 1}, {closes, 1}}, 1, 1, 0},
		{"closed twice", server, []transfer{{recv, 1}, {closes, 1}, {closes, 1}}, 1, 1, 0},
		{"closed with none open", server, []transfer{{recv, 1}, {send, 1}, {closes, 1}}, 1, 1, 0},
		{"closed before anything", client, []transfer{{closes, 1}}, 0, 0, 0},

		{"opened before exact mode went off and on", server, []transfer{{recv, 1}, {send, 2}}, 1, 0, 1},
		{"counted again from the next request", server, []transfer{{recv, 1}, {send, 2}, {recv, 2}, {send, 2}}, 2, 1, 0},
		{"closed in a later epoch", client, []transfer{{send, 1}, {closes, 2}}, 1, 0, 1},
	}
	spec, err := loadTestExact()
	var o testExactObjects
	loadTest(t, spec, err, &o)
	defer o.Close()
	for slot, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := testExactTransferArgs{Slot: uint32(slot), Role: uint32(tt.role)}
			var want testExactExactCounters
			before := monotonic(t)
			for _, e := range tt.events {
				args.Turn, args.Epoch = uint32(e.turn), e.epoch
				program := o.TestTransfer
				if e.turn == closes {
					program = o.TestCloseRequest
				}
				call(t, program, o.TransferCall, &args)
			}
			after := monotonic(t)
			if args.Exact.OpenEpoch != tt.open {
				t.Errorf("open epoch = %d, want %d", args.Exact.OpenEpoch, tt.open)
			}
			row := exactRow(t, o.ExactRows, uint32(slot))
			got, other := row.Outstanding, row.Downstream
			if tt.role == client {
				got, other = other, got
			}
			if got.Arrivals != tt.arrivals || got.Departures != tt.departures {
				t.Errorf("%v: %d arrivals, %d departures; want %d, %d", tt.events, got.Arrivals, got.Departures, tt.arrivals, tt.departures)
			}
			if other != want {
				t.Errorf("%v: the other queue counted %+v", tt.events, other)
			}
			for _, sum := range []struct {
				name     string
				count, s uint64
			}{{"in_ns", got.Arrivals, got.InNs}, {"out_ns", got.Departures, got.OutNs}} {
				if sum.s < sum.count*before || sum.s > sum.count*after {
					t.Errorf("%s = %d, want %d times between %d and %d", sum.name, sum.s, sum.count, before, after)
				}
			}
		})
	}
}

// Containers beyond the table are not counted, and that is counted.
func TestCountTransferBeyondTable(t *testing.T) {
	spec, err := loadTestExact()
	var o testExactObjects
	loadTest(t, spec, err, &o)
	defer o.Close()
	args := testExactTransferArgs{Slot: o.ExactRows.MaxEntries(), Role: uint32(testExactSocketRoleROLE_SERVER), Turn: uint32(testExactSocketTurnTURN_RECEIVED), Epoch: 1}
	call(t, o.TestTransfer, o.TransferCall, &args)
	if got := lost(t, o.Losses, uint32(testExactLossReasonLOSS_EXACT_FULL)); got != 1 {
		t.Errorf("exact_full = %d, want 1", got)
	}
	if args.Exact.OpenEpoch != 0 {
		t.Error("a request that was not counted is open: its end would be")
	}
}

// exactRow sums a row over all CPUs.
func exactRow(t *testing.T, rows *ebpf.Map, slot uint32) (sum testExactExactRow) {
	t.Helper()
	var perCPU []testExactExactRow
	if err := rows.Lookup(slot, &perCPU); err != nil {
		t.Fatal(err)
	}
	add := func(to *testExactExactCounters, c testExactExactCounters) {
		to.Arrivals += c.Arrivals
		to.Departures += c.Departures
		to.InNs += c.InNs
		to.OutNs += c.OutNs
	}
	for _, row := range perCPU {
		add(&sum.Outstanding, row.Outstanding)
		add(&sum.Downstream, row.Downstream)
	}
	return sum
}

func monotonic(t *testing.T) uint64 {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return uint64(ts.Nano())
}

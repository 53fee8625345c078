//go:build linux

package bpf

import (
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// transfer is one event of a connection in exact mode.
type transfer struct {
	turn   testExactSocketTurn // none: the connection closes
	chosen uint32              // container_row.exact
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
		name                             string
		role                             testExactSocketRole
		events                           []transfer
		arrivals, departures, unanswered uint64
		open                             uint32
	}{
		{"request", server, []transfer{{recv, 1}}, 1, 0, 0, 1},
		{"request and reply", server, []transfer{{recv, 1}, {send, 1}}, 1, 1, 0, 0},
		{"request in three reads, reply in two writes", server, []transfer{{recv, 1}, {recv, 1}, {recv, 1}, {send, 1}, {send, 1}}, 1, 1, 0, 0},
		{"two requests one after the other", server, []transfer{{recv, 1}, {send, 1}, {recv, 1}, {send, 1}}, 2, 2, 0, 0},
		{"pipelined: a batch is one", server, []transfer{{recv, 1}, {recv, 1}, {send, 1}, {send, 1}, {recv, 1}}, 2, 1, 0, 1},
		{"server speaks first", server, []transfer{{send, 1}, {recv, 1}, {send, 1}}, 1, 1, 0, 0},
		{"client asks", client, []transfer{{send, 1}}, 1, 0, 0, 1},
		{"client asks and is answered", client, []transfer{{send, 1}, {recv, 1}}, 1, 1, 0, 0},
		{"client that hears a greeting first", client, []transfer{{recv, 1}, {send, 1}, {recv, 1}}, 1, 1, 0, 0},

		{"closed with a request open", server, []transfer{{recv, 1}, {closes, 1}}, 1, 1, 1, 0},
		{"closed twice", server, []transfer{{recv, 1}, {closes, 1}, {closes, 1}}, 1, 1, 1, 0},
		{"closed with none open", server, []transfer{{recv, 1}, {send, 1}, {closes, 1}}, 1, 1, 0, 0},
		{"closed before anything", client, []transfer{{closes, 1}}, 0, 0, 0, 0},

		{"opened before its container was chosen anew", server, []transfer{{recv, 1}, {send, 2}}, 1, 0, 0, 1},
		{"counted again from the next request", server, []transfer{{recv, 1}, {send, 2}, {recv, 2}, {send, 2}}, 2, 1, 0, 0},
		{"closed under a later choice", client, []transfer{{send, 1}, {closes, 2}}, 1, 0, 0, 1},
		{"closed when it is chosen no more", client, []transfer{{send, 1}, {closes, 0}}, 1, 0, 0, 1},
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
				args.Turn, args.Chosen, args.NowNs = uint32(e.turn), e.chosen<<exactLatencyBits, monotonic(t)
				program := o.TestTransfer
				if e.turn == closes {
					program = o.TestAbandonRequest
				}
				call(t, program, o.TransferCall, &args)
			}
			after := monotonic(t)
			if args.Exact.OpenedBy != tt.open<<exactLatencyBits {
				t.Errorf("opened by %#x, want %#x", args.Exact.OpenedBy, tt.open<<exactLatencyBits)
			}
			row := exactRow(t, o.ExactRows, uint32(slot))
			got, other, unanswered := row.Outstanding, row.Downstream, row.UnansweredOutstanding
			if tt.role == client {
				got, other, unanswered = other, got, row.UnansweredDownstream
			}
			if got.Arrivals != tt.arrivals || got.Departures != tt.departures || unanswered != tt.unanswered {
				t.Errorf("%v: %d arrivals, %d departures, %d unanswered; want %d, %d, %d", tt.events, got.Arrivals, got.Departures, unanswered, tt.arrivals, tt.departures, tt.unanswered)
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

const exactLatencyBits = 12 // EXACT_LATENCY_BITS

// What a request takes is counted once, in the bucket of its first byte, and in
// that of its last so far.
func TestTimeAnswers(t *testing.T) {
	const (
		recv   = testExactSocketTurnTURN_RECEIVED
		send   = testExactSocketTurnTURN_SENT
		closes = testExactSocketTurnTURN_NONE
		us     = 1000
	)
	type event struct {
		turn   testExactSocketTurn
		at     uint64
		chosen uint32
	}
	const timed, again, untimed = 1<<exactLatencyBits | 1, 2<<exactLatencyBits | 1, 3 << exactLatencyBits
	tests := []struct {
		name        string
		events      []event
		first, last map[uint64]int32 // by a time in the bucket
	}{
		{"one write", []event{{recv, 100 * us, timed}, {send, 350 * us, timed}}, map[uint64]int32{250 * us: 1}, map[uint64]int32{250 * us: 1}},
		{
			"read in two, written in three", []event{{recv, 0, timed}, {recv, 90 * us, timed}, {send, 100 * us, timed}, {send, 200 * us, timed}, {send, 5000 * us, timed}},
			map[uint64]int32{100 * us: 1}, map[uint64]int32{5000 * us: 1},
		},
		{
			"a second request", []event{{recv, 0, timed}, {send, 100 * us, timed}, {send, 200 * us, timed}, {recv, 1000 * us, timed}, {send, 1100 * us, timed}},
			map[uint64]int32{100 * us: 2}, map[uint64]int32{100 * us: 1, 200 * us: 1},
		},
		{"longer than the last bucket", []event{{recv, 0, timed}, {send, 1 << 40, timed}}, map[uint64]int32{1 << 40: 1}, map[uint64]int32{1 << 40: 1}},
		{"clocks of two CPUs", []event{{recv, 10, timed}, {send, 9, timed}}, map[uint64]int32{0: 1}, map[uint64]int32{0: 1}},
		{"abandoned", []event{{recv, 0, timed}, {closes, 100 * us, timed}}, nil, nil},
		{"counted only", []event{{recv, 0, untimed}, {send, 100 * us, untimed}, {send, 200 * us, untimed}}, nil, nil},
		{
			"chosen anew amid the answer", []event{{recv, 0, timed}, {send, 100 * us, timed}, {send, 200 * us, again}, {send, 300 * us, again}},
			map[uint64]int32{100 * us: 1}, map[uint64]int32{100 * us: 1},
		},
		{"chosen amid the answer", []event{{send, 100 * us, timed}, {send, 200 * us, timed}}, nil, nil},
	}
	spec, err := loadTestExact()
	var o testExactObjects
	loadTest(t, spec, err, &o)
	defer o.Close()
	for _, role := range []testExactSocketRole{testExactSocketRoleROLE_SERVER, testExactSocketRoleROLE_CLIENT} {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				if err := o.LatencyRows.Put(uint32(0), testExactLatencyRow{}); err != nil {
					t.Fatal(err)
				}
				args := testExactTransferArgs{Role: uint32(role)}
				for _, e := range tt.events {
					args.Turn, args.Chosen, args.NowNs = uint32(e.turn), e.chosen, e.at
					if role == testExactSocketRoleROLE_CLIENT && e.turn != closes {
						args.Turn = uint32(recv + send - e.turn)
					}
					program := o.TestTransfer
					if e.turn == closes {
						program = o.TestAbandonRequest
					}
					call(t, program, o.TransferCall, &args)
				}
				var row testExactLatencyRow
				if err := o.LatencyRows.Lookup(uint32(0), &row); err != nil {
					t.Fatal(err)
				}
				got, other := row.Outstanding, row.Downstream
				if role == testExactSocketRoleROLE_CLIENT {
					got, other = row.Downstream, row.Outstanding
				}
				var want testExactLatencyRow
				for ns, n := range tt.first {
					want.Outstanding.First[bucketOf(ns)] += uint32(n)
				}
				for ns, n := range tt.last {
					want.Outstanding.Last[bucketOf(ns)] += uint32(n)
				}
				if got != want.Outstanding {
					t.Errorf("%v: first %v, last %v; want %v, %v", tt.events, sparse(got.First[:]), sparse(got.Last[:]), sparse(want.Outstanding.First[:]), sparse(want.Outstanding.Last[:]))
				}
				if other != want.Downstream {
					t.Errorf("%v: counted in the other queue, too", tt.events)
				}
			})
		}
	}
}

// bucketOf is collector/latency's: 32 to an octave from 2^10, and one on each side.
func bucketOf(ns uint64) int {
	for b := range 26 * 32 {
		if upper := uint64(33+b%32) << (b/32 + 5); ns < upper {
			if b == 0 && ns < 1<<10 {
				return 0
			}
			return b + 1
		}
	}
	return 26*32 + 1
}

func sparse(counts []uint32) map[int]int32 {
	m := map[int]int32{}
	for b, n := range counts {
		if n != 0 {
			m[b] = int32(n)
		}
	}
	return m
}

// At both ends of every bucket.
func TestLatencyBuckets(t *testing.T) {
	spec, err := loadTestExact()
	var o testExactObjects
	loadTest(t, spec, err, &o)
	defer o.Close()
	check := func(ns uint64, want int) {
		args := testExactBucketArgs{Ns: ns}
		call(t, o.TestBucket, o.BucketCall, &args)
		if args.Bucket != uint64(want) {
			t.Errorf("latency_bucket(%d) = %d, want %d", ns, args.Bucket, want)
		}
	}
	for b := range 26 * 32 {
		check(uint64(32+b%32)<<(b/32+5), b+1)
		check(uint64(33+b%32)<<(b/32+5)-1, b+1)
	}
	check(0, 0)
	check(1<<10-1, 0)
	check(1<<36, 26*32+1)
	check(1<<63, 26*32+1)
}

// Containers beyond the table are not counted, and that is counted.
func TestCountTransferBeyondTable(t *testing.T) {
	spec, err := loadTestExact()
	var o testExactObjects
	loadTest(t, spec, err, &o)
	defer o.Close()
	args := testExactTransferArgs{Slot: o.ExactRows.MaxEntries(), Role: uint32(testExactSocketRoleROLE_SERVER), Turn: uint32(testExactSocketTurnTURN_RECEIVED), Chosen: 1 << exactLatencyBits}
	call(t, o.TestTransfer, o.TransferCall, &args)
	if got := lost(t, o.Losses, uint32(testExactLossReasonLOSS_EXACT_FULL)); got != 1 {
		t.Errorf("exact_full = %d, want 1", got)
	}
	if args.Exact.OpenedBy != 0 {
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
		sum.UnansweredOutstanding += row.UnansweredOutstanding
		sum.UnansweredDownstream += row.UnansweredDownstream
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

//go:build linux

package bpf

import (
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
)

type cell = testAccountQueueCell

func loadAccount(t *testing.T, change ...func(*ebpf.CollectionSpec)) *testAccountObjects {
	t.Helper()
	spec, err := loadTestAccount()
	for _, c := range change {
		if err == nil {
			c(spec)
		}
	}
	var o testAccountObjects
	loadTest(t, spec, err, &o)
	t.Cleanup(func() { o.Close() })
	neverUsed(t, &o, 0)
	return &o
}

// neverUsed leaves n slots that no container has had, the highest ones.
func neverUsed(t *testing.T, o *testAccountObjects, n uint64) {
	t.Helper()
	stats := testAccountFamilyStats{High: containersMax - n}
	if err := o.Families.Put(uint32(testAccountFamilyIdFAMILY_SOCKET), &stats); err != nil {
		t.Fatal(err)
	}
}

const containersMax = 4096 // CONTAINERS_MAX

// Slots given back are used first, then those that were never used.
func TestSlotOfNeverUsed(t *testing.T) {
	o := loadAccount(t)
	neverUsed(t, o, 2)
	offer(t, o, 7)
	for i, want := range []int32{7, containersMax - 2, containersMax - 1, -1} {
		if got := slotOf(t, o, uint64(900+i)); got != want {
			t.Errorf("slot_of, container %d = %d, want %d", i, got, want)
		}
	}
}

func TestAddDepth(t *testing.T) {
	o := loadAccount(t)
	type add struct{ pass, depth, limit uint64 }
	tests := []struct {
		name string
		from cell
		adds []add
		want cell
	}{
		{
			name: "one socket",
			adds: []add{{1, 9, 128}},
			want: cell{Pass: 1, Depth: 9, Limit: 128},
		},
		{
			name: "two sockets of one pass add up, limits too",
			adds: []add{{1, 9, 128}, {1, 2, 64}},
			want: cell{Pass: 1, Depth: 11, Limit: 192},
		},
		{
			name: "a finished pass is folded into sum and max",
			adds: []add{{1, 9, 128}, {1, 2, 64}, {2, 3, 128}},
			want: cell{Pass: 2, Depth: 3, Limit: 128, Sum: 11, Max: 11},
		},
		{
			name: "the largest pass stays in max, the last is in neither",
			adds: []add{{1, 4, 0}, {2, 7, 0}, {3, 5, 0}, {4, 100, 0}},
			want: cell{Pass: 4, Depth: 100, Sum: 16, Max: 7},
		},
		{
			name: "an empty pass was measured",
			adds: []add{{1, 5, 0}, {2, 0, 0}, {3, 0, 0}},
			want: cell{Pass: 3, Sum: 5, Max: 5},
		},
		{
			name: "a pass that met no object counts as nothing",
			adds: []add{{1, 5, 0}, {9, 1, 0}},
			want: cell{Pass: 9, Depth: 1, Sum: 5, Max: 5},
		},
		{
			name: "flows are left alone",
			from: cell{Arrivals: 1, Departures: 2, InNs: 3, OutNs: 4, WaitNs: 5},
			adds: []add{{1, 5, 0}, {2, 6, 0}},
			want: cell{Pass: 2, Depth: 6, Sum: 5, Max: 5, Arrivals: 1, Departures: 2, InNs: 3, OutNs: 4, WaitNs: 5},
		},
		{
			name: "the sum wraps",
			from: cell{Pass: 1, Depth: 3, Sum: ^uint64(0)},
			adds: []add{{2, 1, 0}},
			want: cell{Pass: 2, Depth: 1, Sum: 2, Max: 3},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.from
			for _, a := range tt.adds {
				args := testAccountDepthArgs{Cell: got, Pass: a.pass, Depth: a.depth, Limit: a.limit}
				call(t, o.TestAddDepth, o.DepthCall, &args)
				got = args.Cell
			}
			if got != tt.want {
				t.Errorf("add_depth(%+v) = %+v, want %+v", tt.adds, got, tt.want)
			}
		})
	}
}

// Arrivals and departures and the sums of their times equal a plain
// recomputation, modulo 2^64, and touch nothing else.
func TestArriveAndDepart(t *testing.T) {
	o := loadAccount(t)
	random := rand.New(rand.NewPCG(1, 2))
	untouched := cell{Pass: 1, Depth: 2, Limit: 3, Sum: 4, Max: 5, WaitNs: 6}
	got, want := untouched, untouched
	for range 500 {
		count, now := random.Uint64N(5), random.Uint64()
		args := testAccountFlowArgs{Cell: got, Count: count, NowNs: now}
		if random.IntN(2) == 0 {
			call(t, o.TestArrive, o.FlowCall, &args)
			want.Arrivals += count
			want.InNs += count * now
		} else {
			call(t, o.TestDepart, o.FlowCall, &args)
			want.Departures += count
			want.OutNs += count * now
		}
		if got = args.Cell; got != want {
			t.Fatalf("after %d x at %d: %+v, want %+v", count, now, got, want)
		}
	}
}

// The flows are shared by all CPUs: nothing is lost when two add at once.
func TestArriveFromTwoThreads(t *testing.T) {
	o := loadAccount(t)
	const each = 5000
	if err := o.FlowCall.Set(&testAccountFlowArgs{Count: 3, NowNs: 7}); err != nil {
		t.Fatal(err)
	}
	together(t, 2, func(int) error {
		for range each {
			if _, err := o.TestArrive.Run(&ebpf.RunOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	var got testAccountFlowArgs
	if err := o.FlowCall.Get(&got); err != nil {
		t.Fatal(err)
	}
	if want := (cell{Arrivals: 2 * each * 3, InNs: 2 * each * 3 * 7}); got.Cell != want {
		t.Errorf("got %+v, want %+v", got.Cell, want)
	}
}

func together(t *testing.T, n int, do func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	failed := make([]error, n)
	for i := range n {
		wg.Go(func() { failed[i] = do(i) })
	}
	wg.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
}

func TestHashComm(t *testing.T) {
	o := loadAccount(t)
	const legacy, comm = uint64(1) << 63, uint64(1) << 62
	seen := map[uint64]string{}
	for _, name := range []string{"", "a", "b", "ab", "ba", "nginx", "redis-server", "fifteen-letters", "caf\xc3\xa9", "nginx2"} {
		var args testAccountCommArgs
		for i := range len(name) {
			args.Comm[i] = int8(name[i])
		}
		call(t, o.TestHashComm, o.CommCall, &args)
		hash := fnv.New64a()
		hash.Write([]byte(name))
		if want := hash.Sum64()&^(legacy|comm) | comm; args.Hash != want {
			t.Errorf("hash_comm(%q) = %#x, want %#x", name, args.Hash, want)
		}
		if other, found := seen[args.Hash]; found {
			t.Errorf("hash_comm(%q) = hash_comm(%q)", name, other)
		}
		seen[args.Hash] = name
	}
	// What is behind the terminating zero does not count, and 16 letters without one do.
	args := testAccountCommArgs{Comm: [16]int8{'a', 0, 'x'}}
	call(t, o.TestHashComm, o.CommCall, &args)
	if seen[args.Hash] != "a" {
		t.Errorf("hash_comm(a, 0, x) = %#x, want that of %q", args.Hash, "a")
	}
}

func TestCountLoss(t *testing.T) {
	o := loadAccount(t)
	for range 3 {
		run(t, o.TestCountLoss)
	}
	for reason := range uint32(testAccountLossReasonLOSS_REASON_MAX) {
		want := uint64(0)
		if testAccountLossReason(reason) == testAccountLossReasonLOSS_DUMP_FULL {
			want = 3
		}
		if got := lost(t, o.Losses, reason); got != want {
			t.Errorf("losses[%v] = %d, want %d", reason, got, want)
		}
	}
}

func lost(t *testing.T, losses *ebpf.Map, reason uint32) (sum uint64) {
	t.Helper()
	var perCPU []uint64
	if err := losses.Lookup(reason, &perCPU); err != nil {
		t.Fatal(err)
	}
	for _, n := range perCPU {
		sum += n
	}
	return sum
}

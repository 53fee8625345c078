//go:build linux

package bpf

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf"
)

// offer puts slots on the free list; the first is taken first.
func offer(t *testing.T, o *testAccountObjects, slots ...uint32) {
	t.Helper()
	for i := len(slots) - 1; i >= 0; i-- {
		if err := o.FreeSlots.Put(nil, slots[i]); err != nil {
			t.Fatal(err)
		}
	}
}

// unused empties the free list.
func unused(t *testing.T, o *testAccountObjects) (slots []uint32) {
	t.Helper()
	for {
		var slot uint32
		err := o.FreeSlots.LookupAndDelete(nil, &slot)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return slots
		}
		if err != nil {
			t.Fatal(err)
		}
		slots = append(slots, slot)
	}
}

func slotOf(t *testing.T, o *testAccountObjects, owner uint64) int32 {
	t.Helper()
	return call(t, o.TestSlotOf, o.SlotCall, &testAccountSlotArgs{Owner: owner})
}

func ownerOf(t *testing.T, o *testAccountObjects, slot uint32) uint64 {
	t.Helper()
	var row testAccountContainerRow
	if err := o.ContainerRows.Lookup(slot, &row); err != nil {
		t.Fatal(err)
	}
	return row.Owner
}

func TestSlotOf(t *testing.T) {
	o := loadAccount(t)
	const full = uint32(testAccountLossReasonLOSS_CONTAINERS_FULL)
	offer(t, o, 0, 1, 2)

	for i, owner := range []uint64{700, 701, 1<<63 | 702} {
		if got := slotOf(t, o, owner); got != int32(i) {
			t.Fatalf("slot_of(%d) = %d, want %d: lowest first", owner, got, i)
		}
		if got := ownerOf(t, o, uint32(i)); got != owner {
			t.Errorf("row %d belongs to %d, want %d", i, got, owner)
		}
	}
	if got := slotOf(t, o, 701); got != 1 {
		t.Errorf("slot_of(701) again = %d, want 1", got)
	}
	if got := lost(t, o.Losses, full); got != 0 {
		t.Errorf("%d losses while there was room", got)
	}

	for n := uint64(1); n <= 2; n++ {
		if got := slotOf(t, o, 703); got != -1 {
			t.Errorf("slot_of(703) = %d with no slot left, want -1", got)
		}
		if got := lost(t, o.Losses, full); got != n {
			t.Errorf("containers_full = %d, want %d", got, n)
		}
	}
	var slot uint32
	if err := o.ContainerSlots.Lookup(uint64(703), &slot); !errors.Is(err, ebpf.ErrKeyNotExist) {
		t.Errorf("a container without a slot is in the table: %v", err)
	}
	if got := slotOf(t, o, 700); got != 0 {
		t.Errorf("slot_of(700) = %d when full, want 0", got)
	}

	// Go gives slot 1 back: the key, the row, the slot (slots.release).
	if err := o.ContainerSlots.Delete(uint64(701)); err != nil {
		t.Fatal(err)
	}
	if err := o.ContainerRows.Put(uint32(1), &testAccountContainerRow{}); err != nil {
		t.Fatal(err)
	}
	offer(t, o, 1)
	if got := slotOf(t, o, 703); got != 1 {
		t.Errorf("slot_of(703) = %d, want the slot given back, 1", got)
	}
	if got := ownerOf(t, o, 1); got != 703 {
		t.Errorf("row 1 belongs to %d, want 703", got)
	}
}

// A slot number cached by a socket may be stale: its owner tells.
func TestRowOf(t *testing.T) {
	o := loadAccount(t)
	offer(t, o, 4, 5)
	slotOf(t, o, 42)
	tests := []struct {
		name   string
		owner  uint64
		cached uint32
		slot   uint32
		found  uint32
	}{
		{"cached", 42, 4, 4, 1},
		{"never cached", 42, 0, 4, 1},
		{"cached slot of another container", 43, 4, 5, 1},
		{"slot outside of the table", 42, 1 << 31, 4, 1},
		{"no slot left", 44, 4, 4, 0},
	}
	for _, tt := range tests {
		args := testAccountSlotArgs{Owner: tt.owner, Slot: tt.cached}
		call(t, o.TestRowOf, o.SlotCall, &args)
		if args.Slot != tt.slot || args.Found != tt.found {
			t.Errorf("%s: row_of(%d, %d) = slot %d, found %d; want %d, %d", tt.name, tt.owner, tt.cached, args.Slot, args.Found, tt.slot, tt.found)
		}
	}
}

// Two CPUs that meet the same containers at once agree on one slot each, and
// the slot that the slower one took goes back.
func TestSlotOfFromTwoThreads(t *testing.T) {
	o := loadAccount(t)
	const rounds, owners = 40, 64
	var all []uint32
	for slot := range uint32(rounds * owners) {
		all = append(all, slot)
	}
	offer(t, o, all...)
	if err := o.TakeCount.Set(uint32(owners)); err != nil {
		t.Fatal(err)
	}
	for round := range uint64(rounds) {
		first := 1000 + round*owners
		if err := o.TakeFirst.Set(first); err != nil {
			t.Fatal(err)
		}
		together(t, 2, func(int) error {
			_, err := o.TestTakeSlots.Run(&ebpf.RunOptions{})
			return err
		})
	}
	taken := map[uint32]bool{}
	var owner uint64
	var slot uint32
	entries := o.ContainerSlots.Iterate()
	for entries.Next(&owner, &slot) {
		if taken[slot] {
			t.Errorf("slot %d has two owners", slot)
		}
		taken[slot] = true
		if got := ownerOf(t, o, slot); got != owner {
			t.Errorf("row %d belongs to %d, the table says %d", slot, got, owner)
		}
	}
	if err := entries.Err(); err != nil {
		t.Fatal(err)
	}
	if len(taken) != rounds*owners {
		t.Errorf("%d containers have a slot, want %d", len(taken), rounds*owners)
	}
	if left := unused(t, o); len(left) != 0 {
		t.Errorf("%d slots left of exactly as many as containers: some slot was used twice", len(left))
	}
}

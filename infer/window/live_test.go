package window

import (
	"slices"
	"testing"

	"seer/collector"
	"seer/collector/container"
)

// shopTick is a tick of the shop as the collector measures it.
func shopTick(tick int64) *collector.Tick {
	t := &collector.Tick{}
	for c, name := range []string{"web", "web", "cart", "antagonist-cpu"} {
		row := collector.Row{Container: &container.Container{ID: container.ID(c), Service: name}}
		if !(c == 1 && tick == 100) && c < 3 {
			d := depthOf(c, tick)
			row.Cells[collector.QueueOutstanding] = collector.Cell{Valid: true, Mean: d, Max: d + 1, Depth: d, Arrivals: 10, Departures: 10}
			row.Cells[collector.QueueRun] = collector.Cell{Valid: true}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// TestLiveSeesWhatIsRecorded holds what a live model sees to what it was trained on.
func TestLiveSeesWhatIsRecorded(t *testing.T) {
	r := openShop(t, LayoutOptions{Spare: 1})
	s, err := EstimateScale([]*Run{r})
	if err != nil {
		t.Fatal(err)
	}
	live, err := NewLive(r.Layout)
	if err != nil {
		t.Fatal(err)
	}
	n := r.Layout.Shape.Len()
	x, mask, wantX, wantMask := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
	var b Buffer
	for tick := range 400 {
		live.Push(shopTick(int64(tick)))
		live.Example(s, x, mask)
		if err := r.Example(s, tick, wantX, wantMask, &b); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(mask, wantMask) || !slices.Equal(x, wantX) {
			t.Fatalf("tick %d: the live example differs from the recorded one", tick)
		}
	}
	push := shopTick(1)
	if allocs := testing.AllocsPerRun(10, func() { live.Push(push); live.Example(s, x, mask) }); allocs != 0 {
		t.Errorf("%v allocations per tick, want none", allocs)
	}
}

func TestLivePlace(t *testing.T) {
	live, err := NewLive(openShop(t, LayoutOptions{Spare: 1}).Layout)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		service string
		want    bool
	}{{"cart", true}, {"", false}, {"new", true}, {"new", true}, {"newer", false}} {
		if got := live.Place(tt.service); got != tt.want {
			t.Errorf("Place(%q) = %t, want %t", tt.service, got, tt.want)
		}
	}
	if want := []string{"cart", "web", "new"}; !slices.Equal(live.Slots(), want) {
		t.Errorf("Slots() = %q, want %q", live.Slots(), want)
	}
}

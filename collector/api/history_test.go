package api

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"seer/collector"
	"seer/collector/container"
)

// feed adds one tick in which container id's accept backlog has mean; a
// negative mean was not measured.
func feed(h *history, id container.ID, mean float64) {
	row := collector.Row{Container: &container.Container{ID: id}}
	if mean >= 0 {
		row.Cells[collector.QueueAcceptBacklog] = collector.Cell{Mean: mean, Valid: true}
	}
	h.add([]collector.Row{row})
}

func TestHistory(t *testing.T) {
	long := make([]float64, historyTicks+5)
	var wrapped Series
	for i := range long {
		long[i] = float64(i)
		if i >= 5 {
			wrapped = append(wrapped, float32(i))
		}
	}
	tests := []struct {
		name  string
		means []float64
		want  Series
		since time.Duration
	}{
		{name: "one tick", means: []float64{3}, want: Series{3}, since: time.Second},
		{name: "became busy", means: []float64{0, 0, 2, 4}, want: Series{0, 0, 2, 4}, since: 2 * time.Second},
		{name: "empty now", means: []float64{2, 4, 0}, want: Series{2, 4, 0}},
		{name: "a gap ends it", means: []float64{7, -1, 7}, want: Series{7, missing, 7}, since: time.Second},
		{name: "never measured", means: []float64{-1, -1}, want: Series{}},
		{name: "wraps", means: long, want: wrapped, since: historyTicks * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var h history
			for _, m := range tt.means {
				feed(&h, 1, m)
			}
			var got History
			if !h.copyTo(&got, 1) {
				t.Fatal("copyTo = false, want the past of container 1")
			}
			if diff := cmp.Diff(tt.want, got.Means[collector.QueueAcceptBacklog], cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("series (-want +got):\n%s", diff)
			}
			if got := h.notEmptyFor(1, collector.QueueAcceptBacklog, time.Second); got != tt.since {
				t.Errorf("notEmptyFor = %s, want %s", got, tt.since)
			}
		})
	}
}

// A container that went leaves nothing behind for the next one in its place.
func TestHistoryForgetsContainers(t *testing.T) {
	var h history
	feed(&h, 1, 5)
	feed(&h, 2, 6)
	var got History
	if h.copyTo(&got, 1) {
		t.Error("copyTo(1) = true, want it forgotten when it is in no tick")
	}
	if !h.copyTo(&got, 2) || len(got.Means[collector.QueueAcceptBacklog]) != 1 {
		t.Errorf("copyTo(2) = %v, want one tick", got.Means[collector.QueueAcceptBacklog])
	}
	feed(&h, 3, 7)
	if !h.copyTo(&got, 3) || !cmp.Equal(got.Means[collector.QueueAcceptBacklog], Series{7}) {
		t.Errorf("copyTo(3) = %v, want [7], nothing of container 1", got.Means[collector.QueueAcceptBacklog])
	}
}

func TestHistoryIsBounded(t *testing.T) {
	var h history
	rows := make([]collector.Row, maxHistories+10)
	for i := range rows {
		rows[i].Container = &container.Container{ID: container.ID(i + 1)}
	}
	for range 3 {
		h.add(rows)
	}
	if len(h.byID) != maxHistories {
		t.Errorf("%d histories, want %d", len(h.byID), maxHistories)
	}
	for i := range rows { // all of them replaced
		rows[i].Container = &container.Container{ID: container.ID(i + 1e6)}
	}
	h.add(rows)
	h.add(rows)
	if got := len(h.byID) + len(h.free); got > maxHistories {
		t.Errorf("%d rings in memory, want at most %d", got, maxHistories)
	}
	if len(h.byID) != maxHistories {
		t.Errorf("%d histories after all containers were replaced, want %d", len(h.byID), maxHistories)
	}
}

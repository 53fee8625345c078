package window

import (
	"slices"
	"testing"
)

func TestFeatures(t *testing.T) {
	for _, tt := range []struct {
		selection string
		want      []string
	}{
		{SelectHost, []string{"run_queue", "block_io"}},
		{SelectNetwork, []string{"nic_rx", "syn_queue", "accept_backlog", "receive_queue", "send_queue", "nic_tx"}},
		{SelectApplication, []string{"epoll_ready", "outstanding", "downstream", "unread_requests",
			"outstanding.depth", "downstream.depth", "outstanding.arrivals", "outstanding.departures"}},
	} {
		features, err := Features(tt.selection)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range features {
			got = append(got, f.String())
			if back, err := ParseFeature(f.String()); err != nil || back != f {
				t.Errorf("ParseFeature(%q) = %v, %v, want %v", f, back, err, f)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("Features(%q) = %q, want %q", tt.selection, got, tt.want)
		}
	}
	if _, err := Features("memory"); err == nil {
		t.Error(`Features("memory") found some`)
	}
	for _, name := range []string{"", "nothing", "outstanding.mean", "outstanding.", "outstanding.wait_ns", "outstanding.depth.max"} {
		if f, err := ParseFeature(name); err == nil {
			t.Errorf("ParseFeature(%q) = %v, want an error", name, f)
		}
	}
}

func TestLayoutValidate(t *testing.T) {
	fine := func() *Layout {
		l, err := newLayout([]string{"a", "b"}, LayoutOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for name, spoil := range map[string]func(*Layout){
		"shape":        func(l *Layout) { l.Shape.Queues++ },
		"no ticks":     func(l *Layout) { l.Shape.Ticks = 0 },
		"many ticks":   func(l *Layout) { l.Shape.Ticks = 1 << 40 },
		"no horizon":   func(l *Layout) { l.HorizonMS = 0 },
		"queue":        func(l *Layout) { l.Queues[0] = "x" },
		"queue twice":  func(l *Layout) { l.Queues[0] = l.Queues[1] },
		"service":      func(l *Layout) { l.Services[0] = "b" },
		"edge":         func(l *Layout) { l.Edges = [][2]int{{0, len(l.Services)}} },
		"edge from -1": func(l *Layout) { l.Edges = [][2]int{{-1, 0}} },
	} {
		l := fine()
		if err := l.Validate(); err != nil {
			t.Fatalf("Validate() = %v of a fine layout", err)
		}
		spoil(l)
		if err := l.Validate(); err == nil {
			t.Errorf("%s: Validate() = nil, want an error", name)
		}
	}
}

package collector

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seer/collector/container"
)

// member is a row whose group is called name: the zero Resolver groups by name.
func member(id container.ID, name string, sockets int, cell Cell) Row {
	r := Row{Container: &container.Container{ID: id, Name: name, Service: "s", RuntimeID: "r", Pod: "p", Path: "/x"}, Sockets: sockets}
	r.Cells[QueueOutstanding] = cell
	return r
}

func TestMerge(t *testing.T) {
	valid := func(c Cell) Cell { c.Valid = true; return c }
	a := valid(Cell{Depth: 1, Mean: 2, Max: 3, Limit: 4, Arrivals: 5, Departures: 10, Wait: 6 * time.Millisecond})
	b := valid(Cell{Depth: 10, Mean: 20, Max: 30, Limit: 40, Arrivals: 50, Departures: 30, Wait: 2 * time.Millisecond})
	idle := valid(Cell{})
	tests := []struct {
		name string
		rows []Row
		want []Row
	}{
		{"nothing", nil, nil},
		{
			"apart",
			[]Row{member(1, "x", 3, a), member(2, "y", 4, b)},
			[]Row{member(1, "x", 3, a), member(2, "y", 4, b)},
		},
		{
			"two members add up, the wait is that of all who left",
			[]Row{member(1, "x", 3, a), member(2, "x", 4, b)},
			[]Row{member(1, "x", 7, valid(Cell{Depth: 11, Mean: 22, Max: 33, Limit: 44, Arrivals: 55, Departures: 40, Wait: 3 * time.Millisecond}))},
		},
		{
			"groups keep the place of their first member",
			[]Row{member(1, "x", 1, a), member(2, "y", 1, b), member(3, "x", 1, idle)},
			[]Row{member(1, "x", 2, a), member(2, "y", 1, b)},
		},
		{
			"an idle member changes no wait",
			[]Row{member(1, "x", 1, idle), member(2, "x", 1, a)},
			[]Row{member(1, "x", 2, a)},
		},
		{
			"nobody left",
			[]Row{member(1, "x", 1, idle), member(2, "x", 1, idle)},
			[]Row{member(1, "x", 2, idle)},
		},
		{
			"not known of one member, not known of the group, whatever comes after",
			[]Row{member(1, "x", 1, a), member(2, "x", 1, Cell{}), member(3, "x", 1, b)},
			[]Row{member(1, "x", 3, Cell{})},
		},
		{
			"not known of the first member",
			[]Row{member(1, "x", 1, Cell{}), member(2, "x", 1, a)},
			[]Row{member(1, "x", 2, Cell{})},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, _ := newGrouping(&container.Resolver{}).merge(tt.rows, nil, nil)
			// A group has its name, and nothing that is its first member's own.
			want := append([]Row(nil), tt.want...)
			for i := range want {
				c := *want[i].Container
				c.Service, c.RuntimeID, c.Pod = c.Name, "", ""
				want[i].Container = &c
			}
			if diff := cmp.Diff(want, append([]Row(nil), got...)); diff != "" {
				t.Errorf("merge (-want +got):\n%s", diff)
			}
		})
	}
}

// A group of many ticks is one and the same container, the rows that came in
// are left alone, and nothing is allocated once the groups are known.
func TestMergeAgain(t *testing.T) {
	g := newGrouping(&container.Resolver{})
	cell := Cell{Depth: 1, Valid: true}
	rows := []Row{member(1, "x", 1, cell), member(2, "x", 1, cell), member(3, "y", 1, cell)}
	merge := func(rows []Row) []Row {
		merged, _, _ := g.merge(rows, nil, nil)
		return merged
	}
	first := merge(rows)[0].Container
	got := merge(rows)
	if got[0].Container != first {
		t.Error("a group is another container each tick")
	}
	if got[0].Cells[QueueOutstanding].Depth != 2 || rows[0].Cells[QueueOutstanding].Depth != 1 || rows[0].Container.Pod != "p" {
		t.Errorf("merged twice: %+v from %+v", got[0], rows[0])
	}
	if n := testing.AllocsPerRun(100, func() { merge(rows) }); n != 0 {
		t.Errorf("%v allocations per tick, want 0", n)
	}
	// Its first member has gone.
	if got := merge(rows[1:])[0].Container; got.ID != 2 || got.Name != "x" {
		t.Errorf("group stands for %+v, want its member 2", got)
	}
}

// Names of groups that come and go are not kept for ever.
func TestMergeForgetsGroups(t *testing.T) {
	g := newGrouping(&container.Resolver{})
	for i := range 5000 {
		g.merge([]Row{member(container.ID(i+1), time.Duration(i).String(), 1, Cell{})}, nil, nil)
	}
	if len(g.known) > 1100 {
		t.Errorf("%d groups known after 5000 that are gone", len(g.known))
	}
}

// What was timed of the members of a group is timed of the group.
func TestMergeRequests(t *testing.T) {
	timed := func(row int, served ...time.Duration) (r RequestRow) {
		r.Row = row
		for _, d := range served {
			r.Served.Add(d)
			r.ServedFirst.Add(d / 2)
			r.Called.Add(2 * d)
		}
		return r
	}
	const ms = time.Millisecond
	rows := []Row{member(1, "x", 1, Cell{}), member(2, "y", 1, Cell{}), member(3, "x", 1, Cell{}), member(4, "z", 1, Cell{})}
	_, got, open := newGrouping(&container.Resolver{}).merge(rows, []RequestRow{timed(0, ms, 5*ms), timed(2, 5*ms), timed(3, 9*ms)}, []OpenRow{{Row: 0}, {Row: 2}, {Row: 3}})
	if diff := cmp.Diff([]RequestRow{timed(0, ms, 5*ms, 5*ms), timed(2, 9*ms)}, got); diff != "" {
		t.Errorf("merge (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]OpenRow{{Row: 0}, {Row: 2}}, open); diff != "" {
		t.Errorf("merge of open requests (-want +got):\n%s", diff)
	}
}

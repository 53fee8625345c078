package collector

import (
	"time"

	"seer/collector/container"
)

// grouping merges the rows of one tick under --group-by service or unit.
type grouping struct {
	resolver *container.Resolver
	index    map[string]int // key to row, of this tick
	known    map[string]*container.Container
	rows     []Row
	into     []int // row of each row merged
}

func newGrouping(r *container.Resolver) *grouping {
	return &grouping{resolver: r, index: map[string]int{}, known: map[string]*container.Container{}}
}

// merge adds up the rows of one group. Depths, flows and limits add; the
// largest depth is at most the sum of the largest depths, which is given; a
// queue that was not read in one member is not known of the group.
//
// Requests are merged in place.
func (g *grouping) merge(rows []Row, requests []RequestRow, open []OpenRow) ([]Row, []RequestRow, []OpenRow) {
	clear(g.index)
	g.rows, g.into = g.rows[:0], g.into[:0]
	for i := range rows {
		key := g.resolver.Key(rows[i].Container)
		at, found := g.index[key]
		if !found {
			g.index[key] = len(g.rows)
			g.rows = append(g.rows, rows[i])
			g.rows[len(g.rows)-1].Container = g.named(key, rows[i].Container)
			g.into = append(g.into, len(g.rows)-1)
			continue
		}
		g.into = append(g.into, at)
		into := &g.rows[at]
		into.Sockets += rows[i].Sockets
		into.CloseWait += rows[i].CloseWait
		for q := range into.Cells {
			into.Cells[q].add(&rows[i].Cells[q])
		}
	}
	return g.rows, g.mergeRequests(requests), g.mergeOpen(open)
}

// mergeRequests adds up what was timed of the members of each group, into the
// first of them.
func (g *grouping) mergeRequests(requests []RequestRow) []RequestRow {
	merged := requests[:0]
next:
	for i := range requests {
		row := g.into[requests[i].Row]
		for j := range merged {
			if merged[j].Row == row {
				merged[j].merge(&requests[i])
				continue next
			}
		}
		merged = append(merged, requests[i])
		merged[len(merged)-1].Row = row
	}
	return merged
}

// named returns the container that stands for a group: that of its first
// member, under the group's name.
func (g *grouping) named(key string, first *container.Container) *container.Container {
	if c := g.known[key]; c != nil && c.ID == first.ID {
		return c
	}
	c := *first
	c.Name, c.Service, c.RuntimeID, c.Pod = key, key, "", ""
	if len(g.known) > 4*len(g.rows)+1024 {
		clear(g.known) // groups come and go
	}
	g.known[key] = &c
	return &c
}

func (c *Cell) add(d *Cell) {
	if !c.Valid || !d.Valid {
		*c = Cell{}
		return
	}
	departed := c.Departures + d.Departures
	if departed > 0 {
		c.Wait = time.Duration((float64(c.Wait)*c.Departures + float64(d.Wait)*d.Departures) / departed)
	}
	c.Depth += d.Depth
	c.Mean += d.Mean
	c.Max += d.Max
	c.Limit += d.Limit
	c.Arrivals += d.Arrivals
	c.Departures = departed
}

// mergeOpen does the same for open requests.
func (g *grouping) mergeOpen(open []OpenRow) []OpenRow {
	merged := open[:0]
next:
	for i := range open {
		row := g.into[open[i].Row]
		for j := range merged {
			if merged[j].Row == row {
				merged[j].Ages.Merge(&open[i].Ages)
				continue next
			}
		}
		merged = append(merged, open[i])
		merged[len(merged)-1].Row = row
	}
	return merged
}

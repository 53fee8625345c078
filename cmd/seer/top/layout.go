package top

import (
	"cmp"
	"slices"
)

// placed is a column and where it is on the screen.
type placed struct {
	index int // in tableColumns, or -1 for the trend
	x, w  int
}

// layout chooses the columns that fit width, the one sorted by always among
// them, and places them. Columns are taken by priority; names (longest is the
// longest one) and the trend grow before the less important ones are.
func layout(width, sorted, longest int, withTrend bool) []placed {
	order := make([]int, 0, len(tableColumns))
	for i := range tableColumns {
		if i != columnName && i != sorted {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Compare(tableColumns[a].priority, tableColumns[b].priority)
	})
	if sorted == columnHot {
		order = append(order, columnHot) // the marks say as much
	}
	name, trend := min(width, minName), 0
	left := width - name
	chosen := []int{columnName}
	take := func(i int) {
		if tableColumns[i].width <= left {
			chosen = append(chosen, i)
			left -= tableColumns[i].width
		}
	}
	grow := func(from, to int) int {
		n := max(0, min(to-from, left))
		left -= n
		return from + n
	}
	if sorted != columnName && sorted != columnHot {
		take(sorted)
	}
	for _, i := range order {
		share := shareBefore(tableColumns[i].priority)
		if want := share.trend; withTrend && trend < want {
			if left+trend < want {
				if share == shareRest {
					break
				}
			} else {
				trend = grow(trend, want)
			}
		}
		if width >= wideEnough {
			name = grow(name, min(longest+1, share.name))
		}
		take(i)
	}
	name = grow(name, min(longest+1, maxName))
	if trend > 0 {
		trend = grow(trend, maxTrend)
	}
	return place(chosen, name, trend)
}

// share is the width that names and the trend have, gaps included, before a
// column of some priority is shown.
type share struct{ name, trend int }

// The shares before the columns that most hosts need, that many do, and the
// rest. Names have minName at least, and up to maxName of what nothing else
// needs, as has the trend.
var (
	shareCommon = share{name: 18}
	shareUseful = share{name: 24, trend: minTrend}
	shareRest   = share{name: 32, trend: 31}
)

const (
	minName  = 14
	maxName  = 48
	minTrend = 10
	maxTrend = columns + 1

	// wideEnough is from where names may take more than minName before columns.
	wideEnough = 72
)

func shareBefore(priority int) share {
	switch {
	case priority <= 8:
		return shareCommon
	case priority <= 12:
		return shareUseful
	}
	return shareRest
}

// place puts the chosen columns in the order of the table.
func place(chosen []int, name, trend int) []placed {
	slices.Sort(chosen)
	at := make([]placed, 0, len(chosen)+1)
	x := 0
	for _, i := range chosen {
		w := tableColumns[i].width
		if i == columnName {
			w = name
		}
		at = append(at, placed{i, x, w})
		x += w
	}
	if trend > 0 {
		at = append(at, placed{-1, x, trend})
	}
	return at
}

package forward

import "seer/infer/matrix"

// calls lists who calls whom, the lists of all services end to end.
type calls struct {
	callees, callers neighbours
}

type neighbours struct {
	first []int32 // of a service's in all; one more for the end
	all   []int32
}

func newCalls(services int, edges [][2]int) calls {
	callees, callers := make([][]int32, services), make([][]int32, services)
	for _, e := range edges {
		callees[e[0]] = append(callees[e[0]], int32(e[1]))
		callers[e[1]] = append(callers[e[1]], int32(e[0]))
	}
	return calls{join(callees), join(callers)}
}

func join(lists [][]int32) neighbours {
	n := neighbours{first: []int32{0}}
	for _, l := range lists {
		n.all = append(n.all, l...)
		n.first = append(n.first, int32(len(n.all)))
	}
	return n
}

// gather writes for services first to last their own channels, the mean of those that each calls,
// and the mean of those that call it.
func (c *calls) gather(to, from []float32, channels, first, last int) {
	for n := first; n < last; n++ {
		row := to[(n-first)*3*channels:][:3*channels]
		copy(row, from[n*channels:][:channels])
		c.callees.mean(row[channels:2*channels], from, n)
		c.callers.mean(row[2*channels:], from, n)
	}
}

func (l *neighbours) mean(to, from []float32, n int) {
	list := l.all[l.first[n]:l.first[n+1]]
	if len(list) == 0 {
		clear(to)
		return
	}
	copy(to, from[int(list[0])*len(to):])
	if len(list) == 1 {
		return
	}
	for _, s := range list[1:] {
		matrix.Add(to, from[int(s)*len(to):][:len(to)])
	}
	share := 1 / float32(len(list))
	for i := range to {
		to[i] *= share
	}
}

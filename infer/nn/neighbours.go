package nn

import "seer/infer/matrix"

// Neighbourhood says what of the rows around it a row of the next layer sees: in
// part p, the mean of the services From[own service] of the tick that lies Tick
// later; zeros where there are none.
type Neighbourhood struct {
	Ticks, Batch, Services int
	Parts                  []Part
}

// Part is one view.
type Part struct {
	Tick int
	From [][]int32
}

// Callers is the neighbourhood of message passing: the service itself, the mean of
// those that it calls, the mean of those that call it.
func Callers(ticks, batch, services int, edges [][2]int) Neighbourhood {
	self, callees, callers := make([][]int32, services), make([][]int32, services), make([][]int32, services)
	for i := range services {
		self[i] = []int32{int32(i)}
	}
	for _, e := range edges {
		caller, callee := e[0], e[1]
		callees[caller] = append(callees[caller], int32(callee))
		callers[callee] = append(callers[callee], int32(caller))
	}
	return Neighbourhood{ticks, batch, services, []Part{{From: self}, {From: callees}, {From: callers}}}
}

// Grid is the neighbourhood of a convolution: high ticks and wide services around
// the own ones, high and wide odd.
func Grid(ticks, batch, services, high, wide int) Neighbourhood {
	n := Neighbourhood{Ticks: ticks, Batch: batch, Services: services}
	for dt := -high / 2; dt <= high/2; dt++ {
		for ds := -wide / 2; ds <= wide/2; ds++ {
			from := make([][]int32, services)
			for s := range services {
				if 0 <= s+ds && s+ds < services {
					from[s] = []int32{int32(s + ds)}
				}
			}
			n.Parts = append(n.Parts, Part{dt, from})
		}
	}
	return n
}

// gather writes the parts of rows first to last, one after the other, each row's from
// the start of to on.
func gather[T matrix.Float](n *Neighbourhood, to, from []T, channels, first, last int) {
	n.each(first, last, func(at, base int, services []int32) {
		cell := to[at*channels:][:channels]
		if len(services) == 1 {
			copy(cell, from[(base+int(services[0]))*channels:][:channels])
			return
		}
		clear(cell)
		share := 1 / T(max(len(services), 1))
		for _, s := range services {
			for c, v := range from[(base+int(s))*channels:][:channels] {
				cell[c] += share * v
			}
		}
	})
}

// scatter is the transpose of gather: it adds every cell to where it came from.
func scatter[T matrix.Float](n *Neighbourhood, to, from []T, channels, first, last int) {
	n.each(first, last, func(at, base int, services []int32) {
		cell := from[at*channels:][:channels]
		share := 1 / T(max(len(services), 1))
		for _, s := range services {
			source := to[(base+int(s))*channels:][:channels]
			for c, v := range cell {
				source[c] += share * v
			}
		}
	})
}

// each visits the parts of rows first to last. at counts them; base is the row of
// service 0 in the tick that the part looks at. Beyond the window there are no services.
func (n *Neighbourhood) each(first, last int, visit func(at, base int, services []int32)) {
	at := 0
	for row := first; row < last; row++ {
		tick, example, service := row/(n.Services*n.Batch), row/n.Services%n.Batch, row%n.Services
		for p := range n.Parts {
			part := &n.Parts[p]
			if t := tick + part.Tick; t < 0 || t >= n.Ticks {
				visit(at, 0, nil)
			} else {
				visit(at, (t*n.Batch+example)*n.Services, part.From[service])
			}
			at++
		}
	}
}

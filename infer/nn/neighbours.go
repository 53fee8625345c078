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

// gather writes for every row its parts, one after the other.
func gather[T matrix.Float](n *Neighbourhood, to, from []T, channels int) {
	wide := channels * len(n.Parts)
	n.each(func(row, part, first int, services []int32) {
		cell := to[row*wide+part*channels:][:channels]
		if len(services) == 1 {
			copy(cell, from[(first+int(services[0]))*channels:][:channels])
			return
		}
		clear(cell)
		share := 1 / T(max(len(services), 1))
		for _, s := range services {
			for c, v := range from[(first+int(s))*channels:][:channels] {
				cell[c] += share * v
			}
		}
	})
}

// scatter is the transpose of gather: it adds every cell to where it came from.
func scatter[T matrix.Float](n *Neighbourhood, to, from []T, channels int) {
	wide := channels * len(n.Parts)
	n.each(func(row, part, first int, services []int32) {
		cell := from[row*wide+part*channels:][:channels]
		share := 1 / T(max(len(services), 1))
		for _, s := range services {
			source := to[(first+int(s))*channels:][:channels]
			for c, v := range cell {
				source[c] += share * v
			}
		}
	})
}

// each visits every row and part. first is the row of service 0 in the tick that
// the part looks at; beyond the window there are no services.
func (n *Neighbourhood) each(visit func(row, part, first int, services []int32)) {
	row := 0
	for tick := range n.Ticks {
		for example := range n.Batch {
			for service := range n.Services {
				for p := range n.Parts {
					part := &n.Parts[p]
					at := tick + part.Tick
					if at < 0 || at >= n.Ticks {
						visit(row, p, 0, nil)
						continue
					}
					visit(row, p, (at*n.Batch+example)*n.Services, part.From[service])
				}
				row++
			}
		}
	}
}

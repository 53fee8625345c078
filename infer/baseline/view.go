package baseline

import (
	"seer/infer/window"
)

// view is what the learnt baselines see of an example: for each slot, views numbers
// for each queue of the layout.
type view struct {
	shape            window.Shape
	callees, callers [][]int
	deepest, second  []float32 // per queue: the highest and the second highest cell
	who              []int     // slot of the highest
}

// What a slot shows, for each queue. All are normalised depths of the last tick unless
// they say otherwise.
const (
	viewOwn      = iota // its own
	viewChange          // its own less the mean of the window before
	viewRecent          // the mean of its last three ticks
	viewCallees         // mean of the callees
	viewCallers         // mean of the callers
	viewDeepest         // highest of all services
	viewDistance        // its own less the highest of the others

	views
)

func newView(l *window.Layout) *view {
	v := &view{
		shape:   l.Shape,
		callees: make([][]int, l.Shape.Services), callers: make([][]int, l.Shape.Services),
		deepest: make([]float32, l.Shape.Queues), second: make([]float32, l.Shape.Queues),
		who: make([]int, l.Shape.Queues),
	}
	for _, e := range l.Edges {
		if e[0] != e[1] {
			v.callees[e[0]] = append(v.callees[e[0]], e[1])
			v.callers[e[1]] = append(v.callers[e[1]], e[0])
		}
	}
	return v
}

// width is how many numbers a slot has.
func (v *view) width() int { return views * v.shape.Queues }

// look stores what each slot shows: dst is [slot][queue][views].
func (v *view) look(x, mask, dst []float32) {
	for q := range v.shape.Queues {
		v.deepest[q], v.second[q], v.who[q] = 0, 0, -1
		for n := range v.shape.Services {
			at := v.last(q, n)
			if mask[at] == 0 {
				continue
			}
			switch d := x[at]; {
			case v.who[q] < 0 || d > v.deepest[q]:
				if v.who[q] >= 0 {
					v.second[q] = v.deepest[q]
				}
				v.deepest[q], v.who[q] = d, n
			case d > v.second[q]:
				v.second[q] = d
			}
		}
		for n := range v.shape.Services {
			out := dst[(n*v.shape.Queues+q)*views:][:views]
			clear(out)
			out[viewDeepest] = v.deepest[q]
			at := v.last(q, n)
			if mask[at] == 0 {
				continue
			}
			own := x[at]
			out[viewOwn] = own
			out[viewChange] = own - mean(x[at-v.shape.Ticks+1:at])
			out[viewRecent] = mean(x[max(at-v.shape.Ticks+1, at-2) : at+1])
			out[viewCallees] = v.neighbours(x, q, v.callees[n])
			out[viewCallers] = v.neighbours(x, q, v.callers[n])
			if others := v.deepest[q]; v.who[q] == n {
				out[viewDistance] = own - v.second[q]
			} else {
				out[viewDistance] = own - others
			}
		}
	}
}

// last returns where the last tick of a cell is.
func (v *view) last(q, n int) int { return (q*v.shape.Services+n)*v.shape.Ticks + v.shape.Ticks - 1 }

func (v *view) neighbours(x []float32, q int, slots []int) float32 {
	if len(slots) == 0 {
		return 0
	}
	sum := float32(0)
	for _, n := range slots {
		sum += x[v.last(q, n)]
	}
	return sum / float32(len(slots))
}

func mean(x []float32) float32 {
	if len(x) == 0 {
		return 0
	}
	sum := float32(0)
	for _, v := range x {
		sum += v
	}
	return sum / float32(len(x))
}

// present says which slots have a measured queue in the last tick.
func (v *view) present(mask []float32, dst []bool) {
	for n := range dst {
		dst[n] = false
		for q := range v.shape.Queues {
			if mask[v.last(q, n)] != 0 {
				dst[n] = true
				break
			}
		}
	}
}

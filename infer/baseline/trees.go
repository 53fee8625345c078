package baseline

import (
	"fmt"
	"math"

	"seer/infer/window"
)

// Trees are boosted: the log-odds that a slot starts a violation are Start and what
// the leaf of each tree adds. No library trains such in Go: those that there are
// read models of LightGBM and XGBoost.
type Trees struct {
	Start float32
	Trees []Tree
}

// Tree is a binary tree in the order of a heap: the children of node i are 2i+1 and
// 2i+2. A node with a Split of -1 is a leaf.
type Tree struct {
	Split []int32   // number of the view's number that decides
	Below []float32 // at most this goes left
	Value []float32 // of a leaf
}

// maxDepth bounds a tree: 2^6-1 nodes.
const maxDepth = 5

// value returns what the tree adds for a slot.
func (t *Tree) value(seen []float32) float32 {
	i := 0
	for t.Split[i] >= 0 {
		if seen[t.Split[i]] <= t.Below[i] {
			i = 2*i + 1
		} else {
			i = 2*i + 2
		}
	}
	return t.Value[i]
}

func (t *Trees) odds(seen []float32) float32 {
	sum := t.Start
	for i := range t.Trees {
		sum += t.Trees[i].value(seen)
	}
	return sum
}

// validate says what is wrong with trees that come from elsewhere.
func (t *Trees) validate(width int) error {
	if !finite(t.Start) {
		return fmt.Errorf("trees start at %v", t.Start)
	}
	for i := range t.Trees {
		tree := &t.Trees[i]
		n := len(tree.Split)
		if n == 0 || len(tree.Below) != n || len(tree.Value) != n {
			return fmt.Errorf("tree %d has %d, %d and %d nodes", i, n, len(tree.Below), len(tree.Value))
		}
		for k, split := range tree.Split {
			if int(split) >= width || split >= 0 && 2*k+2 >= n {
				return fmt.Errorf("tree %d, node %d: splits by number %d of %d, of %d nodes", i, k, split, width, n)
			}
			if !finite(tree.Below[k]) || !finite(tree.Value[k]) {
				return fmt.Errorf("tree %d, node %d: not a finite number", i, k)
			}
		}
	}
	return nil
}

func finite(v float32) bool { return v-v == 0 }

// boosted predicts by trees.
type boosted struct {
	t       *Trees
	v       *view
	seen    []float32
	present []bool
}

func newBoosted(l *window.Layout, t *Trees) *boosted {
	v := newView(l)
	return &boosted{t: t, v: v, seen: make([]float32, l.Shape.Services*v.width()), present: make([]bool, l.Shape.Services)}
}

// Predict implements window.Predictor. Slots are judged one by one: none is as likely
// as that none of them starts one.
func (b *boosted) Predict(x, mask, p []float32) {
	b.v.look(x, mask, b.seen)
	b.v.present(mask, b.present)
	none := len(p) - 1
	width := b.v.width()
	quiet, sum := 1.0, 0.0
	for n := range none {
		p[n] = 0
		if !b.present[n] {
			continue
		}
		one := 1 / (1 + math.Exp(-float64(b.t.odds(b.seen[n*width:(n+1)*width]))))
		p[n] = float32(one)
		quiet *= 1 - one
		sum += one
	}
	p[none] = float32(quiet)
	for n := range none {
		if sum > 0 {
			p[n] = float32(float64(p[n]) / sum * (1 - quiet))
		}
	}
	if sum == 0 {
		p[none] = 1
	}
}

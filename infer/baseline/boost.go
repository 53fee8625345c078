package baseline

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"

	"seer/infer/window"
)

// How trees are boosted: by histograms of 32 bins, level by level, each tree on half
// of the rows and a part of the columns, against a logistic loss.
const (
	bins         = 32
	maxTrees     = 200
	shrink       = 0.1
	rowShare     = 0.5
	columnShare  = 0.4
	minHessian   = 2.0 // of a leaf
	ridge        = 2.0
	minGain      = 0.1
	stopAfter    = 20 // trees without improvement on validation
	maxRows      = 400_000
	quietSlots   = 3 // drawn of an example, beside the most conspicuous
	loudSlots    = 3
	validateRows = maxRows / 4
)

// table holds what was seen of slots, by column, in bins.
type table struct {
	width  int
	bin    [][]uint8 // [column][row]
	label  []bool
	weight []float32 // how many slots like it the row stands for
	seen   []float32 // [row][column], until it is binned
}

func (t *table) rows() int { return len(t.label) }

// collect gathers slots: of each example the culprit, the most conspicuous others, and
// a few of the rest, which stand for all of it.
func collect(ctx context.Context, source window.Source, limit int) (*table, error) {
	l := source.Layout()
	v := newView(l)
	t := &table{width: v.width()}
	seen, present := make([]float32, l.Shape.Services*t.width), make([]bool, l.Shape.Services)
	rng := rand.New(rand.NewPCG(1, 2))
	var slots []int
	loudness := make([]float32, l.Shape.Services)
	add := func(n int, label bool, weight float32) {
		t.seen = append(t.seen, seen[n*t.width:(n+1)*t.width]...)
		t.label = append(t.label, label)
		t.weight = append(t.weight, weight)
	}
	err := each(ctx, source, func(x, mask []float32, label int) {
		if t.rows() >= limit {
			return
		}
		v.look(x, mask, seen)
		v.present(mask, present)
		slots = slots[:0]
		for n := range present {
			if !present[n] {
				continue
			}
			if n == label {
				add(n, true, 1)
				continue
			}
			slots = append(slots, n)
			loudness[n] = 0
			for q := range l.Shape.Queues {
				loudness[n] = max(loudness[n], seen[(n*l.Shape.Queues+q)*views+viewOwn])
			}
		}
		slices.SortStableFunc(slots, func(a, b int) int { return -compare(loudness[a], loudness[b]) })
		loud := min(loudSlots, len(slots))
		for _, n := range slots[:loud] {
			add(n, false, 1)
		}
		rest := slots[loud:]
		rng.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
		drawn := min(quietSlots, len(rest))
		for _, n := range rest[:drawn] {
			add(n, false, float32(len(rest))/float32(drawn))
		}
	})
	if err == nil && !slices.Contains(t.label, true) {
		err = errors.New("boosting: no example has a culprit that was measured")
	}
	return t, err
}

func compare(a, b float32) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// edges returns, per column, the values that separate the bins: quantiles.
func (t *table) edges() [][]float32 {
	rng := rand.New(rand.NewPCG(3, 4))
	out := make([][]float32, t.width)
	values := make([]float32, 0, 20_000)
	for c := range out {
		values = values[:0]
		for range min(cap(values), t.rows()) {
			values = append(values, t.seen[rng.IntN(t.rows())*t.width+c])
		}
		slices.Sort(values)
		distinct := slices.Compact(slices.Clone(values))
		for i := 1; i < bins; i++ {
			// Quantiles of all values, which zeros may dominate, then of the distinct.
			at := values[i*len(values)/bins]
			if i%2 == 0 {
				at = distinct[i*len(distinct)/bins]
			}
			out[c] = append(out[c], at)
		}
		slices.Sort(out[c])
		out[c] = slices.Compact(out[c])
	}
	return out
}

// sort puts the values into bins: bin i holds those at most edges[i].
func (t *table) sort(edges [][]float32) {
	t.bin = make([][]uint8, t.width)
	for c := range t.bin {
		t.bin[c] = make([]uint8, t.rows())
		for r := range t.bin[c] {
			i, _ := slices.BinarySearch(edges[c], t.seen[r*t.width+c])
			t.bin[c][r] = uint8(i)
		}
	}
}

// fitTrees trains, and keeps as many trees as did best on validation.
func fitTrees(ctx context.Context, train, validation window.Source, progress func(float64)) (*Trees, error) {
	t, err := collect(ctx, train, maxRows)
	if err != nil {
		return nil, err
	}
	v, err := collect(ctx, validation, validateRows)
	if err != nil {
		return nil, err
	}
	edges := t.edges()
	t.sort(edges)
	t.seen = nil
	b := newBooster(t, edges)
	margins := make([]float32, v.rows())
	for r := range margins {
		margins[r] = b.out.Start
	}
	best, bestLoss := 0, math.Inf(1)
	for i := range maxTrees {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		tree := b.grow()
		b.out.Trees = append(b.out.Trees, tree)
		for r := range margins {
			margins[r] += tree.value(v.seen[r*v.width : (r+1)*v.width])
		}
		if loss := v.loss(margins); loss < bestLoss {
			best, bestLoss = i+1, loss
		} else if i+1-best >= stopAfter {
			break
		}
		if progress != nil {
			progress(float64(i+1) / maxTrees)
		}
	}
	b.out.Trees = b.out.Trees[:best]
	return b.out, nil
}

// loss is the mean logistic loss of some log-odds.
func (t *table) loss(margins []float32) float64 {
	sum, weights := 0.0, 0.0
	for r, m := range margins {
		s := float64(m)
		if t.label[r] {
			s = -s
		}
		sum += float64(t.weight[r]) * math.Log1p(math.Exp(s))
		weights += float64(t.weight[r])
	}
	return sum / weights
}

// booster grows trees one after the other.
type booster struct {
	t      *table
	edges  [][]float32
	out    *Trees
	margin []float32
	g, h   []float32 // gradient and Hessian of the loss, 0 for rows that are left out
	node   []int32   // where a row is in the tree that grows
	rng    *rand.Rand
}

func newBooster(t *table, edges [][]float32) *booster {
	b := &booster{
		t: t, edges: edges, out: &Trees{}, margin: make([]float32, t.rows()),
		g: make([]float32, t.rows()), h: make([]float32, t.rows()), node: make([]int32, t.rows()),
		rng: rand.New(rand.NewPCG(5, 6)),
	}
	yes, all := 0.0, 0.0
	for r, label := range t.label {
		all += float64(t.weight[r])
		if label {
			yes += float64(t.weight[r])
		}
	}
	b.out.Start = float32(math.Log(yes / max(1, all-yes)))
	for r := range b.margin {
		b.margin[r] = b.out.Start
	}
	return b
}

// cell is a bin of a histogram.
type cell struct{ g, h float64 }

// grow returns the next tree, and adds it to the margins of all rows.
func (b *booster) grow() Tree {
	for r := range b.g {
		p := float32(1 / (1 + math.Exp(-float64(b.margin[r]))))
		y := float32(0)
		if b.t.label[r] {
			y = 1
		}
		b.g[r], b.h[r] = b.t.weight[r]*(p-y), b.t.weight[r]*p*(1-p)
		b.node[r] = 0
		if b.rng.Float64() >= rowShare {
			b.g[r], b.h[r] = 0, 0
		}
	}
	var columns []int
	for c := range b.t.width {
		if b.rng.Float64() < columnShare {
			columns = append(columns, c)
		}
	}
	nodes := 1<<(maxDepth+1) - 1
	tree := Tree{Split: make([]int32, nodes), Below: make([]float32, nodes), Value: make([]float32, nodes)}
	for i := range tree.Split {
		tree.Split[i] = -1
	}
	for level := range maxDepth + 1 {
		first, count := 1<<level-1, 1<<level
		totals := make([]cell, count)
		for r, n := range b.node {
			if at := int(n) - first; at >= 0 {
				totals[at].g += float64(b.g[r])
				totals[at].h += float64(b.h[r])
			}
		}
		for k, t := range totals {
			tree.Value[first+k] = float32(-shrink * t.g / (t.h + ridge))
		}
		if level == maxDepth || !b.split(&tree, columns, totals, first) {
			break
		}
	}
	for r := range b.margin {
		b.margin[r] += tree.Value[b.node[r]]
	}
	return tree
}

// split splits the nodes of a level where that gains something, and moves their rows.
func (b *booster) split(tree *Tree, columns []int, totals []cell, first int) bool {
	gains := make([]float64, len(totals))
	at := make([]uint8, len(totals)) // bin below which goes left
	histogram := make([]cell, len(totals)*bins)
	for _, c := range columns {
		clear(histogram)
		column := b.t.bin[c]
		for r, n := range b.node {
			if k := int(n) - first; k >= 0 && b.h[r] > 0 {
				h := &histogram[k*bins+int(column[r])]
				h.g += float64(b.g[r])
				h.h += float64(b.h[r])
			}
		}
		for k, all := range totals {
			var left cell
			whole := all.g * all.g / (all.h + ridge)
			for i := range b.edges[c] {
				left.g += histogram[k*bins+i].g
				left.h += histogram[k*bins+i].h
				right := cell{all.g - left.g, all.h - left.h}
				if left.h < minHessian || right.h < minHessian {
					continue
				}
				gain := left.g*left.g/(left.h+ridge) + right.g*right.g/(right.h+ridge) - whole
				if gain > max(gains[k], minGain) {
					gains[k], at[k] = gain, uint8(i)
					tree.Split[first+k], tree.Below[first+k] = int32(c), b.edges[c][i]
				}
			}
		}
	}
	for r, n := range b.node {
		k := int(n) - first
		if k < 0 || tree.Split[n] < 0 {
			continue
		}
		if b.t.bin[tree.Split[n]][r] <= at[k] {
			b.node[r] = 2*n + 1
		} else {
			b.node[r] = 2*n + 2
		}
	}
	return slices.Max(gains) > 0
}

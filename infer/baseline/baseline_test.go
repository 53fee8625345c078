package baseline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"seer/infer/campaign"
	"seer/infer/window"
)

// world is an application of three services, front calls mid calls back, in which
// every 20 s one of them is slow: what it holds grows for a second before users feel
// it, and whoever calls it waits for it.
func world(t testing.TB, seed uint64, ticks int) (*window.Run, *window.Layout) {
	t.Helper()
	l := &window.Layout{
		Shape:    window.Shape{Queues: 5, Services: 4, Ticks: 5},
		Queues:   []string{"outstanding", "downstream", "run_queue", "unread_requests", "outstanding.arrivals"},
		Services: []string{"back", "mid", "front", ""}, Edges: [][2]int{{1, 0}, {2, 1}},
		TickMS: 100, HorizonMS: 500,
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	var truth window.Truth
	for at := int64(20_000); at+5_000 < int64(ticks)*100; at += 20_000 {
		culprit := rng.IntN(3)
		id := len(truth.Faults) + 1
		truth.Faults = append(truth.Faults, campaign.Fault{ID: id, OnsetMS: at - 1000, EndMS: at + 2000, Cause: campaign.CauseLock, Culprit: l.Services[culprit]})
		truth.Violations = append(truth.Violations, window.Violation{OnsetMS: at, EndMS: at + 2000, Culprit: culprit, Fault: id, FaultMS: at - 1000, Cause: campaign.CauseLock})
	}
	r, err := window.NewRun("world", l, truth, ticks, func(tick int, values []float32, valid []bool) {
		end := int64(tick+1) * 100
		var held [3]float64
		for n := range held {
			held[n] = 1 + 0.5*rng.Float64()
		}
		for _, v := range truth.Violations {
			if v.FaultMS < end && end <= v.EndMS {
				held[v.Culprit] += float64(min(end, v.OnsetMS)-v.FaultMS) / 100
			}
		}
		below := 0.0
		for n := range held {
			own := held[n] + below // callees included
			for q, v := range []float64{own, below, 0.1 * rng.Float64(), 0, 20 + rng.Float64()} {
				at := q*l.Shape.Services + n
				values[at], valid[at] = float32(v), true
			}
			below = own
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, l
}

// train makes a baseline of a world, with what it was trained on.
func train(t testing.TB, name string, o window.SampleOptions) (*Model, *window.Run) {
	t.Helper()
	r, _ := world(t, 1, 12_000)
	learn, check := r.Split(0.7)
	s, err := window.EstimateScale([]*window.Run{learn})
	if err != nil {
		t.Fatal(err)
	}
	d := &window.Data{Layout: r.Layout, Scale: s, Train: []*window.Run{learn}, Validation: []*window.Run{check}}
	a, b, err := d.Samples(o)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Train(context.Background(), name, s, a, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m, check
}

// judge returns how likely a model finds an onset, in the windows before one and in all
// others on average, and in how many of the first it names the culprit.
func judge(t *testing.T, m *Model, r *window.Run) (before, others, culprit float64) {
	t.Helper()
	seq, err := window.NewSequence([]*window.Run{r}, m.Scale)
	if err != nil {
		t.Fatal(err)
	}
	p, err := m.Predictor()
	if err != nil {
		t.Fatal(err)
	}
	services := m.Layout.Shape.Services
	out := make([]float32, services+1)
	var sums [2]float64
	var counts [2]int
	right := 0
	err = each(context.Background(), seq, func(x, mask []float32, label int) {
		p.Predict(x, mask, out)
		kind := 0
		if label == services {
			kind = 1
		} else if argmax(out[:services]) == label {
			right++
		}
		sums[kind] += 1 - float64(out[services])
		counts[kind]++
		total := 0.0
		for _, v := range out {
			total += float64(v)
		}
		if math.Abs(total-1) > 1e-4 {
			t.Errorf("%s: probabilities %v add up to %v", m.Name, out, total)
		}
		if out[3] > 1e-3*(1-out[services])+1e-6 && Learns(m.Name) {
			t.Errorf("%s: the spare slot has a probability of %v", m.Name, out[3])
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums[0] / float64(counts[0]), sums[1] / float64(counts[1]), float64(right) / float64(counts[0])
}

func argmax(p []float32) int {
	best := 0
	for i, v := range p {
		if v > p[best] {
			best = i
		}
	}
	return best
}

func TestBaselines(t *testing.T) {
	for _, tt := range []struct {
		name              string
		apart             float64 // at least, between windows before an onset and others
		culprit, culpritN float64 // share that is named, at least and at most
	}{
		// By the logarithm, and against half of what is even.
		{Queue, 0.1, 0.2, 1},
		{Utilisation, -0.01, 0, 0.6}, // sees nothing of a lock
		{Growth, 0.8, 0.98, 1},
		{Logit, 0.6, 0.9, 1},
		{Boosted, 0.8, 0.95, 1},
	} {
		m, r := train(t, tt.name, window.SampleOptions{Negatives: 0.2})
		before, others, culprit := judge(t, m, r)
		if before-others < tt.apart || culprit < tt.culprit || culprit > tt.culpritN {
			t.Errorf("%s: an onset is %.2f likely before one, else %.2f; culprit right in %.2f, want %v apart, right in %v to %v",
				tt.name, before, others, culprit, tt.apart, tt.culprit, tt.culpritN)
		}
		if tt.name == Utilisation && before-others > 0.05 {
			t.Errorf("utilisation tells a lock from nothing: %.2f and %.2f", before, others)
		}
	}
}

// TestShuffledLabels holds what learns to learning nothing where there is nothing.
func TestShuffledLabels(t *testing.T) {
	for _, name := range []string{Logit, Boosted} {
		m, r := train(t, name, window.SampleOptions{Negatives: 0.2, ShuffleLabels: true})
		before, others, _ := judge(t, m, r)
		if math.Abs(before-others) > 0.1 {
			t.Errorf("%s learnt from shuffled labels: an onset is %.2f likely before one, else %.2f", name, before, others)
		}
	}
}

// TestGrowthKnownAnswer: ten arrive per tick and each stays for 0.2 ticks, so 2 are
// normal. At 12 it is 10 too many, of which half wait for a callee.
func TestGrowthKnownAnswer(t *testing.T) {
	_, l := world(t, 1, 10)
	cells := l.Shape.Queues * l.Shape.Services
	s := &window.Scale{Mean: make([]float32, cells), Deviation: make([]float32, cells)}
	for i := range s.Deviation {
		s.Deviation[i] = 1
	}
	nominal := &Nominal{Time: []float32{0.2, 0.2, 0.2, 0}, Deviation: []float32{0.5, 0.5, 0.5, 0.5}}
	g, err := newGrowth(l, s, nominal)
	if err != nil {
		t.Fatal(err)
	}
	x, mask := make([]float32, l.Shape.Len()), make([]float32, l.Shape.Len())
	set := func(queue, slot int, v float32) {
		at := g.v.last(queue, slot)
		x[at], mask[at] = s.Apply(queue*l.Shape.Services+slot, v), 1
	}
	set(0, 1, 12) // outstanding of mid
	set(1, 1, 5)  // downstream
	set(4, 1, 10) // arrivals
	p := make([]float32, 5)
	g.Predict(x, mask, p)
	if want := float32((12. - 5 - 10*0.2) / 0.5); math.Abs(float64(g.z[1]-want)) > 0.01 || g.z[0] != 0 || g.z[3] != 0 {
		t.Errorf("surprises %v, want %v of slot 1 only", g.z, want)
	}
	// 10 deviations, where 8 are even.
	if want := 1 / (1 + math.Exp(-1)); math.Abs(1-float64(p[4])-want) > 0.01 || argmax(p[:4]) != 1 {
		t.Errorf("Predict = %v, want an onset by slot 1 with %v", p, want)
	}
}

func TestViewOfNeighbours(t *testing.T) {
	_, l := world(t, 1, 10)
	v := newView(l)
	x, mask := make([]float32, l.Shape.Len()), make([]float32, l.Shape.Len())
	for n, depth := range []float32{3, 1, 2} {
		for k := range l.Shape.Ticks {
			at := v.last(0, n) - k
			x[at], mask[at] = depth-float32(k), 1 // it grows by 1 a tick
		}
	}
	seen := make([]float32, l.Shape.Services*v.width())
	v.look(x, mask, seen)
	for n, want := range [][views]float32{
		// own, change, recent, callees, callers, deepest, distance
		{3, 2.5, 2, 0, 1, 3, 1},
		{1, 2.5, 0, 3, 2, 3, -2},
		{2, 2.5, 1, 1, 0, 3, -1},
		{0, 0, 0, 0, 0, 3, 0}, // a spare slot
	} {
		if got := [views]float32(seen[n*v.width():]); got != want {
			t.Errorf("view of slot %d = %v, want %v", n, got, want)
		}
	}
}

func TestFile(t *testing.T) {
	for _, name := range Names {
		m, r := train(t, name, window.SampleOptions{})
		m.Threshold = 0.625
		path := filepath.Join(t.TempDir(), "model")
		if err := m.Save(path); err != nil {
			t.Fatal(err)
		}
		back, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		a, b, c := judge(t, m, r)
		a2, b2, c2 := judge(t, back, r)
		if a != a2 || b != b2 || c != c2 || back.Threshold != m.Threshold {
			t.Errorf("%s predicts %v %v %v before it was saved, %v %v %v after", name, a, b, c, a2, b2, c2)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	m, _ := train(t, Growth, window.SampleOptions{})
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	sealed := func(change func(string) string) []byte {
		_, body, _ := bytes.Cut(data, []byte("\n"))
		body = []byte(change(string(body)))
		return append(fmt.Appendf(nil, "%s 1 %08x\n", magic, crc32.Checksum(body, castagnoli)), body...)
	}
	replace := func(old, new string) func(string) string {
		return func(s string) string {
			if !strings.Contains(s, old) {
				t.Fatalf("%s is not in %s", old, s)
			}
			return strings.Replace(s, old, new, 1)
		}
	}
	for _, tt := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "not a baseline"},
		{"something else", []byte("PNG\n{}"), "not a baseline"},
		{"cut off", data[:len(data)-1], "checksum"},
		{"newer", bytes.Replace(data, []byte("baseline 1"), []byte("baseline 2"), 1), "format 2, this build reads 1: train it again"},
		{"other queue", sealed(replace(`"downstream"`, `"upstream"`)), `no queue "upstream"`},
		{"no scale", sealed(replace(`"scale"`, `"scales"`)), "no layout or normalisation"},
		{"unknown baseline", sealed(replace(`"growth"`, `"guess"`)), `no baseline "guess"`},
		{"threshold", sealed(replace(`"threshold":0.5`, `"threshold":0`)), "threshold 0"},
		{"nothing is normal", sealed(replace(`"nominal"`, `"normal"`)), "what is normal"},
	} {
		path := filepath.Join(t.TempDir(), "model")
		if err := os.WriteFile(path, tt.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: Load = %v, want %q and the file's name", tt.name, err, tt.want)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Load of no file = %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, name := range []string{Growth, Logit} {
		m, _ := train(f, name, window.SampleOptions{})
		data, err := m.Encode()
		if err != nil {
			f.Fatal(err)
		}
		_, body, _ := bytes.Cut(data, []byte("\n"))
		f.Add(body)
	}
	f.Add([]byte(`{"name":"trees","layout":{"Queues":1},"trees":{"Trees":[{"Split":[0],"Below":[1],"Value":[2]}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := Decode(append(fmt.Appendf(nil, "%s 1 %08x\n", magic, crc32.Checksum(body, castagnoli)), body...))
		if err != nil {
			return
		}
		// What can be read can predict.
		if m.Layout.Shape.Len() > 1<<20 {
			return
		}
		p, err := m.Predictor()
		if err != nil {
			t.Fatalf("Decode took a model that cannot predict: %v", err)
		}
		x, out := make([]float32, m.Layout.Shape.Len()), make([]float32, m.Layout.Shape.Services+1)
		p.Predict(x, x, out)
	})
}

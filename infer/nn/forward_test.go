package nn

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"seer/infer/matrix"
)

func TestSoftmaxIsStable(t *testing.T) {
	tests := []struct {
		logits []float64
		used   []bool
		want   []float64
	}{
		// gorgonia's takes the maximum of the first row: the second would overflow.
		{[]float64{1000, 1000 - math.Ln2}, []bool{true, true}, []float64{2. / 3, 1. / 3}},
		{[]float64{-1000, -1000}, []bool{true, true}, []float64{.5, .5}},
		{[]float64{0, 900, 0}, []bool{true, false, true}, []float64{.5, 0, .5}},
	}
	for _, tt := range tests {
		got := make([]float64, len(tt.want))
		matrix.Softmax(got, tt.logits, tt.used)
		for i := range got {
			if math.Abs(got[i]-tt.want[i]) > 1e-12 {
				t.Errorf("Softmax(%v, %v) = %v, want %v", tt.logits, tt.used, got, tt.want)
				break
			}
		}
	}
}

func TestGather(t *testing.T) {
	// Service 2 calls 0 and 1.
	n := Callers(1, 1, 3, [][2]int{{2, 0}, {2, 1}})
	got := make([]float64, 9)
	gather(&n, got, []float64{1, 3, 5}, 1, 0, 3)
	want := []float64{1, 0, 5, 3, 0, 5, 5, 2, 0}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("gather(callers) = %v, want %v", got, want)
		}
	}
	n = Grid(2, 1, 2, 3, 1) // before, now, after
	got = make([]float64, 12)
	gather(&n, got, []float64{1, 2, 3, 4}, 1, 0, 4)
	want = []float64{0, 1, 3, 0, 2, 4, 1, 3, 0, 2, 4, 0}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("gather(grid) = %v, want %v", got, want)
		}
	}
}

func TestDropout(t *testing.T) {
	k := &dropoutKernel[float32]{share: .25, rng: rand.New(rand.NewPCG(1, 1))}
	x := make([]float32, 40000)
	for i := range x {
		x[i] = 1
	}
	silent, sum := 0, float32(0)
	for i, v := range k.forward([][]float32{x}) {
		sum += v
		if v == 0 {
			silent++
		}
		if g := k.backward(nil, nil, x)[0]; i == 0 && g[0] != v {
			t.Errorf("backward of %v = %v, want the same", v, g[0])
		}
	}
	if share := float64(silent) / float64(len(x)); math.Abs(share-.25) > .01 {
		t.Errorf("dropout(0.25) silences %v", share)
	}
	if mean := sum / float32(len(x)); math.Abs(float64(mean)-1) > .02 {
		t.Errorf("dropout(0.25) of ones has mean %v, want 1", mean)
	}
}

func TestWrongShapes(t *testing.T) {
	g := gorgonia.NewGraph()
	matrixOf := func(name string, rows, cols int) *gorgonia.Node {
		return gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(rows, cols), gorgonia.WithName(name))
	}
	x := matrixOf(Data, 6, 4)
	if _, err := Apply[float32](Layer{Name: "first"}, x, matrixOf("w", 4, 2)); err == nil || !strings.Contains(err.Error(), "first") {
		t.Errorf("Apply of a layer without a row for its bias = %v, want an error that names it", err)
	}
	if _, err := Apply[float32](Layer{Name: "second", Residual: true}, x, matrixOf("w", 5, 2)); err == nil {
		t.Error("Apply adds 4 channels to 2")
	}
	if _, err := LSTM[float32]("third", x, matrixOf("w", 7, 8), 4, true); err == nil {
		t.Error("LSTM of 6 rows in 4 ticks = nil, want an error")
	}
}

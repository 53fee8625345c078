package network

import (
	"math/rand/v2"
	"testing"

	"seer/infer/forward"
	"seer/infer/model"
)

// TestNewPredictor holds both of its answers to the graph's own.
func TestNewPredictor(t *testing.T) {
	for _, kind := range []string{forward.Kind, Residual} {
		l := layout(5, 4)
		weights, err := Initial(kind, l, 2)
		if err != nil {
			t.Fatal(err)
		}
		m := &model.Model{Kind: kind, Layout: *l, Norm: *plain(l.Shape), Weights: weights, Temperature: 2, NoneBias: 1}
		p, err := NewPredictor(m)
		if err != nil {
			t.Fatal(err)
		}
		x, mask := draw(rand.New(rand.NewPCG(3, 3)), l.Shape)
		got, want := make([]float32, 6), make([]float32, 6)
		p.Predict(x, mask, got)
		g, err := New(kind, l, 1, m.Weights)
		if err != nil {
			t.Fatal(err)
		}
		g.Set(0, &m.Norm, x, mask)
		if err := g.Run(); err != nil {
			t.Fatal(err)
		}
		g.Probabilities(0, m.Temperature, m.NoneBias, want)
		for i := range want {
			if d := got[i] - want[i]; d > 1e-4 || d < -1e-4 {
				t.Errorf("%s: Predict = %v, want %v", kind, got, want)
				break
			}
		}
		g.Close()
	}
}

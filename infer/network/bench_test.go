package network

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkStep is one training step, forward and backward, of a batch of 32, on the
// goroutine of one worker.
func BenchmarkStep(b *testing.B) {
	for _, kind := range []string{GraphGated, GraphLSTM, Residual, Hybrid} {
		for _, services := range []int{36, 386} {
			b.Run(fmt.Sprintf("%s/services=%d", kind, services), func(b *testing.B) {
				const batch = 32
				l := layout(services, 20)
				weights, err := Initial(kind, l, 1)
				if err != nil {
					b.Fatal(err)
				}
				g, err := NewTraining(kind, l, batch, weights, 0)
				if err != nil {
					b.Fatal(err)
				}
				defer g.Close()
				rng := rand.New(rand.NewPCG(1, 1))
				for i := range batch {
					x, mask := draw(rng, l.Shape)
					g.Set(i, plain(l.Shape), x, mask)
					g.Target(i, int32(rng.IntN(services)), 1)
				}
				b.ReportAllocs()
				for b.Loop() {
					if err := g.Run(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

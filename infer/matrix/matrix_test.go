package matrix

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestProducts holds the three products to the definition, in sizes on both sides of
// every block.
func TestProducts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range [][3]int{{1, 1, 1}, {1, 3, 4}, {3, 1, 4}, {3, 4, 1}, {3, 5, 7}, {4, 24, 24}, {65, 40, 33}, {193, 7, 96}, {300, 70, 130}} {
		m, k, n := size[0], size[1], size[2]
		a, b := random(rng, m*k), random(rng, k*n)
		at, bt := transpose(a, m, k), transpose(b, k, n)
		want := make([]float32, m*n)
		for i := range m {
			for j := range n {
				sum := 0.0
				for l := range k {
					sum += float64(a[i*k+l]) * float64(b[l*n+j])
				}
				want[i*n+j] = float32(sum)
			}
		}
		c := make([]float32, m*n)
		for name, f := range map[string]func(add bool){
			"Mul":       func(add bool) { Mul(c, a, b, m, k, n, add) },
			"MulTransA": func(add bool) { MulTransA(c, at, b, m, k, n, add) },
			"MulTransB": func(add bool) { MulTransB(c, a, bt, m, k, n, add) },
		} {
			for i := range c {
				c[i] = 1e6 // what was there before must not matter
			}
			f(false)
			compare(t, name, size, c, want, 1)
			f(true)
			compare(t, name+" adding", size, c, want, 2)
		}
		if n := testing.AllocsPerRun(3, func() { Mul(c, a, b, m, k, n, false) }); n != 0 {
			t.Errorf("Mul(%v) allocates %v times, want 0", size, n)
		}
	}
}

func compare(t *testing.T, name string, size [3]int, got, want []float32, times float32) {
	t.Helper()
	for i := range want {
		if d := math.Abs(float64(got[i] - times*want[i])); !(d <= 1e-4*float64(times)) {
			t.Errorf("%s(%v)[%d] = %v, want %v", name, size, i, got[i], times*want[i])
			return
		}
	}
}

func TestFunctions(t *testing.T) {
	for v := -100.0; v <= 100; v += 0.0137 {
		x := []float32{float32(v)}
		Sigmoid(x)
		if want := 1 / (1 + math.Exp(-float64(float32(v)))); math.Abs(float64(x[0])-want) > 3e-7 {
			t.Fatalf("Sigmoid(%v) = %v, want %v", v, x[0], want)
		}
		x[0] = float32(v)
		Tanh(x)
		if want := math.Tanh(float64(float32(v))); math.Abs(float64(x[0])-want) > 3e-7 {
			t.Fatalf("Tanh(%v) = %v, want %v", v, x[0], want)
		}
	}
}

func TestRowFunctions(t *testing.T) {
	x := []float32{-1, 2, -3, 4, 5, -6, 7, 8, -9, 10}
	ReLU(x)
	if want := []float32{0, 2, 0, 4, 5, 0, 7, 8, 0, 10}; !slices.Equal(x, want) {
		t.Errorf("ReLU = %v, want %v", x, want)
	}
	y := []float32{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
	Add(y, x)
	if want := []float32{1, 3, 1, 5, 6, 1, 8, 9, 1, 11}; !slices.Equal(y, want) {
		t.Errorf("Add = %v, want %v", y, want)
	}
	for _, cells := range []int{3, 8, 16} {
		h, gates := make([]float32, 2*cells), make([]float32, 4*cells)
		for i := range h {
			h[i] = float32(i)
		}
		for c := range cells { // the first row keeps a quarter, the second all
			gates[c], gates[cells+c] = .25, 100
			gates[2*cells+c], gates[3*cells+c] = 1, 100
		}
		Gate(h, gates, cells)
		for i, v := range h {
			want := float32(i)
			if i < cells {
				want = 75 + float32(i)/4
			}
			if v != want {
				t.Fatalf("Gate of %d cells = %v, want %v at %d", cells, h, want, i)
			}
		}
	}
}

func random(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

func transpose(a []float32, m, n int) []float32 {
	t := make([]float32, len(a))
	for i := range m {
		for j := range n {
			t[j*m+i] = a[i*n+j]
		}
	}
	return t
}

func BenchmarkMul(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range [][3]int{{720, 39, 24}, {720, 24, 64}, {36, 96, 32}} {
		m, k, n := size[0], size[1], size[2]
		x, y, c := random(rng, m*k), random(rng, k*n), make([]float32, m*n)
		b.Run("", func(b *testing.B) {
			for b.Loop() {
				Mul(c, x, y, m, k, n, false)
			}
			b.ReportMetric(2*float64(m*k*n*b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
		})
	}
}

//go:build goexperiment.simd && amd64

package matrix

import "simd/archsimd"

// wide says whether this processor has what the code of this file is made of.
var wide = archsimd.X86.AVX2() && archsimd.X86.FMA()

const (
	// columns of c that are computed together, in two registers.
	columns = 16
	// depth is how much of k is worked through at a time, so that a strip of b
	// stays in the first cache: 256 x 16 x 4 bytes.
	depth = 256
)

// productWide is product in strips of 16 columns and 4 rows, whose sums stay in
// registers. A strip of b is copied so that its rows lie together, whatever b's
// order, and filled up with zeros.
func productWide(c, a, b []float32, m, k, n, ai, ak, bk, bj int, add bool) {
	var strip [depth * columns]float32
	for l := 0; l < k; l += depth {
		deep := min(depth, k-l)
		for j := 0; j < n; j += columns {
			broad := min(columns, n-j)
			pack(strip[:deep*columns], b[l*bk+j*bj:], bk, bj, broad)
			i := 0
			for ; i+4 <= m; i += 4 {
				rows4(c[i*n+j:], a[i*ai+l*ak:], strip[:deep*columns], n, ai, ak, broad, add || l > 0)
			}
			for ; i < m; i++ {
				row(c[i*n+j:], a[i*ai+l*ak:], strip[:deep*columns], ak, broad, add || l > 0)
			}
		}
	}
}

func pack(strip, b []float32, bk, bj, broad int) {
	for l := 0; l*columns < len(strip); l++ {
		to := strip[l*columns:][:columns]
		if bj == 1 {
			copy(to, b[l*bk:][:broad])
		} else {
			for j := range broad {
				to[j] = b[l*bk+j*bj]
			}
		}
		clear(to[broad:])
	}
}

func rows4(c, a, strip []float32, n, ai, ak, broad int, add bool) {
	var s00, s01, s10, s11, s20, s21, s30, s31 archsimd.Float32x8
	if ak == 1 {
		deep := len(strip) / columns
		a0, a1, a2, a3 := a[:deep], a[ai:][:deep], a[2*ai:][:deep], a[3*ai:][:deep]
		for l := range a0 {
			if len(strip) < columns {
				break
			}
			b0 := archsimd.LoadFloat32x8Slice(strip)
			b1 := archsimd.LoadFloat32x8Slice(strip[8:])
			strip = strip[columns:]
			v := archsimd.BroadcastFloat32x8(a0[l])
			s00, s01 = v.MulAdd(b0, s00), v.MulAdd(b1, s01)
			v = archsimd.BroadcastFloat32x8(a1[l])
			s10, s11 = v.MulAdd(b0, s10), v.MulAdd(b1, s11)
			v = archsimd.BroadcastFloat32x8(a2[l])
			s20, s21 = v.MulAdd(b0, s20), v.MulAdd(b1, s21)
			v = archsimd.BroadcastFloat32x8(a3[l])
			s30, s31 = v.MulAdd(b0, s30), v.MulAdd(b1, s31)
		}
	} else {
		for len(strip) >= columns {
			b0 := archsimd.LoadFloat32x8Slice(strip)
			b1 := archsimd.LoadFloat32x8Slice(strip[8:])
			v := archsimd.BroadcastFloat32x8(a[0])
			s00, s01 = v.MulAdd(b0, s00), v.MulAdd(b1, s01)
			v = archsimd.BroadcastFloat32x8(a[ai])
			s10, s11 = v.MulAdd(b0, s10), v.MulAdd(b1, s11)
			v = archsimd.BroadcastFloat32x8(a[2*ai])
			s20, s21 = v.MulAdd(b0, s20), v.MulAdd(b1, s21)
			v = archsimd.BroadcastFloat32x8(a[3*ai])
			s30, s31 = v.MulAdd(b0, s30), v.MulAdd(b1, s31)
			if strip = strip[columns:]; len(strip) >= columns {
				a = a[ak:]
			}
		}
	}
	store(c, s00, s01, broad, add)
	store(c[n:], s10, s11, broad, add)
	store(c[2*n:], s20, s21, broad, add)
	store(c[3*n:], s30, s31, broad, add)
}

func row(c, a, strip []float32, ak, broad int, add bool) {
	var s0, s1 archsimd.Float32x8
	for l := 0; len(strip) >= columns; l += ak {
		v := archsimd.BroadcastFloat32x8(a[l])
		s0 = v.MulAdd(archsimd.LoadFloat32x8Slice(strip), s0)
		s1 = v.MulAdd(archsimd.LoadFloat32x8Slice(strip[8:]), s1)
		strip = strip[columns:]
	}
	store(c, s0, s1, broad, add)
}

func store(c []float32, s0, s1 archsimd.Float32x8, broad int, add bool) {
	if broad == columns {
		c := c[:columns]
		if add {
			s0 = s0.Add(archsimd.LoadFloat32x8Slice(c))
			s1 = s1.Add(archsimd.LoadFloat32x8Slice(c[8:]))
		}
		s0.StoreSlice(c)
		s1.StoreSlice(c[8:])
		return
	}
	if broad >= 8 {
		if add {
			s0 = s0.Add(archsimd.LoadFloat32x8Slice(c))
		}
		s0.StoreSlice(c)
		s0, c, broad = s1, c[8:], broad-8
	}
	var sum [8]float32
	s0.Store(&sum)
	for j, v := range sum[:broad] {
		if add {
			v += c[j]
		}
		c[j] = v
	}
}

// bendWide sets x to a / (1 + exp(s x)) + b: a sigmoid or a hyperbolic tangent. It does
// as many as fit into whole registers and returns the rest. The exponential is exp32's;
// it stands here because a call between registers costs more than itself.
func bendWide(x []float32, s, a, b float32) []float32 {
	by, above, below := archsimd.BroadcastFloat32x8(s), archsimd.BroadcastFloat32x8(a), archsimd.BroadcastFloat32x8(b)
	least, most := archsimd.BroadcastFloat32x8(-87), archsimd.BroadcastFloat32x8(88)
	one, bias := archsimd.BroadcastFloat32x8(1), archsimd.BroadcastInt32x8(127)
	perLn2 := archsimd.BroadcastFloat32x8(log2e)
	high, low := archsimd.BroadcastFloat32x8(-ln2High), archsimd.BroadcastFloat32x8(-ln2Low)
	c0, c1, c2 := archsimd.BroadcastFloat32x8(exp0), archsimd.BroadcastFloat32x8(exp1), archsimd.BroadcastFloat32x8(exp2)
	c3, c4, c5 := archsimd.BroadcastFloat32x8(exp3), archsimd.BroadcastFloat32x8(exp4), archsimd.BroadcastFloat32x8(exp5)
	for ; len(x) >= 8; x = x[8:] {
		v := archsimd.LoadFloat32x8Slice(x).Mul(by).Max(least).Min(most)
		n := v.Mul(perLn2).RoundToEven()
		r := n.MulAdd(low, n.MulAdd(high, v))
		p := r.MulAdd(c0, c1)
		p = p.MulAdd(r, c2)
		p = p.MulAdd(r, c3)
		p = p.MulAdd(r, c4)
		p = p.MulAdd(r, c5)
		p = p.Mul(r).MulAdd(r, r.Add(one))
		power := n.ConvertToInt32().Add(bias).ShiftAllLeft(23).AsFloat32x8()
		above.Div(p.MulAdd(power, one)).Add(below).StoreSlice(x)
	}
	return x
}

func reluWide(x []float32) []float32 {
	var zero archsimd.Float32x8
	for ; len(x) >= 8; x = x[8:] {
		archsimd.LoadFloat32x8Slice(x).Max(zero).StoreSlice(x)
	}
	return x
}

// addWide returns how many at the end are left to do.
func addWide(y, x []float32) int {
	for ; len(y) >= 8 && len(x) >= 8; y, x = y[8:], x[8:] {
		archsimd.LoadFloat32x8Slice(y).Add(archsimd.LoadFloat32x8Slice(x)).StoreSlice(y)
	}
	return len(y)
}

// gateWide is Gate for rows whose length is a multiple of 8.
func gateWide(h, gates []float32, cells int) {
	for len(h) >= cells && len(gates) >= 2*cells {
		z, v := gates[:cells], gates[cells:2*cells]
		for c := 0; c+8 <= cells; c += 8 {
			to := archsimd.LoadFloat32x8Slice(v[c:])
			way := archsimd.LoadFloat32x8Slice(h[c:]).Sub(to)
			archsimd.LoadFloat32x8Slice(z[c:]).MulAdd(way, to).StoreSlice(h[c:])
		}
		h, gates = h[cells:], gates[2*cells:]
	}
}

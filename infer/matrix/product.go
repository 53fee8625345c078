package matrix

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// block is the side of gonum's own blocks. Fewer than four of them at a time, and
// it starts no goroutine: training keeps the processors busy with whole graphs, and
// inference must not allocate.
const block = 64

// product computes c from blocks of rows and columns; ai and ak say how far apart
// the rows and the columns of a lie, bk and bj the same of b.
func product[T Float](c, a, b []T, m, k, n, ai, ak, bk, bj int, add bool) {
	if c, ok := any(c).([]float32); ok && wide {
		productWide(c, any(a).([]float32), any(b).([]float32), m, k, n, ai, ak, bk, bj, add)
		return
	}
	ta, lda := blas.NoTrans, ai
	if ak != 1 {
		ta, lda = blas.Trans, ak
	}
	tb, ldb := blas.NoTrans, bk
	if bj != 1 {
		tb, ldb = blas.Trans, bj
	}
	if ta == blas.NoTrans {
		lda = max(lda, k) // the distance of a single row is 1, as it has no next
	}
	if tb == blas.NoTrans {
		ldb = max(ldb, n)
	}
	beta := T(0)
	if add {
		beta = 1
	}
	rows := block
	if n <= block {
		rows = 3 * block
	}
	for j := 0; j < n; j += block {
		breadth := min(block, n-j)
		for i := 0; i < m; i += rows {
			high := min(rows, m-i)
			gemm(ta, tb, high, breadth, k, a[i*ai:], lda, b[j*bj:], ldb, beta, c[i*n+j:], n)
		}
	}
}

func gemm[T Float](ta, tb blas.Transpose, m, n, k int, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	switch a := any(a).(type) {
	case []float32:
		gonum.Implementation{}.Sgemm(ta, tb, m, n, k, 1, a, lda, any(b).([]float32), ldb,
			float32(beta), any(c).([]float32), ldc)
	case []float64:
		gonum.Implementation{}.Dgemm(ta, tb, m, n, k, 1, a, lda, any(b).([]float64), ldb,
			float64(beta), any(c).([]float64), ldc)
	}
}

package matrix

// Mul adds a b to c, or sets c to it: a has m rows of k, b k rows of n, c m of n.
func Mul[T Float](c, a, b []T, m, k, n int, add bool) {
	product(c, a, b, m, k, n, k, 1, n, 1, add)
}

// MulTransA is Mul with a stored as k rows of m.
func MulTransA[T Float](c, a, b []T, m, k, n int, add bool) {
	product(c, a, b, m, k, n, 1, m, n, 1, add)
}

// MulTransB is Mul with b stored as n rows of k.
func MulTransB[T Float](c, a, b []T, m, k, n int, add bool) {
	product(c, a, b, m, k, n, k, 1, 1, k, add)
}

// Linear sets y to x w + b: w has a row for each of the in columns of x, and b is the
// row after them.
func Linear[T Float](y, x, w []T, rows, in, out int) {
	bias := w[in*out:][:out]
	for r := range rows {
		copy(y[r*out:], bias)
	}
	Mul(y, x, w, rows, in, out, true)
}

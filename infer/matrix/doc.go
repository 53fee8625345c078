// Package matrix holds the arithmetic that training and inference share: products
// of matrices stored row by row, and the functions that networks bend numbers with.
// Everything runs on the goroutine of the caller and allocates nothing.
package matrix

// Package kernels holds the tests that only a chosen kernel can answer, and
// the machinery to choose one: vm boots a Debian kernel in QEMU, init is what
// runs inside as process 1, and cmd/kernelrun is the command that joins them.
//
// The tests of this package state what each kernel of the matrix must be able
// to do (features_test.go) and that the virtual machine is a fit place for the
// project's privileged tests (machine_test.go). See README.md.
package kernels

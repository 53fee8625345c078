// Package known holds the known-answer tests: for each queue a workload whose
// depth is fixed by construction (package lab), the real collector, and two
// demands: the container that has the queue reads that depth, and its
// neighbours, which are busy with sockets of their own, read zero.
//
// Every case runs twice: built before the tracer starts, so that its sockets
// are adopted, and after, so that they are seen being born.
//
// The tests need root and BPF. They run on the development machine and, as one
// static binary, in the virtual machines of test/kernels:
//
//	go test ./test/known
//	go run ./test/kernels/cmd/kernelrun -kernel debian-6.1 -- ./test/known
package known

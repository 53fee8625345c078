// Package bpf holds the programs that run in the kernel and the Go types that
// bpf2go generates from them. It has no logic of its own: package collector
// loads, attaches and reads.
//
// One object per family of kernel objects, so that a program which the
// verifier or a policy refuses takes only its own queues down:
//
//	socket     births and deaths of TCP sockets; the pass over tracked sockets
//	dump       the list of sockets, on demand
//	discover   descriptors of every process: adoption, ownership, epoll instances
//	epoll      ready lists
//	sched      the CPU run queue
//	block      block requests in flight
//	request*   exact mode, in three flavours
//	packet     headers of some packets, and who holds which socket, for as long as asked
//	stamp      tried once at start: can exact mode take the time from the socket
//
// Maps in account.bpf.h and the like are declared by every object that uses
// them and created once: the loader passes them on with MapReplacements.
package bpf

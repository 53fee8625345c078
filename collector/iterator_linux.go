package collector

import (
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// iterator runs a BPF program over all its objects: an iterator or, where link
// is nil, a syscall program that has a loop of its own.
type iterator struct {
	link    *link.Iter
	program *ebpf.Program
	buf     [1]byte
	fd      int // of the iterator's walk under way
	walking bool
}

// run visits every object once. It allocates nothing, which is why it does not
// use link.Iter.Open: that makes an os.File for each of a hundred passes per
// second. A program writes a byte to end a read and let other tasks run.
//
// The system calls do not tell Go's scheduler: they compute rather than wait,
// and handing the processor on and back around each costs more than a pass
// over few sockets.
func (it *iterator) run() error {
	for {
		if done, err := it.step(); done || err != nil {
			return err
		}
	}
}

// step goes on with a walk until the program next writes a byte, starting one
// if none is under way, and reports whether the walk is done.
func (it *iterator) step() (done bool, err error) {
	if it.link == nil {
		return it.call()
	}
	if !it.walking {
		if it.fd, err = it.open(); err != nil {
			return false, err
		}
		it.walking = true
	}
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(it.fd), uintptr(unsafe.Pointer(&it.buf)), 1)
		switch {
		case errno == unix.EINTR || errno == unix.EAGAIN:
			continue
		case errno != 0:
			it.stop()
			return false, fmt.Errorf("read iterator: %w", errno)
		case n == 0:
			it.stop()
			return true, nil
		}
		return false, nil
	}
}

// call runs the syscall program once. It returns 1 where there is more to do.
func (it *iterator) call() (done bool, err error) {
	// BPF_PROG_RUN (include/uapi/linux/bpf.h, union bpf_attr.test), without
	// arguments; the kernel takes what is not there as zero.
	attr := struct{ programFD, result uint32 }{programFD: uint32(it.program.FD())}
	_, _, errno := unix.RawSyscall(unix.SYS_BPF, unix.BPF_PROG_RUN, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		it.walking = false
		return false, fmt.Errorf("run program: %w", errno)
	}
	it.walking = attr.result != 0
	return !it.walking, nil
}

// stop gives up the walk under way, if any.
func (it *iterator) stop() {
	if it.walking && it.link != nil {
		_, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(it.fd), 0, 0)
		it.walking = false
	}
}

// open starts one walk; the caller reads it to the end and closes it.
func (it *iterator) open() (fd int, err error) {
	// BPF_ITER_CREATE (include/uapi/linux/bpf.h, union bpf_attr.iter_create).
	attr := struct{ linkFD, flags uint32 }{linkFD: uint32(it.link.FD())}
	r, _, errno := unix.RawSyscall(unix.SYS_BPF, unix.BPF_ITER_CREATE, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return -1, fmt.Errorf("create iterator: %w", errno)
	}
	return int(r), nil
}

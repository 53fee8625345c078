package collector

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// iterator runs a BPF iterator program over all its objects.
type iterator struct {
	link *link.Iter
	buf  [1]byte
}

// run visits every object once. It allocates nothing, which is why it does not
// use link.Iter.Open: that makes an os.File for each of a hundred passes per
// second. A program writes a byte to end a read and let other tasks run.
func (it *iterator) run() error {
	fd, err := it.open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Read(fd, it.buf[:])
		switch {
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN):
			continue
		case err != nil:
			return fmt.Errorf("read iterator: %w", err)
		case n == 0:
			return nil
		}
	}
}

// open starts one walk; the caller reads it to the end and closes it.
func (it *iterator) open() (fd int, err error) {
	// BPF_ITER_CREATE (include/uapi/linux/bpf.h, union bpf_attr.iter_create).
	attr := struct{ linkFD, flags uint32 }{linkFD: uint32(it.link.FD())}
	r, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_ITER_CREATE, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return -1, fmt.Errorf("create iterator: %w", errno)
	}
	return int(r), nil
}

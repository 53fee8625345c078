//go:build linux

package known

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is an io_uring with one request in it at a time (io_uring(7)).
type ring struct {
	fd           int
	submit, done []byte // the rings
	entries      []byte // of the submission queue
	p            uringParams
}

// uringParams is struct io_uring_params, uringOffsets its two tables of offsets
// (include/uapi/linux/io_uring.h).
type uringParams struct {
	SubmitEntries, DoneEntries, Flags, ThreadCPU, ThreadIdle, Features, WorkFD uint32
	_                                                                          [3]uint32
	Submit, Done                                                               uringOffsets
}

// The last of the offsets before the reserved ones is array in one, flags in the other.
type uringOffsets struct {
	Head, Tail, Mask, Entries, FlagsOrOverflow, DroppedOrDone, ArrayOrFlags, _ uint32
	_                                                                          uint64
}

const (
	uringSend    = 26 // IORING_OP_SEND
	uringReceive = 27 // IORING_OP_RECV

	uringGetEvents = 1 // IORING_ENTER_GETEVENTS

	offsetSubmit  = 0 // IORING_OFF_SQ_RING
	offsetDone    = 0x8000000
	offsetEntries = 0x10000000

	submitEntryBytes = 64
	doneEntryBytes   = 16
)

func newRing() (*ring, error) {
	r := &ring{}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&r.p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("%w: %w", errNoRing, errno)
	}
	r.fd = int(fd)
	for _, m := range []struct {
		to     *[]byte
		offset int64
		bytes  uint32
	}{
		{&r.submit, offsetSubmit, r.p.Submit.ArrayOrFlags + r.p.SubmitEntries*4},
		{&r.done, offsetDone, r.p.Done.DroppedOrDone + r.p.DoneEntries*doneEntryBytes},
		{&r.entries, offsetEntries, r.p.SubmitEntries * submitEntryBytes},
	} {
		b, err := unix.Mmap(r.fd, m.offset, int(m.bytes), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return nil, fmt.Errorf("io_uring: map: %w", err)
		}
		*m.to = b
	}
	return r, nil
}

// do has one send or receive done, and waits for it.
func (r *ring) do(op uint8, fd int, b []byte) (int, error) {
	tail := word(r.submit, r.p.Submit.Tail)
	at := *tail & *word(r.submit, r.p.Submit.Mask)
	e := r.entries[at*submitEntryBytes:][:submitEntryBytes]
	clear(e)
	e[0] = op
	*word(e, 4) = uint32(fd)
	*(*uint64)(unsafe.Pointer(&e[16])) = uint64(uintptr(unsafe.Pointer(&b[0])))
	*word(e, 24) = uint32(len(b))
	*word(r.submit, r.p.Submit.ArrayOrFlags+at*4) = at
	atomic.AddUint32(tail, 1)
	head := word(r.done, r.p.Done.Head)
	toSubmit := uintptr(1)
	for atomic.LoadUint32(word(r.done, r.p.Done.Tail)) == *head {
		_, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), toSubmit, 1, uringGetEvents, 0, 0)
		if errno != 0 && errno != unix.EINTR {
			return 0, errno
		}
		if errno == 0 {
			toSubmit = 0
		}
	}
	runtime.KeepAlive(b)
	at = *head & *word(r.done, r.p.Done.Mask)
	n := int32(*word(r.done, r.p.Done.DroppedOrDone+at*doneEntryBytes+8))
	atomic.AddUint32(head, 1)
	if n < 0 {
		return 0, unix.Errno(-n)
	}
	return int(n), nil
}

func word(b []byte, at uint32) *uint32 { return (*uint32)(unsafe.Pointer(&b[at])) }

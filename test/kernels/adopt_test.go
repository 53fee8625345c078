//go:build linux && amd64

package kernels

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// adoptsSockets proves the one way to find sockets that were open before Seer:
// iter/task_file, bpf_sock_from_file and the creation of socket storage from
// there. A listener must have no row in the storage map before the pass and one
// after it.
func adoptsSockets(*testing.T) error {
	storage, err := ebpf.NewMap(&ebpf.MapSpec{
		Type: ebpf.SkStorage, KeySize: 4, ValueSize: 4, Flags: unix.BPF_F_NO_PREALLOC,
		Key: &btf.Int{Size: 4, Encoding: btf.Signed}, Value: &btf.Int{Size: 4}})
	if err != nil {
		return err
	}
	defer storage.Close()
	skOffset, err := offsetOf("socket", "sk")
	if err != nil {
		return err
	}
	const (
		fileOffset      = 24 // struct bpf_iter__task_file.file
		getFlagCreate   = 1  // BPF_SK_STORAGE_GET_F_CREATE
		contextRegister = asm.R1
	)
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Tracing, AttachType: ebpf.AttachTraceIter, AttachTo: "task_file", License: "GPL",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R1, contextRegister, fileOffset, asm.DWord),
			asm.JEq.Imm(asm.R1, 0, "out"), // the last call announces the end
			asm.FnSockFromFile.Call(),
			asm.JEq.Imm(asm.R0, 0, "out"), // not a socket
			asm.LoadMem(asm.R2, asm.R0, int16(skOffset), asm.DWord),
			asm.JEq.Imm(asm.R2, 0, "out"),
			asm.LoadMapPtr(asm.R1, storage.FD()),
			asm.Mov.Imm(asm.R3, 0),
			asm.Mov.Imm(asm.R4, getFlagCreate),
			asm.FnSkStorageGet.Call(),
			asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
			asm.Return(),
		}})
	if ve := new(ebpf.VerifierError); errors.As(err, &ve) && strings.Contains(fmt.Sprintf("%+v", ve), "invalid func") {
		return fmt.Errorf("%w: %w", ebpf.ErrNotSupported, err)
	}
	if err != nil {
		return err
	}
	defer p.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	if err := lookupListener(storage, l); !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("before adoption: storage lookup = %w, want %w", err, ebpf.ErrKeyNotExist)
	}
	it, err := link.AttachIter(link.IterOptions{Program: p})
	if err != nil {
		return err
	}
	defer it.Close()
	r, err := it.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.ReadAll(r); err != nil {
		return err
	}
	if err := lookupListener(storage, l); err != nil {
		return fmt.Errorf("after adoption: storage lookup: %w", err)
	}
	return nil
}

// lookupListener asks whether the listener has a row; user space names a
// socket of a storage map by its file descriptor.
func lookupListener(storage *ebpf.Map, l net.Listener) error {
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return err
	}
	var lookup error
	err = raw.Control(func(fd uintptr) {
		var value uint32
		lookup = storage.Lookup(uint32(fd), &value)
	})
	return errors.Join(err, lookup)
}

// offsetOf returns a member's offset in bytes in the running kernel.
func offsetOf(structName, member string) (uint32, error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return 0, err
	}
	var s *btf.Struct
	if err := spec.TypeByName(structName, &s); err != nil {
		return 0, err
	}
	for _, m := range s.Members {
		if m.Name == member {
			return m.Offset.Bytes(), nil
		}
	}
	return 0, fmt.Errorf("struct %s has no member %s", structName, member)
}

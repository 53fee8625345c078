package feature

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
)

// The programs that the probes load. They are assembled here and not compiled
// from C so that nothing but the question itself can be refused. All are
// "GPL": the kernel keeps some helpers from other licences.

// returns is the smallest program: it returns value.
func returns(value int32) asm.Instructions {
	return asm.Instructions{asm.Mov.Imm(asm.R0, value), asm.Return()}
}

// load loads a program without CO-RE relocations or maps of its own.
func load(spec ebpf.ProgramSpec) (*ebpf.Program, error) {
	spec.License = "GPL"
	if spec.Name == "" {
		spec.Name = "seer_probe"
	}
	prog, err := ebpf.NewProgram(&spec)
	return prog, err // names itself: "load program: ..."
}

// tracing loads a program of the fexit, tp_btf and iterator family.
func tracing(at ebpf.AttachType, to string, body asm.Instructions) (*ebpf.Program, error) {
	return load(ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: at, AttachTo: to, Instructions: body})
}

// tryTracing loads and attaches a tp_btf or fexit program and takes it off
// again.
func tryTracing(at ebpf.AttachType, to string, body asm.Instructions) error {
	prog, err := tracing(at, to, body)
	if err != nil {
		return err
	}
	defer prog.Close()
	hook, err := link.AttachTracing(link.TracingOptions{Program: prog, AttachType: at})
	if err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	return hook.Close()
}

// kprobePMU exists where the kernel has kprobes (since Linux 4.17).
const kprobePMU = "sys/bus/event_source/devices/kprobe"

// tryKretprobe attaches an empty kretprobe to symbol and takes it off again.
// Without the PMU it does not try: the library would fall back to writing
// probe definitions into tracefs, which other tools would see.
func tryKretprobe(h *host, symbol string) error {
	if _, err := os.Stat(h.path(kprobePMU)); err != nil {
		if !exists(h.path("sys/bus/event_source")) {
			return fmt.Errorf("%w: sysfs is not mounted", errNoAnswer)
		}
		return fmt.Errorf("this kernel has no kprobes: %w", err)
	}
	prog, err := load(ebpf.ProgramSpec{Type: ebpf.Kprobe, Instructions: returns(0)})
	if err != nil {
		return err
	}
	defer prog.Close()
	hook, err := link.Kretprobe(symbol, prog, nil)
	if err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	return hook.Close()
}

// tryIterator runs an iterator over everything it has. The programs write
// nothing, so one read visits all objects, of which the kernel stops after a
// million.
func tryIterator(kind string, over *ebpf.Map, body asm.Instructions) error {
	prog, err := tracing(ebpf.AttachTraceIter, kind, body)
	if err != nil {
		return err
	}
	defer prog.Close()
	iter, err := link.AttachIter(link.IterOptions{Program: prog, Map: over})
	if err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	defer iter.Close()
	reader, err := iter.Open()
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer reader.Close()
	if _, err := reader.Read(make([]byte, 64)); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read: %w", err)
	}
	return nil
}

// newSocketStorage creates a map that hangs 4 bytes on sockets. Socket storage
// must describe its key and value with BTF.
func newSocketStorage() (*ebpf.Map, error) {
	number := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	storage, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "seer_probe", Type: ebpf.SkStorage, KeySize: 4, ValueSize: 4, Flags: noPrealloc,
		Key: number, Value: number,
	})
	if err != nil {
		return nil, fmt.Errorf("create socket storage: %w", err)
	}
	return storage, nil
}

// noPrealloc is BPF_F_NO_PREALLOC (include/uapi/linux/bpf.h), which every
// local storage map must set.
const noPrealloc = 1

// storageOf looks up, without creating it, the storage of the socket in r2.
func storageOf(storage *ebpf.Map) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, storage.FD()),
		asm.Mov.Imm(asm.R3, 0),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnSkStorageGet.Call(),
	}
}

// fileSocket puts the socket of an iter/task_file's file in r0 (struct socket),
// or ends the program at "out".
func fileSocket(types *btf.Spec) (asm.Instructions, error) {
	file, err := offsetOf(types, "bpf_iter__task_file", "file")
	if err != nil {
		return nil, err
	}
	return asm.Instructions{
		asm.LoadMem(asm.R1, asm.R1, int16(file), asm.DWord),
		asm.JEq.Imm(asm.R1, 0, "out"), // the call after the last file
		asm.FnSockFromFile.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"), // not a socket
	}, nil
}

// out ends a program that has jumps to "out".
func out() asm.Instructions {
	end := returns(0)
	end[0] = end[0].WithSymbol("out")
	return end
}

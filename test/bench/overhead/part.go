//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"seer/bpf"
)

// requestHooks are the tracepoints, and the programs on them, that exact mode
// adds to every receive and send.
var requestHooks = []struct{ tracepoint, program string }{
	{"sock_recv_length", "request_receive"},
	{"sock_send_length", "request_send"},
}

// part is a program that does one of the things that a request hook does, to
// tell what each costs.
type part struct {
	name string
	does func(*partMaps) asm.Instructions // on an event, its context in R6
}

// parts begins with the program that does nothing: what the kernel's statistics
// show for it is their own cost, a reading of the clock before and after.
var parts = []part{
	{"empty", func(*partMaps) asm.Instructions { return nil }},
	{"clock", func(*partMaps) asm.Instructions {
		return asm.Instructions{asm.FnKtimeGetNs.Call()}
	}},
	{"storage", func(m *partMaps) asm.Instructions {
		return asm.Instructions{
			asm.LoadMapPtr(asm.R1, m.sockets.FD()),
			asm.LoadMem(asm.R2, asm.R6, 0, asm.DWord), // the struct sock
			asm.Mov.Imm(asm.R3, 0),
			asm.Mov.Imm(asm.R4, 1), // BPF_SK_STORAGE_GET_F_CREATE
			asm.FnSkStorageGet.Call(),
		}
	}},
	{"counters", func(m *partMaps) asm.Instructions {
		return asm.Instructions{
			asm.StoreImm(asm.RFP, -4, 0, asm.Word),
			asm.LoadMapPtr(asm.R1, m.counters.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -4),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "out"),
			asm.Mov.Imm(asm.R1, 1),
			asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0),
			asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 8),
		}
	}},
}

// newPartArm is a part on every request hook. Its programs have the names of
// Seer's own.
func newPartArm(p part, m *partMaps) *arm {
	var held []io.Closer
	off := func() error {
		var err error
		for _, c := range held {
			err = errors.Join(err, c.Close())
		}
		held = nil
		return err
	}
	on := func() error {
		for _, hook := range requestHooks {
			code := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
			code = append(code, p.does(m)...)
			code = append(code, asm.Mov.Imm(asm.R0, 0).WithSymbol("out"), asm.Return())
			program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
				Name: hook.program, Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp,
				AttachTo: hook.tracepoint, Instructions: code, License: "Dual BSD/GPL",
			})
			if err != nil {
				return errors.Join(fmt.Errorf("load %s: %w", p.name, err), off())
			}
			held = append(held, program)
			l, err := link.AttachTracing(link.TracingOptions{Program: program})
			if err != nil {
				return errors.Join(fmt.Errorf("attach %s to %s: %w", p.name, hook.tracepoint, err), off())
			}
			held = append(held, l)
		}
		return nil
	}
	self := func() []int { return []int{os.Getpid()} }
	return &arm{name: p.name, on: on, off: off, stop: func() {}, pids: self}
}

// partMaps are what the parts work on: Seer's own kind of socket storage, and a
// row of counters.
type partMaps struct{ sockets, counters *ebpf.Map }

func newPartMaps() (*partMaps, error) {
	spec, err := bpf.LoadSocket()
	if err != nil {
		return nil, err
	}
	sockets, err := ebpf.NewMap(spec.Maps["sockets"])
	if err != nil {
		return nil, fmt.Errorf("socket storage: %w", err)
	}
	counters, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 64, MaxEntries: 1})
	if err != nil {
		sockets.Close()
		return nil, fmt.Errorf("counters: %w", err)
	}
	return &partMaps{sockets, counters}, nil
}

func (m *partMaps) close() {
	m.sockets.Close()
	m.counters.Close()
}

//go:build linux

package bpf

import (
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/rlimit"
)

// kernelTypes are read once: an emulated processor takes seconds.
var kernelTypes = btf.NewCache()

// loadTest loads test programs for the duration of one test. Programs that Go
// can run by hand need Linux 5.14; Seer itself does not.
func loadTest(t *testing.T, spec *ebpf.CollectionSpec, err error, objects any) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	if err := features.HaveProgramType(ebpf.Syscall); errors.Is(err, ebpf.ErrNotSupported) {
		t.Skip("needs Linux 5.14 to run helpers by hand:", err)
	} else if err != nil {
		t.Fatal(err)
	}
	if err := spec.LoadAndAssign(objects, &ebpf.CollectionOptions{Cache: kernelTypes}); err != nil {
		var refused *ebpf.VerifierError
		if errors.As(err, &refused) {
			// A program run by hand may sleep, Seer's own never do.
			if strings.Contains(refused.Error(), "Sleepable programs can only use") {
				t.Skip("needs a kernel whose sleepable programs may use stacks and per-CPU maps:", refused)
			}
			t.Fatalf("%+v", refused)
		}
		t.Fatal(err)
	}
}

// call sets an argument, runs a program and reads the argument back.
func call[T any](t *testing.T, p *ebpf.Program, v *ebpf.Variable, args *T) (result int32) {
	t.Helper()
	if err := v.Set(args); err != nil {
		t.Fatal(err)
	}
	result = run(t, p)
	if err := v.Get(args); err != nil {
		t.Fatal(err)
	}
	return result
}

func run(t *testing.T, p *ebpf.Program) int32 {
	t.Helper()
	result, err := p.Run(&ebpf.RunOptions{})
	if err != nil {
		t.Fatalf("run %v: %v", p, err)
	}
	return int32(result)
}

//go:build linux

package lab

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"testing"
)

// envWorkload names the workload that a re-executed binary is to be.
const envWorkload = "SEER_LAB_WORKLOAD"

// Workload is what a child process does: it reads commands from w until w is
// closed. An error ends the process and reaches the parent's next call.
type Workload func(w *Worker) error

// workloads are the programs every lab binary contains.
var workloads = map[string]Workload{
	"sockets": socketsWorkload,
	"spin":    spinWorkload,
	"direct":  directWorkload,
	"service": serviceWorkload,
	"load":    loadWorkload,
}

// TB is the part of testing.TB that the lab needs, so that benchmark programs
// can use it too (Program).
type TB interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
	Context() context.Context
}

// Main is the body of a TestMain. In a child process it runs the workload
// that the parent asked for, one of the lab's or of more, and never returns;
// else it sweeps what dead runs left, runs the tests and exits.
func Main(m *testing.M, more map[string]Workload) {
	runChild(more)
	Sweep()
	os.Exit(m.Run())
}

// Program is the body of a benchmark's main function: as Main, but it runs f
// once. Cleanups run last in first out when f returns, fails or panics.
// It returns the exit status.
func Program(ctx context.Context, more map[string]Workload, f func(TB)) int {
	runChild(more)
	Sweep()
	p := &program{ctx: ctx, log: os.Stderr}
	p.run(f)
	if p.failed {
		return 1
	}
	return 0
}

// runChild becomes the workload named in the environment, if one is.
func runChild(more map[string]Workload) {
	name := os.Getenv(envWorkload)
	if name == "" {
		return
	}
	run := workloads[name]
	if f, ok := more[name]; ok {
		run = f
	}
	if run == nil {
		fmt.Fprintf(os.Stderr, "lab: no workload %q in this binary\n", name)
		os.Exit(2)
	}
	if err := run(newWorker()); err != nil {
		fmt.Fprintf(os.Stderr, "lab: workload %s: %v\n", name, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// program is the TB of a Program.
type program struct {
	ctx      context.Context
	log      io.Writer
	failed   bool
	cleanups []func()
}

// errAbort unwinds a program after Fatalf.
type errAbort struct{}

func (p *program) run(f func(TB)) {
	ctx, cancel := context.WithCancel(p.ctx)
	p.ctx = ctx
	defer func() {
		if r := recover(); r != nil {
			p.failed = true
			if _, ok := r.(errAbort); !ok {
				fmt.Fprintf(p.log, "panic: %v\n%s", r, debug.Stack())
			}
		}
		cancel()
		for len(p.cleanups) > 0 {
			last := p.cleanups[len(p.cleanups)-1]
			p.cleanups = p.cleanups[:len(p.cleanups)-1]
			last()
		}
	}()
	f(p)
}

func (p *program) Helper()                   {}
func (p *program) Context() context.Context  { return p.ctx }
func (p *program) Cleanup(f func())          { p.cleanups = append(p.cleanups, f) }
func (p *program) Logf(s string, a ...any)   { fmt.Fprintf(p.log, s+"\n", a...) }
func (p *program) Errorf(s string, a ...any) { p.failed = true; p.Logf(s, a...) }
func (p *program) Fatalf(s string, a ...any) { p.Errorf(s, a...); panic(errAbort{}) }

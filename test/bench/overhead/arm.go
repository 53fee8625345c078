//go:build linux

package main

import (
	"errors"
	"fmt"
	"os/exec"

	"seer/test/lab"
)

// arm is what a block toggles.
type arm struct {
	name string
	// What of the arm runs in all slices of its blocks, on or off; nil: nothing.
	begin, end func() error

	on, off func() error
	stop    func()
	pids    func() []int // processes that hold the arm's programs
}

// newArm starts what can be switched on and off. An error says why this host
// does not have the arm.
func newArm(t lab.TB, name string) (*arm, error) {
	switch name {
	case "control":
		nothing := func() error { return nil }
		return &arm{name: name, on: nothing, off: nothing, stop: func() {}, pids: func() []int { return nil }}, nil
	case "passive":
		return newProcessArm(t, name, "tracer", tracerConfig{}), nil
	case "exact":
		// The budget would turn the request hooks off: here their cost is what
		// is measured.
		return newProcessArm(t, name, "tracer", tracerConfig{Exact: true, Budget: 1}), nil
	case "counting":
		return newCountingArm(t), nil
	case "bpftrace":
		if _, err := exec.LookPath("bpftrace"); err != nil {
			return nil, fmt.Errorf("the peer is not installed: %w", err)
		}
		return newProcessArm(t, name, "bpftrace", nil), nil
	}
	return nil, fmt.Errorf("no such arm, give control, passive, exact, counting or bpftrace")
}

// newProcessArm is an arm that a child process is told to switch on and off.
func newProcessArm(t lab.TB, name, workload string, cfg any) *arm {
	c := lab.NewContainer(t, name, lab.Options{})
	p := c.Start(workload, nil)
	return &arm{
		name: name,
		on:   func() error { return p.TryCall("on", cfg, nil) },
		off:  func() error { return p.TryCall("off", nil, nil) },
		stop: p.Stop,
		pids: c.PIDs,
	}
}

// newCountingArm is exact mode in a tracer that runs anyhow: what is toggled is
// whether requests are counted.
func newCountingArm(t lab.TB) *arm {
	c := lab.NewContainer(t, "counting", lab.Options{})
	p := c.Start("tracer", nil)
	return &arm{
		name:  "counting",
		begin: func() error { return p.TryCall("on", tracerConfig{Budget: 1}, nil) },
		end:   func() error { return p.TryCall("off", nil, nil) },
		on:    func() error { return p.TryCall("count", true, nil) },
		off:   func() error { return p.TryCall("count", false, nil) },
		stop:  p.Stop,
		pids:  c.PIDs,
	}
}

// try switches the arm on and off once.
func (a *arm) try() error {
	return a.around(func() error {
		if err := a.on(); err != nil {
			return fmt.Errorf("switch on: %w", err)
		}
		if err := a.off(); err != nil {
			return fmt.Errorf("switch off: %w", err)
		}
		return nil
	})
}

// around does something while that of the arm runs that always does.
func (a *arm) around(do func() error) error {
	if a.begin == nil {
		return do()
	}
	if err := a.begin(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return errors.Join(do(), a.end())
}

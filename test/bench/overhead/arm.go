//go:build linux

package main

import (
	"fmt"
	"os/exec"

	"seer/test/lab"
)

// arm is what a block toggles.
type arm struct {
	on, off func()
}

func newArm(t lab.TB, name string) (arm, error) {
	nothing := func() {}
	switch name {
	case "control":
		return arm{nothing, nothing}, nil
	case "passive", "exact":
		p := lab.NewContainer(t, "tracer", lab.Options{}).Start("tracer", nil)
		cfg := tracerConfig{}
		if name == "exact" {
			// The budget would turn the request hooks off: here their cost is
			// what is measured.
			cfg = tracerConfig{Exact: true, Budget: 1}
		}
		return arm{
			on:  func() { p.Call("on", cfg, nil) },
			off: func() { p.Call("off", nil, nil) },
		}, nil
	case "bpftrace":
		if _, err := exec.LookPath("bpftrace"); err != nil {
			return arm{}, fmt.Errorf("the peer is not installed: %w", err)
		}
		p := lab.NewContainer(t, "bpftrace", lab.Options{}).Start("bpftrace", nil)
		return arm{
			on:  func() { p.Call("on", nil, nil) },
			off: func() { p.Call("off", nil, nil) },
		}, nil
	}
	return arm{}, fmt.Errorf("no such arm, give control, passive, exact or bpftrace")
}

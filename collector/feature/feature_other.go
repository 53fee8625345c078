//go:build !linux

package feature

import (
	"context"
	"runtime"
)

// Probe reports that Seer traces nothing on this operating system.
func Probe(context.Context, Options) (*Report, error) {
	r := &Report{Schema: 1, Object: "feature", Arch: runtime.GOARCH, Items: []Item{}}
	r.Items = append(r.Items, Item{Group: GroupKernel, Name: "linux", Verdict: Missing, Required: true,
		Reason: "this is " + runtime.GOOS, Queues: queueNames,
		Advice: "trace on Linux; training, evaluation and reports work here"})
	r.conclude()
	return r, nil
}

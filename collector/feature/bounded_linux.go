package feature

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// probeTimeout bounds one probe. The slowest takes some 30 ms on an idle
// machine (waiting for the kernel to let go of a tracepoint).
const probeTimeout = 5 * time.Second

// errNoAnswer marks a probe that did not come to an end. It says nothing about
// the kernel.
var errNoAnswer = errors.New("no answer")

// bounded runs probe and returns its error, or one that wraps errNoAnswer if
// it panics, runs for longer than timeout or ctx ends first.
//
// A system call that the kernel does not return from cannot be abandoned, only
// left behind: then the goroutine stays until it returns, closes what it
// opened and ends. That is the one goroutine the package can leave.
func bounded(ctx context.Context, timeout time.Duration, probe func() error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	done := make(chan error, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil {
				done <- fmt.Errorf("%w: the probe panicked: %v", errNoAnswer, v)
			}
		}()
		done <- probe()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errNoAnswer, ctx.Err())
	}
}

// verdicts remembers what the kernel answered. Unknown is never kept: the next
// caller may hold the privilege, or find the machine less busy.
type verdicts struct {
	mu    sync.Mutex
	known map[string]finding
}

// finding is a verdict with its reason.
type finding struct {
	verdict Verdict
	reason  string
}

// kernelVerdicts holds the answers of this boot's kernel, for the life of the
// process.
var kernelVerdicts verdicts

// get returns the finding kept for name, or asks for it. Two callers may ask
// at once; the probes leave nothing behind, so both answers hold.
func (v *verdicts) get(name string, ask func() finding) finding {
	v.mu.Lock()
	found, ok := v.known[name]
	v.mu.Unlock()
	if ok {
		return found
	}
	found = ask()
	if found.verdict != Unknown {
		v.mu.Lock()
		if v.known == nil {
			v.known = make(map[string]finding)
		}
		v.known[name] = found
		v.mu.Unlock()
	}
	return found
}

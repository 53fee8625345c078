//go:build linux

package main

import (
	"fmt"
	"os"
	"time"
)

// progressEvery is how often progress is shown.
const progressEvery = 10 * time.Second

// progress tells whoever waits how long it will take, on standard error.
type progress struct {
	start, shown time.Time
	done, total  int // blocks
}

// step counts one block, of what.
func (p *progress) step(what string) {
	now := time.Now()
	p.done++
	if now.Sub(p.shown) < progressEvery && p.done < p.total {
		return
	}
	p.shown = now
	left := time.Duration(float64(now.Sub(p.start)) / float64(p.done) * float64(p.total-p.done))
	fmt.Fprintf(os.Stderr, "%s: block %d of %d, %v left\n", what, p.done, p.total, left.Round(time.Second))
}

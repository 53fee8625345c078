package main

import (
	"fmt"
	"io"
	"time"
)

// progress says on a terminal how far a long command has come, and how much time is
// left; elsewhere, a line per step. It may be used from one goroutine at a time.
type progress struct {
	w        io.Writer
	terminal bool
	what     string
	begin    time.Time
	next     time.Time
}

func newProgress(w io.Writer) *progress { return &progress{w: w, terminal: isTerminal(w)} }

// step begins a part of the work, whose share the returned function takes.
func (p *progress) step(format string, args ...any) func(share float64) {
	p.what, p.begin, p.next = fmt.Sprintf(format, args...), time.Now(), time.Time{}
	if !p.terminal {
		fmt.Fprintln(p.w, p.what)
		return nil
	}
	p.show(0)
	return p.show
}

func (p *progress) show(share float64) {
	now := time.Now()
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(200 * time.Millisecond)
	left := ""
	if spent := now.Sub(p.begin); share > 0.02 && spent > time.Second {
		left = fmt.Sprintf(", %v left", time.Duration(float64(spent)*(1/share-1)).Round(time.Second))
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s: %.0f %%%s", p.what, 100*share, left)
}

// end leaves the cursor on an empty line.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

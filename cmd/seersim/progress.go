package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// progress shows how far a simulation has come: on a terminal a line that is
// written again, elsewhere a line every ten seconds.
type progress struct {
	w        io.Writer
	total    time.Duration
	begin    time.Time
	next     time.Time
	terminal bool
	shown    bool
}

func newProgress(w io.Writer, total time.Duration) *progress {
	file, ok := w.(*os.File)
	now := time.Now()
	return &progress{w: w, total: total, begin: now, next: now.Add(time.Second), terminal: ok && term.IsTerminal(int(file.Fd()))}
}

func (p *progress) elapsed() time.Duration { return time.Since(p.begin) }

func (p *progress) show(done time.Duration) {
	now := time.Now()
	if now.Before(p.next) {
		return
	}
	spent := now.Sub(p.begin)
	left := time.Duration(float64(spent) / float64(done) * float64(p.total-done))
	begin, end, pause := "", "\n", 10*time.Second
	if p.terminal {
		begin, end, pause = "\r\x1b[K", "", 200*time.Millisecond
	}
	fmt.Fprintf(p.w, "%s%v of %v simulated (%d %%), %v left%s", begin, done, p.total, done*100/p.total, left.Round(time.Second), end)
	p.next = now.Add(pause)
	p.shown = true
}

// end leaves the cursor at the beginning of an empty line.
func (p *progress) end() {
	if p.terminal && p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

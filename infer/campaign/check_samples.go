package campaign

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"seer/collector"
	"seer/collector/tracedb"
)

// lateMS is how long a tick of the testbed may be late before it counts as a
// gap: a busy host delays samples, and the collector does not make up for a
// tick that it missed. The simulator is never late.
const lateMS = 1000

// series is what the check remembers of a container.
type series struct {
	frames  int
	startNS int64 // of the first tick
	endNS   int64 // of the last tick so far
}

func (c *checker) checkSamples() {
	m := &c.dir.Manifest
	bad := func(offset int64, format string, args ...any) {
		c.add(Problem{File: samplesFile, Offset: offset, Text: fmt.Sprintf(format, args...)})
	}
	f, err := os.Open(c.dir.path(samplesFile))
	if err != nil {
		bad(0, "%v", reason(err))
		return
	}
	defer f.Close()
	fr, err := newFrameReader(samplesFile, f, samplesMagic)
	if err != nil {
		bad(0, "%v", err)
		return
	}
	all := make([]series, len(m.Containers))
	check := chunkCheck{measured: make(map[collector.Queue]bool)}
	for _, q := range m.queues() {
		check.measured[q] = true
	}
	for {
		var fm frame
		if err := fr.next(&fm); errors.Is(err, io.EOF) {
			break
		} else if errors.Is(err, ErrCorrupt) {
			c.add(Problem{File: samplesFile, Offset: fr.offset, Text: "damaged or cut off: what follows cannot be read"})
			return
		} else if err != nil {
			bad(fr.offset, "%v", err)
			return
		}
		if int(fm.index) >= len(all) {
			bad(fm.offset, "container %d: the manifest has %d", fm.index, len(all))
			continue
		}
		name := m.Containers[fm.index].Name
		if err := check.open(&fm); err != nil {
			bad(fm.offset, "container %q: %v", name, err)
			continue
		}
		s := &all[fm.index]
		s.frames++
		for i, start := range check.block.Start {
			if s.frames == 1 && i == 0 {
				s.startNS, s.endNS = start, start
			}
			if p := c.tickProblem(s, start, check.block.End[i], m.Containers[fm.index].Service != ""); p != "" {
				bad(fm.offset, "container %q: %s", name, p)
			}
			s.endNS = check.block.End[i]
		}
	}
	for i := range all {
		c.checkSpan(m.Containers[i], &all[i])
	}
}

// tickProblem tells what is wrong with a tick after the one before.
func (c *checker) tickProblem(s *series, start, end int64, mustRun bool) string {
	m := &c.dir.Manifest
	tick := m.TickMS * int64(time.Millisecond)
	gap := start - s.endNS
	allowed := lateMS * int64(time.Millisecond)
	if m.Source == SourceSimulator {
		allowed = 0
	}
	switch {
	case start < 0 || end > (m.DurationMS+m.TickMS+lateMS)*int64(time.Millisecond):
		return fmt.Sprintf("tick at %d ns: outside the campaign", start)
	case gap < 0:
		return fmt.Sprintf("tick at %d ns: the one before ended at %d ns", start, s.endNS)
	case gap > allowed && mustRun && !c.interrupted(s.endNS/1e6, start/1e6+1):
		return fmt.Sprintf("no samples from %d to %d ns", s.endNS, start)
	case m.Source == SourceSimulator && end-start != tick, end-start > tick+allowed:
		return fmt.Sprintf("tick at %d ns has %d ns, not %d", start, end-start, tick)
	}
	return ""
}

// checkSpan holds a container's samples to the time in which it was there.
// Antagonists come and go.
func (c *checker) checkSpan(is Container, s *series) {
	if is.Service == "" {
		return
	}
	if s.frames == 0 {
		c.addf(samplesFile, 0, "container %q has no samples", is.Name)
		return
	}
	from, to := c.dir.lifeMS(is)
	if !c.dir.Manifest.Complete {
		to = 0
	}
	first, last := s.startNS/1e6, s.endNS/1e6
	if first > from+lateMS && !c.interrupted(from, first) || last < to-lateMS && !c.interrupted(last, to) {
		c.addf(samplesFile, 0, "container %q has samples from %d to %d ms, and was there from %d to %d ms", is.Name, first, last, from, to)
	}
}

// chunkCheck decodes a frame and checks what holds for it alone.
type chunkCheck struct {
	measured map[collector.Queue]bool
	chunk    tracedb.Chunk
	block    tracedb.Block
}

func (c *chunkCheck) open(f *frame) error {
	c.block.Reset()
	if err := c.chunk.Open(f.payload); err != nil {
		return err
	}
	if err := c.chunk.AppendTo(&c.block); err != nil {
		return err
	}
	b := &c.block
	n := b.Len()
	if int(f.count) != n || f.first != b.Start[0] || f.last != b.End[n-1] {
		return fmt.Errorf("the header says %d ticks from %d to %d ns, the chunk has %d from %d to %d",
			f.count, f.first, f.last, n, b.Start[0], b.End[n-1])
	}
	for q := range b.Valid {
		for i, valid := range b.Valid[q] {
			if !valid {
				continue
			}
			queue := collector.Queue(q)
			if !c.measured[queue] {
				return fmt.Errorf("queue %s, which the manifest does not list", queue)
			}
			for s := range b.Values[q] {
				if v := b.Values[q][s][i]; !(v >= 0) || v-v != 0 {
					return fmt.Errorf("%s of %s is %v at %d ns", tracedb.Stat(s), queue, v, b.Start[i])
				}
			}
		}
	}
	return nil
}

package api

import (
	"testing"

	"seer/collector"
)

// A reader keeps what it acquired while ticks go on, and its frame is used
// again once it has let go.
func TestFramesReaderKeepsItsTick(t *testing.T) {
	var fs frames
	if f := fs.acquire(); f != nil {
		t.Fatalf("acquire before the first tick = %v, want nil", f)
	}
	_, tick := shop()
	fs.put(tick)
	held := fs.acquire()
	for range 5 {
		tick = next(tick)
		tick.Rows[0].Sockets = int(tick.Seq)
		fs.put(tick)
	}
	if held.seq != 1 || held.rows[0].Sockets != 151 {
		t.Errorf("held frame has seq %d and %d sockets, want 1 and 151 still", held.seq, held.rows[0].Sockets)
	}
	newest := fs.acquire()
	if newest.seq != 6 || newest.rows[0].Sockets != 6 {
		t.Errorf("newest frame has seq %d and %d sockets, want 6 and 6", newest.seq, newest.rows[0].Sockets)
	}
	fs.release(newest)
	fs.release(held)
	if got := len(fs.free); got != 2 {
		t.Errorf("%d free frames after all readers left, want 2", got)
	}
}

func TestConsumeAllocatesNothing(t *testing.T) {
	src, _ := shop()
	s := New(Config{Source: src, MetricContainers: 30}) // some containers go to ~other
	tick := crowd(50)
	for range 2 * historyTicks {
		s.Consume(next(tick))
	}
	wake, ok := s.streams.join() // a client that never reads must not change it
	if !ok {
		t.Fatal("join: no room for one client")
	}
	defer s.streams.leave(wake)
	if n := testing.AllocsPerRun(3*historyTicks, func() { s.Consume(next(tick)) }); n != 0 {
		t.Errorf("Consume allocates %v times a tick, want 0", n)
	}
}

// With a reader holding each frame, a tick costs one frame and waits for no one.
func TestConsumeDoesNotWaitForReaders(t *testing.T) {
	src, tick := shop()
	s := New(Config{Source: src})
	var held []*frame
	for range 20 {
		s.Consume(next(tick))
		held = append(held, s.frames.acquire())
	}
	for i, f := range held {
		if want := uint64(i + 2); f.seq != want {
			t.Errorf("frame %d has seq %d, want %d", i, f.seq, want)
		}
		s.frames.release(f)
	}
}

func BenchmarkConsume(b *testing.B) {
	src, _ := shop()
	s := New(Config{Source: src})
	const n = 1000
	tick := crowd(n)
	s.Consume(tick)
	b.ReportAllocs()
	for b.Loop() {
		s.Consume(next(tick))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/container")
}

var _ collector.Sink = (*Server)(nil)

package top

import (
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"
)

// manyContainers is a large host.
const manyContainers = 1000

// BenchmarkApply is the cost of one tick of a large host, intervals included.
func BenchmarkApply(b *testing.B) {
	m := newModel(time.Second)
	g := newGenerator(manyContainers, epoch)
	frames := make([]*Frame, 100)
	for i := range frames {
		frames[i] = g.frame()
	}
	next := g.now
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f := frames[i%len(frames)]
		next = next.Add(f.Tick)
		f.Time = next
		m.apply(f)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/manyContainers, "ns/container")
}

// BenchmarkDraw is the cost of one redraw of a large host on a large screen
// after its numbers have changed.
func BenchmarkDraw(b *testing.B) {
	m := newModel(time.Second)
	g := newGenerator(manyContainers, epoch)
	for range 305 {
		m.apply(g.frame())
	}
	screen := tcell.NewSimulationScreen("UTF-8")
	if err := screen.Init(); err != nil {
		b.Fatal(err)
	}
	defer screen.Fini()
	screen.SetSize(200, 60)
	p := painter{palette: newPalette()}
	var frame grid
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		frame.reset(200, 60)
		for _, l := range m.lines[:60] { // as a new interval would
			for q := range l.stats {
				l.stats[q].mean++
			}
		}
		m.draw(&frame, epoch.Add(time.Duration(i)*time.Second))
		p.show(&frame, screen)
	}
}

// BenchmarkStream is one tick of a large host from Seer's encoder over the
// socket to the table: both processes' work together.
func BenchmarkStream(b *testing.B) {
	feed := newServedFeed(b, manyContainers)
	m := newModel(time.Second)
	b.ReportAllocs()
	n := 0
	b.ResetTimer()
	for frame, err := range feed.Frames(b.Context(), time.Nanosecond) {
		if err != nil {
			b.Fatal(err)
		}
		m.apply(frame)
		if n++; n >= b.N {
			break
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/manyContainers, "ns/container")
}

// newServedFeed returns the feed of a server that has a tick ready whenever
// one is asked for.
func newServedFeed(b *testing.B, containers int) Feed {
	b.Helper()
	server := newIdleServer()
	g := newGenerator(containers, time.Now())
	stop, stopped := make(chan struct{}), make(chan struct{})
	f := g.frame()
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				f.Seq++
				f.Time = f.Time.Add(f.Tick)
				server.Consume(tickOf(f))
			}
		}
	}()
	feed, err := NewLocalFeed(server, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		close(stop)
		<-stopped
		if err := feed.Close(); err != nil {
			b.Error(err)
		}
	})
	return feed
}

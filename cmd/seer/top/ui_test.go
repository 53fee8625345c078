package top

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"
)

// session is a ui on a simulated terminal, run by a test.
type session struct {
	t      *testing.T
	screen tcell.SimulationScreen
	drawn  chan string // the text of each drawing
	ended  chan struct{}
	cancel context.CancelFunc
}

// deadline is how long a test waits for a condition.
const deadline = 20 * time.Second

func start(t *testing.T, feed Feed, f *follower) *session {
	t.Helper()
	screen := tcell.NewSimulationScreen("UTF-8")
	if err := screen.Init(); err != nil {
		t.Fatal(err)
	}
	screen.SetSize(100, 20)
	m := newModel(minInterval)
	u := newUI(m, screen, f)
	ctx, cancel := context.WithCancel(context.Background())
	s := &session{t: t, screen: screen, drawn: make(chan string), ended: make(chan struct{}), cancel: cancel}
	u.drawn = func() { s.drawn <- contents(screen) }
	go func() {
		defer close(s.ended)
		u.run(ctx, feed)
	}()
	t.Cleanup(func() {
		s.stop()
		screen.Fini()
	})
	return s
}

// stop ends the session and waits until it has.
func (s *session) stop() {
	s.cancel()
	for {
		select {
		case <-s.drawn:
		case <-s.ended:
			return
		case <-time.After(deadline):
			s.t.Fatal("the terminal does not end when its context does")
		}
	}
}

// waitFor returns once the screen shows text.
func (s *session) waitFor(text string) {
	s.t.Helper()
	limit := time.After(deadline)
	for {
		select {
		case shown := <-s.drawn:
			if strings.Contains(shown, text) {
				return
			}
		case <-s.ended:
			s.t.Fatalf("ended while waiting for %q", text)
		case <-limit:
			s.t.Fatalf("%q never appeared", text)
		}
	}
}

func contents(screen tcell.SimulationScreen) string {
	var b strings.Builder
	cells, w, _ := screen.GetContents()
	for i, c := range cells {
		if i%w == 0 {
			b.WriteByte('\n')
		}
		b.WriteString(string(c.Runes))
	}
	return b.String()
}

func (s *session) press(keys string) {
	for _, r := range keys {
		k := tcell.KeyRune
		switch r {
		case '\r':
			k = tcell.KeyEnter
		case '\x1b':
			k = tcell.KeyEscape
		}
		s.screen.InjectKey(k, r, tcell.ModNone)
	}
}

func (s *session) waitEnd() {
	s.t.Helper()
	for {
		select {
		case <-s.drawn:
		case <-s.ended:
			return
		case <-time.After(deadline):
			s.t.Fatal("the terminal did not end")
		}
	}
}

func noDial(context.Context) (Feed, error) { return nil, errors.New("nobody home") }

func demoFeed(t *testing.T) *testFeed {
	f := &testFeed{generator: newGenerator(12, time.Now()), pace: 20 * time.Millisecond, closed: make(chan struct{}), sockets: testSockets(), edges: testEdges()}
	t.Cleanup(func() {
		select {
		case <-f.closed:
		default:
			t.Error("the feed was not closed")
		}
	})
	return f
}

func TestSession(t *testing.T) {
	s := start(t, demoFeed(t), &follower{dial: noDial, first: firstRetry})
	s.waitFor("12 containers")
	s.press("/redis-1\r")
	s.waitFor("1 of 1 by HOT")
	s.press("\r")
	s.waitFor("container redis-1")
	s.waitFor("block_io             -  failed: attach block_rq_issue")
	s.screen.SetSize(120, 40)
	s.waitFor("[fd00:10:96:0:8a2e:370:7334:1]:6379") // a socket, fetched in the background
	s.press("\x1b ")
	s.waitFor("PAUSED")
	s.screen.SetSize(5, 2)
	s.screen.SetSize(90, 10)
	s.press(" \x1be")
	s.waitFor("└─redis ") // who calls whom, fetched in the background; at the service of the line
	s.press("?")
	s.waitFor("Seer top shows")
	s.press("q")
	s.waitEnd()
}

// TestReconnect breaks the feed, refuses some connections, then lets one in:
// top says what happens, keeps what it showed, and goes on.
func TestReconnect(t *testing.T) {
	first := demoFeed(t)
	first.limit, first.err = 20, errors.New("seer is not running")
	second := demoFeed(t)
	second.generator.containers = second.generator.containers[:9]
	var dials atomic.Int32
	dial := func(context.Context) (Feed, error) {
		if dials.Add(1) < 4 {
			return nil, errors.New("seer is still away")
		}
		return second, nil
	}
	s := start(t, first, &follower{dial: dial, first: 100 * time.Millisecond})
	s.waitFor("12 containers")
	s.waitFor("DISCONNECTED, retry")
	s.waitFor("12 containers") // what was seen last stays
	s.waitFor("seer is still away")
	s.waitFor("9 containers")
	s.waitFor("by HOT") // the keys are back where the error was
	if n := dials.Load(); n != 4 {
		t.Errorf("dialled %d times, want 4", n)
	}
}

// TestEndWhileDisconnected holds that the wait between attempts ends at once.
func TestEndWhileDisconnected(t *testing.T) {
	feed := demoFeed(t)
	feed.limit, feed.err = 1, errors.New("gone")
	s := start(t, feed, &follower{dial: noDial, first: time.Hour})
	s.waitFor("DISCONNECTED")
	s.press("q")
	s.waitEnd()
}

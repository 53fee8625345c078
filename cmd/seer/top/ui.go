package top

import (
	"context"
	"time"

	"github.com/gdamore/tcell/v2"
)

// redrawEvery limits drawing to four times a second; a key draws at once.
const redrawEvery = 250 * time.Millisecond

// askEvery is how often a page asks for what frames do not hold: Seer walks all
// sockets of the host for those of a detail page, and renews its edges as often.
const askEvery = 2 * time.Second

// ui joins a model, a screen and a follower. Its loop is the only goroutine
// that touches the model or draws.
type ui struct {
	model    *model
	screen   tcell.Screen
	painter  painter
	follower *follower
	grid     grid
	asking   bool // a question is open
	asked    question
	askedAt  time.Time
	drawn    func() // called after each drawing, by the loop; nil outside tests
}

func newUI(m *model, screen tcell.Screen, f *follower) *ui {
	m.ascii = !screen.CanDisplay(sparkBlocks[0], false) //nolint:staticcheck // it errs only to plainer pictures
	return &ui{model: m, screen: screen, painter: painter{palette: newPalette()}, follower: f}
}

// run shows feed until a key or ctx ends it. The screen is initialised and
// stays the caller's to finish.
func (u *ui) run(ctx context.Context, feed Feed) {
	ctx, cancel := context.WithCancel(ctx)
	updates := make(chan update)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		u.follower.run(ctx, feed, updates)
	}()
	events := make(chan tcell.Event)
	quit := make(chan struct{})
	listened := make(chan struct{})
	go func() {
		defer close(listened)
		u.screen.ChannelEvents(events, quit)
	}()
	answers := make(chan answer, 1)
	defer func() {
		cancel()
		close(quit)
		<-followed
		<-listened
		if u.asking {
			<-answers
		}
	}()

	redraw := time.NewTicker(redrawEvery)
	defer redraw.Stop()
	changed := true
	second := time.Time{}
	u.draw()
	for {
		select {
		case <-ctx.Done():
			return
		case up := <-updates:
			first := u.model.live.frame == nil
			changed = u.take(up) || changed
			if first {
				u.draw()
			}
		case a := <-answers:
			u.asking = false
			changed = u.model.answered(&a) || changed
		case ev, ok := <-events:
			if !ok || u.event(ev) == commandQuit {
				return
			}
			u.ask(ctx, answers)
			u.draw()
			changed = false
		case now := <-redraw.C:
			u.ask(ctx, answers)
			// The clock and the age of the data move without frames.
			if now = now.Truncate(time.Second); changed || now != second {
				second, changed = now, false
				u.draw()
			}
		}
	}
}

// take applies an update and reports whether the screen is out of date.
func (u *ui) take(up update) bool {
	if up.frame == nil {
		u.model.link.err, u.model.link.attempt, u.model.link.retry = up.err, up.attempt, up.retry
		return true
	}
	reconnected := u.model.link.err != nil
	u.model.link.err, u.model.link.attempt = nil, 0
	return u.model.apply(up.frame) || reconnected
}

// event handles one event of the terminal.
func (u *ui) event(ev tcell.Event) command {
	switch ev := ev.(type) {
	case *tcell.EventResize:
		u.painter.last.w = 0 // the screen may have forgotten some cells
		u.screen.Sync()
	case *tcell.EventKey:
		switch c := u.model.press(ev.Key(), ev.Rune()); c {
		case commandRepaint:
			u.screen.Sync()
		case commandSuspend:
			return u.suspend()
		default:
			return c
		}
	}
	return commandNone
}

// suspend gives the terminal back to the shell until it continues top. A
// terminal that cannot be had again ends it.
func (u *ui) suspend() command {
	if err := u.screen.Suspend(); err != nil {
		return commandNone
	}
	stopSelf()
	if err := u.screen.Resume(); err != nil {
		return commandQuit
	}
	return commandNone
}

// ask asks what the page wants to know when that is old. Only one question is open
// at any time, and a pause asks none a second time.
func (u *ui) ask(ctx context.Context, answers chan<- answer) {
	m := u.model
	q, wanted := m.question()
	if !wanted || u.asking || m.link.err != nil {
		return
	}
	if m.knows(q) && (m.frozen != nil || q == u.asked && time.Since(u.askedAt) < askEvery) {
		return
	}
	u.asking, u.asked, u.askedAt = true, q, time.Now()
	go func() {
		feed, err := u.follower.present()
		if err != nil {
			answers <- answer{to: q, socketsErr: err, edgesErr: err}
			return
		}
		answers <- q.put(ctx, feed)
	}()
}

func (u *ui) draw() {
	w, h := u.screen.Size()
	u.grid.reset(w, h)
	u.model.draw(&u.grid, time.Now())
	u.painter.show(&u.grid, u.screen)
	if u.drawn != nil {
		u.drawn()
	}
}

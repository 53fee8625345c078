package collector

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"seer/collector/container"
)

// standing is what a child holds whose connections stand still.
type standing struct {
	sockets                                    int
	receive, unread, downstream, outstanding   float64
	validReceive, validDownstream, validUnread bool
}

// within reports whether s is want, less at most a share of it.
func (s standing) within(want standing, slack float64) bool {
	near := func(got, want float64) bool { return got <= want && got >= (1-slack)*want }
	return near(float64(s.sockets), float64(want.sockets)) && near(s.receive, want.receive) && near(s.unread, want.unread) &&
		near(s.downstream, want.downstream) && s.outstanding == want.outstanding &&
		s.validReceive && s.validDownstream && s.validUnread
}

// watch is a sink that holds one program's row against what it should be, in
// every tick from the first that shows it.
type watch struct {
	name  string
	want  standing
	slack float64 // of it may be missing

	mu    sync.Mutex
	right int
	last  standing
	wrong []string
}

func (w *watch) Consume(tick *Tick) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range tick.Rows {
		row := &tick.Rows[i]
		if row.Container.Name != w.name {
			continue
		}
		cells := &row.Cells
		w.last = standing{
			sockets: row.Sockets, receive: cells[QueueReceive].Depth, unread: cells[QueueUnreadRequests].Depth,
			downstream: cells[QueueDownstream].Depth, outstanding: cells[QueueOutstanding].Depth,
			validReceive: cells[QueueReceive].Valid, validDownstream: cells[QueueDownstream].Valid, validUnread: cells[QueueUnreadRequests].Valid,
		}
		switch {
		case w.last.within(w.want, w.slack):
			w.right++
		case w.right > 0:
			w.wrong = append(w.wrong, fmt.Sprintf("tick %d: %+v", tick.Seq, w.last))
		}
	}
}

// Whatever the budget makes Seer give up, what stands still reads the same in
// every tick: a socket that is not read counts as it was last read, and a pass
// spread over several ticks does not show through. Only a walk that is left and
// taken up again may miss some, where other sockets of the host were closed in
// between: the kernel then counts its way back to where it was.
func TestDepthsStandAtEveryPace(t *testing.T) {
	const pairs = 400
	want := standing{
		sockets: 2*pairs + 1, receive: pairs * unreadSize, unread: pairs, downstream: pairs,
		validReceive: true, validDownstream: true, validUnread: true,
	}
	tests := []struct {
		name    string
		pace    pace
		longest time.Duration // of a visit; 0: as it is
		slack   float64
	}{
		{"all", pace{PassHz: 100, QuietEvery: 1, SubsetCount: 1}, 0, 0},
		{"quiet", pace{PassHz: 100, QuietEvery: maxQuietEvery, SubsetCount: 1}, 0, 0},
		{"rare", pace{PassHz: 100, QuietEvery: 1, SubsetCount: 8}, 0, 0},
		{"least", pace{PassHz: 35, QuietEvery: maxQuietEvery, SubsetCount: maxSubsetCount}, 0, 0},
		{"cut", pace{PassHz: 100, QuietEvery: 1, SubsetCount: 1}, time.Nanosecond, 0.03},
		{"rarecut", pace{PassHz: 100, QuietEvery: maxQuietEvery, SubsetCount: 8}, time.Nanosecond, 0.03},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := open(t, Config{GroupBy: container.ByProgram, CPUBudget: 1, Tick: 50 * time.Millisecond})
			c.passive = tt.pace // the controller has nothing to change
			c.setPace(tt.pace)
			if tt.longest > 0 {
				c.socket.longest = tt.longest
			}
			name := "stand-" + tt.name
			child(t, name, pairsEnv+"="+strconv.Itoa(pairs))
			w := &watch{name: name, want: want, slack: tt.slack}
			start(t, c, w)
			const ticks = 30
			eventually(t, fmt.Sprintf("%d ticks of %+v", ticks, want), func() (bool, any) {
				w.mu.Lock()
				defer w.mu.Unlock()
				return w.right >= ticks || len(w.wrong) > 0, w.last
			})
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, wrong := range w.wrong {
				t.Errorf("%s, want %+v", wrong, want)
			}
		})
	}
}

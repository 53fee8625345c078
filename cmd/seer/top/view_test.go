package top

import (
	"slices"
	"strings"
	"testing"

	"github.com/gdamore/tcell/v2"
	"github.com/google/go-cmp/cmp"

	"seer/collector"
	"seer/collector/container"
)

// lineup are lines whose order is known.
func lineup() []*track {
	add := func(name string, runq float64, valid bool, score float64) *track {
		t := &track{name: name, hot: -1, history: newSeries()}
		t.stats[collector.QueueRun] = stat{mean: runq, valid: valid, score: score}
		if score > 0 {
			t.hot = int(collector.QueueRun)
		}
		return t
	}
	return []*track{add("b", 2, true, 0.66), add("a", 0, false, 0), add("d", 0, true, 0), add("c", 7, true, 0.87), add("e", 2, true, 0.67)}
}

func TestCompare(t *testing.T) {
	runq, _ := columnByTitle("runq")
	tests := []struct {
		sort    int
		reverse bool
		want    string
	}{
		{columnName, false, "abcde"},
		{columnName, true, "edcba"},
		{runq, false, "cbeda"}, // not measured is last
		{runq, true, "dbeca"},  // and stays last
		{columnHot, false, "cbead"},
		{columnHot, true, "adbec"},
	}
	for _, tt := range tests {
		lines := lineup()
		slices.SortFunc(lines, compare(tt.sort, tt.reverse))
		var got strings.Builder
		for _, l := range lines {
			got.WriteString(l.name)
		}
		if got.String() != tt.want {
			t.Errorf("sorted by %s, reverse %v: %s, want %s", tableColumns[tt.sort].title, tt.reverse, &got, tt.want)
		}
	}
}

func TestMatches(t *testing.T) {
	web := &track{name: "web-7f9c", service: "shop", container: &container.Container{
		Pod: "web-7f9c-xk2", Namespace: "prod", Image: "Nginx:1.27", Unit: "", Runtime: "containerd"}}
	shop := &track{name: "shop", service: "shop", members: []*container.Container{{Name: "web-7f9c", Pod: "web-7f9c-xk2", Namespace: "prod"}}}
	tests := []struct {
		line   *track
		filter string
		want   bool
	}{
		{web, "", true}, {web, "web", true}, {web, "WEB", true}, {web, "shop", true}, {web, "xk2", true}, {web, "nginx", true},
		{web, "containerd", true}, {web, "db", false}, {web, "web db", false}, {web, "web prod", true},
		{web, "!web", false}, {web, "!db", true}, {web, "shop !prod", false}, {web, "!", true},
		{shop, "xk2", true}, {shop, "!7f9c", false},
	}
	for _, tt := range tests {
		if got := matches(tt.line, strings.Fields(strings.ToLower(tt.filter))); got != tt.want {
			t.Errorf("matches(%s, %q) = %v, want %v", tt.line.name, tt.filter, got, tt.want)
		}
	}
}

// TestLayout holds the columns for some widths, and for every width and order
// that they neither overlap nor leave the screen and that the order's column
// is among them where there is any room.
func TestLayout(t *testing.T) {
	titles := func(width int, longest int) string {
		var got []string
		for _, p := range layout(width, columnHot, longest, true) {
			if p.index < 0 {
				got = append(got, "trend")
				continue
			}
			got = append(got, tableColumns[p.index].title)
		}
		return strings.Join(got, " ")
	}
	for _, tt := range []struct {
		width, longest int
		want           string
	}{
		{20, 9, "NAME OUTST"},
		{40, 9, "NAME REQ/s LAT OUTST RUNQ"},
		{80, 9, "NAME REQ/s LAT OUTST DOWNS EPOLL RUNQ ACCPT RECVQ BLKIO trend"},
		{80, 60, "NAME REQ/s LAT OUTST DOWNS EPOLL RUNQ ACCPT RECVQ trend"},
		{120, 15, "NAME SOCKS REQ/s LAT OUTST DOWNS UNRD EPOLL RUNQ ACCPT RECVQ SENDQ BLKIO trend"},
		{200, 30, "NAME HOT SOCKS REQ/s LAT OUTST DOWNS UNRD EPOLL RUNQ ACCPT SYN RECVQ SENDQ NICTX NICRX BLKIO trend"},
	} {
		if got := titles(tt.width, tt.longest); got != tt.want {
			t.Errorf("layout(%d, longest %d) = %q, want %q", tt.width, tt.longest, got, tt.want)
		}
	}
	for width := range 260 {
		for sorted := range tableColumns {
			x, found := 0, sorted <= columnHot || width < minName+6
			for _, p := range layout(width, sorted, width%50, width%2 == 0) {
				if p.x < x || p.w < 0 || p.x+p.w > width {
					t.Fatalf("layout(%d, %d) overlaps or leaves the screen: %+v", width, sorted, p)
				}
				x = p.x + p.w
				found = found || p.index == sorted
			}
			if !found {
				t.Errorf("layout(%d) does not show %s, which it is sorted by", width, tableColumns[sorted].title)
			}
		}
	}
}

func TestKeysAreUnique(t *testing.T) {
	seen := map[rune]string{}
	for _, c := range tableColumns {
		if other, dup := seen[c.key]; dup {
			t.Errorf("key %c sorts by both %s and %s", c.key, other, c.title)
		}
		seen[c.key] = c.title
	}
	queues := map[int]bool{}
	for _, c := range tableColumns {
		queues[c.queue] = true
	}
	for q := range collector.Queues {
		if !queues[q] {
			t.Errorf("queue %s has no column", collector.Queue(q))
		}
	}
}

// TestKeys drives the model with keys and looks at what they left.
func TestKeys(t *testing.T) {
	type state struct {
		Page     page
		Group    grouping
		Sort     string
		Reverse  bool
		Filter   string
		Editing  bool
		Selected string
		Lines    int
		Paused   bool
	}
	first := state{Sort: "HOT", Selected: "compose-post-0", Lines: 40}
	with := func(change func(*state)) state { s := first; change(&s); return s }
	tests := []struct {
		keys string
		want state
	}{
		{"", first},
		{"j", with(func(s *state) { s.Selected = "user-timeline-1" })},
		{"jk", first},
		{"kkk", first},
		{"jN", with(func(s *state) { s.Sort, s.Selected = "NAME", "user-timeline-1" })},
		{"N", with(func(s *state) { s.Sort = "NAME" })},
		{"NN", with(func(s *state) { s.Sort, s.Reverse, s.Selected = "NAME", true, "user-timeline-2" })},
		{">", with(func(s *state) { s.Sort = "SOCKS"; s.Selected = "compose-post-2" })},
		{"><", first},
		{"g", with(func(s *state) { s.Group, s.Selected, s.Lines = byService, "compose-post", 32 })},
		{"gg", first},
		{"/redis", with(func(s *state) { s.Filter, s.Editing, s.Selected, s.Lines = "redis", true, "redis-0", 3 })},
		{"/redis q\r", with(func(s *state) { s.Filter, s.Selected, s.Lines = "redis q", "", 0 })},
		{"/redis\x1b", first},
		{"/redis\r\x1b", first},
		{"/re\x7f\x7f\x7f", first},
		{" ", with(func(s *state) { s.Paused = true })},
		{"  ", first},
		{"\r", with(func(s *state) { s.Page = pageDetail })},
		{"\r\x1b", first},
		{"\rn", with(func(s *state) { s.Page, s.Selected = pageDetail, "user-timeline-1" })},
		{"\rnp", with(func(s *state) { s.Page = pageDetail })},
		{"?", with(func(s *state) { s.Page = pageHelp })},
		{"\r??", with(func(s *state) { s.Page = pageDetail })},
		{"\r?\x1b", with(func(s *state) { s.Page = pageDetail })},
		{"?\x1b", first},
	}
	for _, tt := range tests {
		m, _ := played(t, 40, 305)
		for _, r := range tt.keys {
			switch r {
			case '\r':
				m.press(tcell.KeyEnter, 0)
			case '\x1b':
				m.press(tcell.KeyEscape, 0)
			case '\x7f':
				m.press(tcell.KeyBackspace2, 0)
			default:
				m.press(tcell.KeyRune, r)
			}
		}
		got := state{Page: m.page, Group: m.group, Sort: tableColumns[m.sort].title, Reverse: m.reverse,
			Filter: m.filter, Editing: m.editing, Lines: len(m.lines), Paused: m.frozen != nil}
		if len(m.lines) > 0 {
			got.Selected = m.lines[m.cursor()].name
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("after keys %q (-want +got):\n%s", tt.keys, diff)
		}
	}
}

// TestQuitKeys holds that every page can be left for good, and that q is only
// a letter while a filter is typed.
func TestQuitKeys(t *testing.T) {
	m, _ := played(t, 4, 3)
	for _, m.page = range []page{pageTable, pageDetail, pageHelp, pageCalls} {
		if got := m.press(tcell.KeyRune, 'q'); got != commandQuit {
			t.Errorf("q on page %d does not quit", m.page)
		}
	}
	m.page, m.editing = pageTable, true
	if got := m.press(tcell.KeyRune, 'q'); got == commandQuit || m.filter != "q" {
		t.Errorf("q while typing: command %v, filter %q", got, m.filter)
	}
	if got := m.press(tcell.KeyCtrlC, 0); got != commandQuit {
		t.Error("ctrl-c while typing does not quit")
	}
}

// TestPause holds that what is shown stands still while ticks go on, and that
// nothing is missing from the trend afterwards.
func TestPause(t *testing.T) {
	m := newModel(1e9)
	g := newGenerator(4, epoch)
	feed := func(n int) {
		for range n {
			m.apply(g.frame())
		}
	}
	feed(35)
	m.togglePause()
	before := simulate(t, m, 100, 12, epoch)
	feed(50)
	if diff := cmp.Diff(before, simulate(t, m, 100, 12, epoch)); diff != "" {
		t.Errorf("the screen changed while paused:\n%s", diff)
	}
	m.togglePause()
	l := m.lines[0]
	for slot := m.live.shown - 7; slot <= m.live.shown; slot++ {
		if l.history.at(collector.QueueOutstanding, slot) == unmeasured {
			t.Errorf("the trend has a gap %d s ago", m.live.shown-slot)
		}
	}
}

func TestWrap(t *testing.T) {
	fields := []string{"service web", "12 containers", "web-0", "web-1", "web-2"}
	for _, tt := range []struct {
		width, most int
		want        []string
	}{
		{80, 1, []string{"service web  12 containers  web-0  web-1  web-2"}},
		{30, 3, []string{"service web  12 containers", "web-0  web-1  web-2"}},
		{30, 1, []string{"service w…ntainers  and 3 more"}},
		{12, 9, []string{"service web", "12 con…iners", "web-0  web-1", "web-2"}},
	} {
		got := wrap(fields, tt.width, tt.most, '…')
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("wrap(width %d, %d lines) (-want +got):\n%s", tt.width, tt.most, diff)
		}
		for _, line := range got {
			if len([]rune(line)) > tt.width {
				t.Errorf("wrap(width %d) = %q, too wide", tt.width, line)
			}
		}
	}
}

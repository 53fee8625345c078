package top

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"seer/collector"
	"seer/collector/api"
)

// page is what the screen shows.
type page uint8

const (
	pageTable page = iota
	pageDetail
	pageHelp
	pageCalls
)

// model is everything the screen depends on. Keys and frames change it
// (keys.go, apply), drawing reads it (draw*.go). It knows no terminal.
type model struct {
	live   *recorder // follows the feed
	frozen *recorder // what is shown while paused, else nil

	page     page
	back     page // where help was opened from
	from     page // where the detail page was opened from
	group    grouping
	sort     int // column
	reverse  bool
	filter   string
	editing  bool // the filter
	trend    collector.Queue
	selected key // zero: the first line, whichever that is
	at       int // where the selected line was seen last
	scroll   int // first visible line of the table
	detail   key // what the detail page shows
	offset   int // first visible line of the detail or help page
	body     int // lines the body had when last drawn, for page up and down

	lines   []*track // shown, filtered and sorted
	longest int      // longest name among them

	sockets    []api.SocketRow // of detail; nil until fetched
	socketsErr error
	peers      []peerCall // of detail; nil until fetched
	peersErr   error

	calls callPage

	link  link
	ascii bool // the terminal has no block characters
	batch bool // printed once as text: no keys, no selected line, no trend
}

// link is the state of the connection to Seer.
type link struct {
	err     error // why it is down, nil when up
	attempt int
	retry   time.Time // of the next attempt
	local   bool      // measured by this process, no Seer is running
}

func newModel(interval time.Duration) *model {
	return &model{live: newRecorder(interval), sort: columnHot, trend: collector.QueueOutstanding}
}

// shown is the recorder that the screen shows.
func (m *model) shown() *recorder {
	if m.frozen != nil {
		return m.frozen
	}
	return m.live
}

// apply takes a frame and reports whether what is shown changed.
func (m *model) apply(f *Frame) bool {
	if !m.live.add(f) || m.frozen != nil {
		return false
	}
	m.arrange()
	return true
}

// togglePause freezes what is shown; the recorder goes on, so that trends have
// no gap afterwards.
func (m *model) togglePause() {
	if m.frozen == nil {
		m.frozen = m.live.clone()
	} else {
		m.frozen = nil
	}
	m.arrange()
}

// arrange filters and sorts the lines.
func (m *model) arrange() {
	terms := strings.Fields(strings.ToLower(m.filter))
	m.lines, m.longest = m.lines[:0], 0
	for _, t := range m.shown().lines[m.group] {
		if !matches(t, terms) {
			continue
		}
		m.lines = append(m.lines, t)
		m.longest = max(m.longest, len([]rune(t.name)))
	}
	slices.SortFunc(m.lines, compare(m.sort, m.reverse))
}

// filtered arranges every page that the filter narrows.
func (m *model) filtered() {
	m.arrange()
	m.arrangeCalls()
}

// matches reports whether every term, in lower case, is part of a name of the
// line: its own, its service, pod, namespace, image, unit, runtime or path. A term
// that begins with ! must not be.
func matches(t *track, terms []string) bool {
	for _, term := range terms {
		want := true
		if rest, not := strings.CutPrefix(term, "!"); not {
			if rest == "" {
				continue
			}
			want, term = false, rest
		}
		if named(t, term) != want {
			return false
		}
	}
	return true
}

func named(t *track, term string) bool {
	has := func(s string) bool { return strings.Contains(strings.ToLower(s), term) }
	if has(t.name) || has(t.service) {
		return true
	}
	if c := t.container; c != nil {
		return has(c.Pod) || has(c.Namespace) || has(c.Image) || has(c.Unit) || has(c.Runtime) || has(c.Path)
	}
	for _, c := range t.members {
		if has(c.Name) || has(c.Pod) || has(c.Namespace) || has(c.Image) || has(c.Path) {
			return true
		}
	}
	return false
}

// compare orders lines by a column: names from a to z, numbers from the
// largest; reverse turns either round. Lines without a value are last either
// way, and ties are broken by name so that lines do not trade places.
func compare(sort int, reverse bool) func(a, b *track) int {
	sign := 1
	if reverse {
		sign = -1
	}
	byName := func(a, b *track) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.key.id, b.key.id))
	}
	switch sort {
	case columnName:
		return func(a, b *track) int { return sign * byName(a, b) }
	case columnHot:
		return func(a, b *track) int {
			return cmp.Or(sign*cmp.Compare(heat(b), heat(a)), byName(a, b))
		}
	}
	value := tableColumns[sort].value
	return func(a, b *track) int {
		va, oka := value(a)
		vb, okb := value(b)
		switch {
		case oka != okb && oka:
			return -1
		case oka != okb:
			return 1
		}
		return cmp.Or(sign*cmp.Compare(vb, va), byName(a, b))
	}
}

// heat ranks lines for the default order in few steps, so that small changes
// of a score do not move them: trouble, worth a look, busy, idle.
func heat(t *track) int {
	switch s := t.score(); {
	case s >= critLevel:
		return 3
	case s >= warnLevel:
		return 2
	}
	for _, mean := range t.history.mean {
		if mean >= 0.05 {
			return 1
		}
	}
	return 0
}

// cursor returns the position of the selected line; when that one is gone,
// the line in its place.
func (m *model) cursor() int {
	if m.selected == (key{}) {
		m.at = 0
		return 0
	}
	for i, t := range m.lines {
		if t.key == m.selected {
			m.at = i
			return i
		}
	}
	return max(0, min(m.at, len(m.lines)-1))
}

// move selects the line n lines further, and stops at the ends.
func (m *model) move(n int) {
	if len(m.lines) == 0 {
		return
	}
	m.selected = m.lines[max(0, min(m.cursor()+n, len(m.lines)-1))].key
}

// find returns the shown line with key k, or nil when it is gone.
func (m *model) find(k key) *track {
	g := byContainer
	if k.id == 0 {
		g = byService
	}
	for _, t := range m.shown().lines[g] {
		if t.key == k {
			return t
		}
	}
	return nil
}

// setSort sorts by a column; the same one again turns the order round.
func (m *model) setSort(i int) {
	if m.sort == i {
		m.reverse = !m.reverse
	} else {
		m.sort, m.reverse = i, false
	}
	m.follow()
}

// follow lets the trend show the queue that is sorted by.
func (m *model) follow() {
	if q := tableColumns[m.sort].queue; q != none {
		m.trend = collector.Queue(q)
	}
	m.arrange()
}

// sortBy sets the order by a column's title, for the command line.
func (m *model) sortBy(title string) error {
	i, ok := columnByTitle(title)
	if !ok {
		return fmt.Errorf("--sort %q: no such column: it is one of %s", title, strings.Join(SortNames(), ", "))
	}
	m.sort = i
	m.follow()
	return nil
}

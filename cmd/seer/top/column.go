package top

import (
	"strings"

	"seer/collector"
)

// none marks a column that is not a queue.
const none = -1

// column is one column of the table. Its cells are width wide, the gap on
// their left included; that gap holds the mark of a contended queue.
type column struct {
	title    string
	key      rune // sorts by it
	width    int
	priority int // the lowest are shown first when room is short
	queue    int // the queue it shows and that may be contended, or none
	help     string
	text     func(*track) string
	value    func(*track) (float64, bool) // to sort by; false is "no value"
}

// The columns that the layout treats specially, by position in tableColumns.
const (
	columnName = 0
	columnHot  = 1
)

// queueColumns are the queues' columns from left to right: the application's
// queues, the CPU, the network from listener to device, storage.
var queueColumns = []struct {
	queue    collector.Queue
	title    string
	key      rune
	priority int
}{

	{collector.QueueOutstanding, "OUTST", 'O', 1},
	{collector.QueueDownstream, "DOWNS", 'D', 7},
	{collector.QueueUnreadRequests, "UNRD", 'U', 12},
	{collector.QueueEpollReady, "EPOLL", 'E', 6},
	{collector.QueueRun, "RUNQ", 'R', 2},
	{collector.QueueAcceptBacklog, "ACCPT", 'A', 5},
	{collector.QueueSYN, "SYN", 'Y', 13},
	{collector.QueueReceive, "RECVQ", 'V', 8},
	{collector.QueueSend, "SENDQ", 'S', 10},
	{collector.QueueNICTx, "NICTX", 'T', 15},
	{collector.QueueNICRx, "NICRX", 'X', 16},
	{collector.QueueBlockIO, "BLKIO", 'B', 9},
}

// tableColumns lists every column from left to right.
var tableColumns = buildColumns()

func buildColumns() []column {
	rate := func(q collector.Queue) func(*track) (float64, bool) {
		return func(t *track) (float64, bool) { return t.stats[q].out, t.stats[q].valid }
	}
	wait := func(t *track) (float64, bool) {
		s := &t.stats[collector.QueueOutstanding]
		return s.wait.Seconds(), s.valid && s.wait > 0
	}
	cols := []column{
		columnName: {title: "NAME", key: 'N', width: minName, priority: 0, queue: none, help: "container or service"},
		columnHot: {title: "HOT", key: 'H', width: 12, priority: 14, queue: none,
			help:  "the most contended queue and how much: see !12",
			text:  hotText,
			value: func(t *track) (float64, bool) { return t.score(), true }},
		{title: "SOCKS", key: 'K', width: 6, priority: 11, queue: none,
			help:  "sockets tracked, listeners included",
			text:  func(t *track) string { return count(t.sockets) },
			value: func(t *track) (float64, bool) { return float64(t.sockets), true }},
		{title: "REQ/s", key: 'P', width: 6, priority: 4, queue: none,
			help: "requests answered per second",
			text: func(t *track) string {
				s := &t.stats[collector.QueueOutstanding]
				return measured(s, amount(s.out))
			},
			value: rate(collector.QueueOutstanding)},
		{title: "LAT", key: 'L', width: 6, priority: 3, queue: none,
			help:  "mean time from request to answer inside the service",
			text:  servedText,
			value: wait},
	}
	for _, q := range queueColumns {
		cols = append(cols, column{title: q.title, key: q.key, width: 6, priority: q.priority, queue: int(q.queue),
			text:  func(t *track) string { s := &t.stats[q.queue]; return measured(s, amount(s.mean)) },
			value: func(t *track) (float64, bool) { return t.stats[q.queue].mean, t.stats[q.queue].valid }})
	}
	return cols
}

// measured returns text, marked as a lower bound where some containers of a
// service were not measured, and "-" where none was.
func measured(s *stat, text string) string {
	switch {
	case !s.valid:
		return "-"
	case s.partial:
		return text + "+"
	}
	return text
}

func hotText(t *track) string {
	if t.hot < 0 {
		return ""
	}
	return queueTitle(collector.Queue(t.hot)) + " " + occupied(t.score())
}

// queueTitle returns the heading of q's column.
func queueTitle(q collector.Queue) string {
	for i := range queueColumns {
		if queueColumns[i].queue == q {
			return queueColumns[i].title
		}
	}
	return q.String()
}

// SortNames lists the columns that --sort accepts.
func SortNames() []string {
	names := make([]string, len(tableColumns))
	for i := range tableColumns {
		names[i] = strings.ToLower(tableColumns[i].title)
	}
	return names
}

// columnByTitle finds a column as the command line names it, in any case.
func columnByTitle(title string) (int, bool) {
	for i := range tableColumns {
		if strings.EqualFold(tableColumns[i].title, title) {
			return i, true
		}
	}
	return 0, false
}

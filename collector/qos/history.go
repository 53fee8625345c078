package qos

import (
	"math"
	"time"

	"seer/collector"
)

// Signal is one of the numbers that speak for or against a service.
type Signal int

// The signals, each summed over the containers of a service.
const (
	SignalOutstanding Signal = iota // requests, mean depth
	SignalDownstream                // requests, mean depth
	SignalUnread                    // requests delivered and not read, mean depth
	SignalBacklog                   // connections on their way: SYN queue and accept backlog
	SignalSend                      // bytes written, not acknowledged
	SignalNICTx                     // bytes below TCP
	SignalRun                       // threads waiting for a CPU
	SignalBlockIO                   // block requests issued, not completed
	SignalArrived                   // requests per second
	SignalAnswered                  // requests per second

	numSignals = iota
)

// queuesOf are the queues that make up a signal.
var queuesOf = [numSignals][]collector.Queue{
	SignalOutstanding: {collector.QueueOutstanding},
	SignalDownstream:  {collector.QueueDownstream},
	SignalUnread:      {collector.QueueUnreadRequests},
	SignalBacklog:     {collector.QueueSYN, collector.QueueAcceptBacklog},
	SignalSend:        {collector.QueueSend},
	SignalNICTx:       {collector.QueueNICTx},
	SignalRun:         {collector.QueueRun},
	SignalBlockIO:     {collector.QueueBlockIO},
	SignalArrived:     {collector.QueueOutstanding},
	SignalAnswered:    {collector.QueueOutstanding},
}

// Signals are those of one service at one time.
type Signals [numSignals]float32

// History keeps the signals of every service for a while, so that an onset can be
// held against what was nominal before it. A step is a tick, or the ticks of
// 100 ms where they are shorter.
type History struct {
	steps    [historySteps]step
	taken    int // steps so far
	services map[string]int
	names    []string
	serves   []bool    // has ever answered a request
	pending  []Signals // of the step being filled, by service
	weight   float64   // seconds in it
	from     time.Time
}

// 60 s of 100 ms; 512 services take 11 MB, forty take 0.9.
const (
	historySteps    = 600
	historyStep     = 100 * time.Millisecond
	historyServices = 512
)

type step struct {
	start, end time.Time
	disturbed  bool // a promise was broken, or was until a moment ago
	signals    []Signals
}

// NewHistory returns an empty one.
func NewHistory() *History { return &History{services: map[string]int{}} }

// Add takes a tick. disturbed says that some promise was broken during it: what
// was seen then is not nominal.
func (h *History) Add(t *collector.Tick, disturbed bool) {
	seconds := t.End.Sub(t.Start).Seconds()
	if h.weight == 0 {
		h.from = t.Start
		clear(h.pending)
	}
	h.weight += seconds
	for i := range t.Rows {
		row := &t.Rows[i]
		at, known := h.services[row.Container.Service]
		if !known {
			if len(h.names) == historyServices {
				continue
			}
			at = len(h.names)
			h.services[row.Container.Service] = at
			h.names = append(h.names, row.Container.Service)
			h.serves = append(h.serves, false)
			h.pending = append(h.pending, Signals{})
		}
		h.pending[at].add(row, seconds)
		h.serves[at] = h.serves[at] || h.pending[at][SignalAnswered] > 0
	}
	if t.End.Sub(h.from) < historyStep {
		return
	}
	s := &h.steps[h.taken%historySteps]
	h.taken++
	s.start, s.end, s.disturbed = h.from, t.End, disturbed
	s.signals = append(s.signals[:0], h.pending...)
	for i := range s.signals {
		for j := range s.signals[i] {
			s.signals[i][j] /= float32(h.weight)
		}
	}
	h.weight = 0
}

// Serves says whether a service has answered requests.
func (h *History) Serves(service string) bool {
	at, known := h.services[service]
	return known && h.serves[at]
}

func (s *Signals) add(row *collector.Row, seconds float64) {
	for signal, queues := range queuesOf {
		for _, q := range queues {
			cell := &row.Cells[q]
			v := cell.Mean * seconds
			switch Signal(signal) {
			case SignalArrived:
				v = cell.Arrivals
			case SignalAnswered:
				v = cell.Departures
			}
			if cell.Valid && !math.IsNaN(v) && !math.IsInf(v, 0) {
				s[signal] += float32(v)
			}
		}
	}
}

package qos

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Evidence is what spoke for or against one service: how much more of it there was
// around the onset than is nominal.
type Evidence struct {
	Service    string  `json:"service"`
	OnPath     bool    `json:"on_path"`    // looked at on the way from the entry to the culprit
	Own        float64 `json:"own"`        // requests in the service itself: waiting for a socket to be read, a thread, a lock, a pool
	Downstream float64 `json:"downstream"` // requests that it waits for others with
	CallRatio  float64 `json:"call_ratio"` // time of its calls to others, now over nominal; 0 where it makes none
	SendBytes  float64 `json:"send_bytes"` // written and not acknowledged, or below TCP
	RunThreads float64 `json:"run_threads"`
	BlockIO    float64 `json:"block_io"`
	Answered   float64 `json:"answered"` // requests per second, now over nominal
}

// waiting is how many more requests are inside or behind a service.
func (e *Evidence) waiting() float64 { return e.Own + e.Downstream }

// What counts as growth. Depths are means over 2.5 s.
const (
	leastGrowth = .05 // requests
	slowCalls   = 1.5 // calls to others take so many times as long
	explained   = .4  // part of the wait for others that they account for
	loadGrowth  = 1.3 // arrivals at the entry, over nominal
	arriving    = .85
	leastBytes  = 16
	leastRate   = 2  // requests per second, for a rate to say anything
	fewArrive   = .5 // of what is nominal
	held        = .1 // part of the requests that are missing, if the entry held them
	standOut    = 2  // times as much as the next
)

// Annotate says who started a violation: it follows the wait from the entry.
//
//  1. Users asked for much more than is nominal: the load.
//  2. At a service whose calls to others have become slow, the wait is theirs, and
//     what waits in the service itself waits for them (for a connection of a pool, a
//     thread): go on with the callee that holds most of it.
//  3. If its callees do not hold what it waits for, it is on the way between them:
//     the one with the most unacknowledged bytes.
//  4. Where calls to others are not slow, the wait is the service's own: the culprit.
func Annotate(c *Case) Label {
	a := annotator{c: c, at: map[string]int{}, calls: map[string][]string{}}
	for i := range c.Services {
		a.at[c.Services[i].Service] = i
		a.evidence = append(a.evidence, weigh(&c.Services[i]))
	}
	for _, call := range c.Calls {
		if call.Client != call.Server {
			a.calls[call.Client] = append(a.calls[call.Client], call.Server)
		}
	}
	l := a.label()
	l.By = ByEvidence
	l.Evidence = a.ranked(l.Culprit)
	return l
}

func weigh(s *Account) Evidence {
	grown := func(signals ...Signal) (sum float64) {
		for _, k := range signals {
			sum += float64(s.Now[k] - s.Nominal[k])
		}
		return sum
	}
	e := Evidence{
		Service:    s.Service,
		Downstream: grown(SignalDownstream),
		Own:        grown(SignalOutstanding, SignalUnread, SignalBacklog) - grown(SignalDownstream),
		SendBytes:  grown(SignalSend, SignalNICTx),
		RunThreads: grown(SignalRun), BlockIO: grown(SignalBlockIO),
		Answered: ratio(s.Now[SignalAnswered], s.Nominal[SignalAnswered]),
	}
	e.CallRatio = ratio(s.Now[SignalDownstream]/max(s.Now[SignalAnswered], 1), s.Nominal[SignalDownstream]/max(s.Nominal[SignalAnswered], 1))
	return e
}

// ratio is 0 where there is nothing to compare with.
func ratio(now, nominal float32) float64 {
	if nominal <= 0 {
		return 0
	}
	return float64(now / nominal)
}

type annotator struct {
	c        *Case
	at       map[string]int // of a service in evidence
	calls    map[string][]string
	evidence []Evidence
}

func (a *annotator) label() Label {
	i, known := a.at[a.c.Entry]
	if !known {
		return unknown("nothing was measured of the entry %s", a.c.Entry)
	}
	entry := &a.c.Services[i]
	arrived := ratio(entry.Now[SignalArrived], entry.Nominal[SignalArrived])
	if arrived >= loadGrowth {
		return Label{Culprit: CulpritLoad, Why: fmt.Sprintf("users asked %s for %.1f times as much as is nominal", a.c.Entry, arrived)}
	}
	missing := float64(entry.Nominal[SignalArrived]-entry.Now[SignalArrived]) * (nowBefore + nowAfter).Seconds()
	if arrived < fewArrive && a.evidence[i].waiting() < held*missing && a.allQuiet() {
		return unknown("users' requests do not arrive at %s, and all services have little to do: the network, or the users", a.c.Entry)
	}
	if a.evidence[i].waiting() < leastGrowth {
		return a.standsOut()
	}
	return a.follow(i)
}

func unknown(format string, args ...any) Label {
	return Label{Culprit: CulpritUnknown, Why: fmt.Sprintf(format, args...)}
}

// follow goes from a service to the one that it waits for, until it meets one that
// waits for nobody.
func (a *annotator) follow(i int) Label {
	var path []string
	for range a.evidence { // bounded: a circle of calls is met below
		e := &a.evidence[i]
		e.OnPath = true
		path = append(path, e.Service)
		if e.waiting() < leastGrowth {
			return a.standsOut()
		}
		if e.Downstream < leastGrowth || e.Own > e.Downstream && e.CallRatio < slowCalls {
			if circle := a.circle(path); circle != nil {
				return inCircle(circle)
			}
			if e.Own < leastGrowth {
				return a.standsOut()
			}
			return Label{Culprit: e.Service, Why: fmt.Sprintf("%.1f requests more than nominal wait in it, and its calls to others are not slow", e.Own)}
		}
		next, behind := a.heaviest(e)
		if next < 0 || behind < explained*e.Downstream {
			return a.between(path)
		}
		if a.evidence[next].OnPath {
			return inCircle(path[slices.Index(path, a.evidence[next].Service):])
		}
		i = next
	}
	return unknown("the services wait for each other")
}

func inCircle(circle []string) Label {
	return Label{Culprit: circle[0], Why: fmt.Sprintf("%s call each other in a circle, and requests enter it there", strings.Join(circle, ", "))}
}

// circle returns the end of a path from the service that the last one calls, nil if
// it calls none of the path, or does not wait for it.
func (a *annotator) circle(path []string) []string {
	last := path[len(path)-1]
	if a.evidence[a.at[last]].Downstream < leastGrowth {
		return nil
	}
	for i, name := range path[:len(path)-1] {
		if slices.Contains(a.calls[last], name) {
			return path[i:]
		}
	}
	return nil
}

// allQuiet says whether nearly every service answers less than half of what is
// nominal.
func (a *annotator) allQuiet() bool {
	quiet, all := 0, 0
	for i := range a.evidence {
		if a.c.Services[i].Nominal[SignalAnswered] >= leastRate {
			all++
			if a.evidence[i].Answered < fewArrive {
				quiet++
			}
		}
	}
	return float64(quiet) >= .9*float64(all)
}

// standsOut is for violations of few requests, which hardly show at the entry: the
// one service behind it in which more wait than is nominal, if there is just one.
func (a *annotator) standsOut() Label {
	best, most, second := -1, 0., 0.
	for i := range a.evidence {
		own := a.evidence[i].Own
		if !a.reached(a.evidence[i].Service) {
			continue
		}
		if own > most {
			best, most, second = i, own, most
		} else {
			second = max(second, own)
		}
	}
	if best < 0 || most < leastGrowth || most < standOut*second {
		return unknown("no more requests wait in %s than are nominal, and no service behind it stands out", a.c.Entry)
	}
	e := &a.evidence[best]
	return Label{Culprit: e.Service, Why: fmt.Sprintf("%.2f requests more than nominal wait in it, and nothing like it anywhere else", e.Own)}
}

// reached says whether requests of the entry come to a service.
func (a *annotator) reached(service string) bool {
	seen := map[string]bool{a.c.Entry: true}
	queue := []string{a.c.Entry}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if name == service {
			return true
		}
		for _, callee := range a.calls[name] {
			if !seen[callee] {
				seen[callee] = true
				queue = append(queue, callee)
			}
		}
	}
	return false
}

// heaviest is the callee in and behind which most requests wait, and how many more
// wait there, in and behind all callees, than is nominal.
func (a *annotator) heaviest(e *Evidence) (next int, held float64) {
	next = -1
	most := 0.
	for _, name := range a.calls[e.Service] {
		i, known := a.at[name]
		if !known {
			continue
		}
		w := a.evidence[i].waiting()
		held += max(w, 0)
		if w > most {
			next, most = i, w
		}
	}
	return next, held
}

// between blames the link of a service or of one that it calls, by the bytes that
// are not acknowledged. Both ends of a lossy link have such bytes. Where all that
// the caller of a service waits for is found in and behind it, what goes in and out
// there arrives, so its link is sound.
func (a *annotator) between(path []string) Label {
	e := &a.evidence[a.at[path[len(path)-1]]]
	sound := len(path) > 1 && a.arrives(&a.evidence[a.at[path[len(path)-2]]], e)
	var worst *Evidence
	for _, name := range a.calls[e.Service] {
		if i, known := a.at[name]; known && (worst == nil || a.evidence[i].SendBytes > worst.SendBytes) {
			worst = &a.evidence[i]
		}
	}
	if worst == nil || worst.SendBytes < leastBytes || !sound && e.SendBytes > worst.SendBytes {
		worst = e
	}
	if worst.SendBytes < leastBytes {
		return unknown("%s waits for others with %.1f requests more than is nominal, and none of them holds these", e.Service, e.Downstream)
	}
	worst.OnPath = true
	return Label{Culprit: worst.Service, Why: fmt.Sprintf("requests of %s are under way, and %s has %.0f bytes more than nominal unacknowledged", e.Service, worst.Service, worst.SendBytes)}
}

// arrives says whether what a caller waits for, less what its other callees hold,
// waits in and behind a callee.
func (a *annotator) arrives(caller, callee *Evidence) bool {
	due := caller.Downstream
	for _, name := range a.calls[caller.Service] {
		if i, known := a.at[name]; known && name != callee.Service {
			due -= max(a.evidence[i].waiting(), 0)
		}
	}
	return callee.waiting() >= arriving*due
}

// mostEvidence bounds what is kept with a violation.
const mostEvidence = 8

// ranked is the evidence of the path, then of the others by their own queueing.
func (a *annotator) ranked(culprit string) []Evidence {
	weight := func(e *Evidence) float64 {
		switch {
		case e.Service == culprit:
			return math.Inf(1)
		case e.OnPath:
			return 1e9 + e.waiting()
		}
		return e.Own
	}
	slices.SortStableFunc(a.evidence, func(x, y Evidence) int {
		switch d := weight(&y) - weight(&x); {
		case d > 0:
			return 1
		case d < 0:
			return -1
		}
		return 0
	})
	return a.evidence[:min(len(a.evidence), mostEvidence)]
}

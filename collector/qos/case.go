package qos

import "time"

// Case is what is known around the onset of a violation.
type Case struct {
	Entry    string
	Calls    []Call
	Services []Account
}

// Call says that one service calls another.
type Call struct{ Client, Server string }

// Account is what one service showed around an onset.
type Account struct {
	Service string
	Nominal Signals // mean
	Now     Signals // mean
}

// What is taken for nominal, and for the onset.
const (
	nominalBefore = 2 * time.Second // a fault may be there for so long before the promise breaks
	nominalSteps  = 300
	nowBefore     = 500 * time.Millisecond
	nowAfter      = 2 * time.Second
)

// Case returns what the history holds around an onset, up to a time.
func (h *History) Case(entry string, calls []Call, onset, until time.Time) Case {
	c := Case{Entry: entry, Calls: calls, Services: make([]Account, len(h.names))}
	var nominal, now float64
	sums := make([][numSignals]float64, len(h.names))
	for i := h.taken - 1; i >= max(0, h.taken-historySteps); i-- {
		s := &h.steps[i%historySteps]
		switch {
		case !s.end.Before(onset.Add(-nowBefore)) && s.end.Before(onset.Add(nowAfter)) && !s.end.After(until):
			now++
			for j := range s.signals {
				for k, v := range s.signals[j] {
					c.Services[j].Now[k] += v
				}
			}
		case s.end.Before(onset.Add(-nominalBefore)) && !s.disturbed && nominal < nominalSteps:
			nominal++
			for j := range s.signals {
				for k, v := range s.signals[j] {
					sums[j][k] += float64(v)
				}
			}
		}
	}
	for j := range c.Services {
		a := &c.Services[j]
		a.Service = h.names[j]
		for k := range a.Now {
			if now > 0 {
				a.Now[k] /= float32(now)
			}
			if nominal > 0 {
				a.Nominal[k] = float32(sums[j][k] / nominal)
			}
		}
	}
	return c
}

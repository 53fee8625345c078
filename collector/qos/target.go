package qos

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Target is a promise to the users of an entry service: a percentile of its
// latency, and the bound that it must not exceed.
type Target struct {
	Service    string
	Percentile float64 // 50 to 99.99
	Bound      time.Duration
	Learned    bool // from nominal latency, see learn.go; not given by anybody
}

// What a target may ask for. Beyond p99.99 ten seconds would have to hold 10,000
// requests; latencies beyond a minute share a bucket.
const (
	lowestPercentile  = 50
	highestPercentile = 99.99
	lowestBound       = 10 * time.Microsecond
	highestBound      = time.Minute
)

const targetForm = `want SERVICE PERCENTILE BOUND, such as "frontend p99 20ms"`

// ParseTarget reads "frontend p99 20ms".
func ParseTarget(text string) (Target, error) {
	words := strings.Fields(text)
	if len(words) != 3 {
		return Target{}, fmt.Errorf("target %q: %s", text, targetForm)
	}
	t := Target{Service: words[0]}
	number, found := strings.CutPrefix(words[1], "p")
	p, err := strconv.ParseFloat(number, 64)
	if !found || err != nil {
		return t, fmt.Errorf("target %q: percentile %q: %s", text, words[1], targetForm)
	}
	if t.Percentile = p; !(p >= lowestPercentile && p <= highestPercentile) {
		return t, fmt.Errorf("target %q: percentile %q: want p%v to p%v", text, words[1], lowestPercentile, highestPercentile)
	}
	if t.Bound, err = time.ParseDuration(words[2]); err != nil {
		return t, fmt.Errorf("target %q: bound %q: want a duration with its unit, such as 20ms", text, words[2])
	}
	if t.Bound < lowestBound || t.Bound > highestBound {
		return t, fmt.Errorf("target %q: bound %q: want %v to %v", text, words[2], lowestBound, highestBound)
	}
	return t, nil
}

// String returns the target as ParseTarget reads it.
func (t Target) String() string { return t.Service + " " + t.Name() + " " + t.Bound.String() }

// Name is the percentile's: "p99", "p99.9".
func (t Target) Name() string { return "p" + strconv.FormatFloat(t.Percentile, 'g', -1, 64) }

// CheckTargets refuses two promises for one service: a violation belongs to a
// service, and which of them it broke would not be seen.
func CheckTargets(targets []Target) error {
	if len(targets) > maxServices {
		return fmt.Errorf("%d targets: at most %d are watched", len(targets), maxServices)
	}
	seen := map[string]Target{}
	for _, t := range targets {
		if first, found := seen[t.Service]; found {
			return fmt.Errorf("two targets for %q, %q and %q: give one", t.Service, first, t)
		}
		seen[t.Service] = t
	}
	return nil
}

// Targets is a list of targets as a flag: given several times, or several at once
// with commas between them.
type Targets []Target

// String returns the targets as Set reads them.
func (t *Targets) String() string {
	texts := make([]string, len(*t))
	for i := range *t {
		texts[i] = (*t)[i].String()
	}
	return strings.Join(texts, ", ")
}

// Type names what the flag takes.
func (t *Targets) Type() string { return "target" }

// Set appends targets.
func (t *Targets) Set(text string) error {
	list := *t
	for part := range strings.SplitSeq(text, ",") {
		one, err := ParseTarget(strings.TrimSpace(part))
		if err != nil {
			return err
		}
		list = append(list, one)
	}
	if len(list) == 0 {
		return errors.New(targetForm)
	}
	if err := CheckTargets(list); err != nil {
		return err
	}
	*t = list
	return nil
}

// least is how many requests there must be before anything is said: with fewer
// than 1/(1-p) the percentile is just the slowest, 100 for p99.
func (t Target) least() int64 { return int64(math.Ceil(1/(1-t.Percentile/100) - 1e-9)) }

// allowed is how many of n requests may be late. The percentile of n latencies is
// the one of rank ceil(p n), so it exceeds the bound when more than n - ceil(p n)
// do: 1 of 100 to 199 for p99, 2 of 200 to 299.
func (t Target) allowed(n int64) int64 {
	return n - int64(math.Ceil(t.Percentile*float64(n)/100-1e-9))
}

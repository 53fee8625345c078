package qos

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Violation is a maximal interval in which a percentile of a service's latency
// exceeded its bound, stretches less than a second apart taken together.
type Violation struct {
	ID         string    `json:"id"` // onset and service: one of a service begins in a second
	Service    string    `json:"service"`
	Percentile float64   `json:"percentile"`
	TargetMS   float64   `json:"target_ms"`
	Learned    bool      `json:"learned"` // the target, from nominal latency
	Onset      time.Time `json:"onset"`   // start of the tick in which it began
	End        time.Time `json:"end"`     // end of the last tick that broke the promise, so far while it is open
	Open       bool      `json:"open"`    // may go on
	WorstMS    float64   `json:"worst_ms"`
	WorstShare float64   `json:"worst_share"` // largest part of the requests of a window that was late, 0..1
	Requests   int64     `json:"requests"`    // whose verdict fell into it
	Late       int64     `json:"late"`        // of these

	Label *Label `json:"label,omitempty"` // who started it; nil while nobody has looked
}

// Label says who started a violation.
type Label struct {
	Culprit  string     `json:"culprit"` // a service; CulpritLoad, CulpritUnknown
	By       string     `json:"by"`      // ByEvidence, or the user that corrected it
	Why      string     `json:"why"`     // one sentence
	Evidence []Evidence `json:"evidence,omitempty"`
}

// Culprits that are no service, and who says so.
const (
	CulpritLoad    = "load"        // users asked for more than there is room for
	CulpritUnknown = "cannot tell" // nobody stands out
	ByEvidence     = "evidence"    // Annotate
)

// CheckCulprit refuses what cannot be the name of a service.
func CheckCulprit(name string) error {
	if name == "" || len(name) > longestName || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("culprit %q: want the name of a service, %q, or %q", name, CulpritLoad, CulpritUnknown)
	}
	return nil
}

const longestName = 253

// Lasted is how long it lasted so far.
func (v *Violation) Lasted() time.Duration { return v.End.Sub(v.Onset) }

// violationID is legible, sorts by time within a service, and is unique: a
// violation begins at least a second after the end of the one before.
func violationID(service string, onset time.Time) string {
	return onset.UTC().Format("20060102T150405.0") + "-" + service
}

// merge is how far apart two violations are at least.
const merge = time.Second

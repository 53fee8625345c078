package feature

import "fmt"

// Verdict is the answer to "does it work here?".
type Verdict uint8

// The verdicts. The zero value claims nothing.
const (
	Unknown Verdict = iota // could not find out
	Works
	Missing
)

var verdictNames = [...]string{Unknown: "could not find out", Works: "works", Missing: "missing"}

// String returns the verdict in the words shown to people and in JSON.
func (v Verdict) String() string { return verdictNames[v] }

// Mark returns the one-column sign of the verdict.
func (v Verdict) Mark() string { return [...]string{"?", "✓", "✗"}[v] }

// MarshalText makes the verdict a word in JSON.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (v *Verdict) UnmarshalText(text []byte) error {
	for i, name := range verdictNames {
		if name == string(text) {
			*v = Verdict(i)
			return nil
		}
	}
	return fmt.Errorf("verdict %q: want %q, %q or %q", text, Works, Missing, Unknown)
}

// Group is a heading of the report.
type Group string

// The groups, in the order of the report.
const (
	GroupKernel     Group = "kernel"
	GroupCapability Group = "capabilities"
	GroupIterator   Group = "bpf iterators"
	GroupBPF        Group = "bpf maps and helpers"
	GroupHook       Group = "hooks"
	GroupRequest    Group = "request hooks (exact mode: the first that works is used)"
	GroupField      Group = "kernel structures (BTF)"
	GroupCgroup     Group = "cgroups"
	GroupResource   Group = "resources (diagnosis and limits)"
	GroupHost       Group = "host"
)

var groups = []Group{GroupKernel, GroupCapability, GroupIterator, GroupBPF, GroupHook,
	GroupRequest, GroupField, GroupCgroup, GroupResource, GroupHost}

// Item is one thing that was looked at.
type Item struct {
	Group   Group   `json:"group"`
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	// Reason is what was tried and what came back. Never empty unless the
	// verdict is Works.
	Reason string `json:"reason"`
	// Required: without it Seer does not start.
	Required bool `json:"required"`
	// Queues are the columns that stay invalid without it.
	Queues []string `json:"queues,omitempty"`
	// Loss is what else is lost without it.
	Loss string `json:"loss,omitempty"`
	// CoveredBy names an item that works here and does the same job, so that
	// nothing is lost.
	CoveredBy string `json:"covered_by,omitempty"`
	// Advice is what to do about it.
	Advice string `json:"advice,omitempty"`
}

// adviceAsk is the advice where nothing but privilege stands between the
// question and its answer.
const adviceAsk = "ask again as root (sudo)"

// harmless says whether the item takes nothing away on this host.
func (i *Item) harmless() bool { return i.Verdict == Works || i.CoveredBy != "" }

package api

import (
	"fmt"
	"net/url"
	"strings"

	"seer/collector"
	"seer/collector/container"
)

// Selector narrows an answer. Empty fields select everything; several fields
// must all match.
type Selector struct {
	Container string // its name, or the start of its runtime id, 6 digits or more
	Service   string
	Cgroup    string // container.ID as its String gives it: "4711", "v1:4711"
	Pod       string // NAMESPACE/NAME, or NAME in any namespace
	Queue     string // for queues only
}

// selectorFields names the fields in queries and on the command line.
var selectorFields = []struct {
	Name string
	at   func(*Selector) *string
}{
	{"container", func(s *Selector) *string { return &s.Container }},
	{"service", func(s *Selector) *string { return &s.Service }},
	{"cgroup", func(s *Selector) *string { return &s.Cgroup }},
	{"pod", func(s *Selector) *string { return &s.Pod }},
	{"queue", func(s *Selector) *string { return &s.Queue }},
}

// SelectorNames lists the words that start a selector.
func SelectorNames() []string {
	var names []string
	for _, f := range selectorFields {
		names = append(names, f.Name)
	}
	return names
}

// Set gives the field called name a value.
func (s *Selector) Set(name, value string) error {
	for _, f := range selectorFields {
		if f.Name != name {
			continue
		}
		if value == "" {
			return fmt.Errorf("selector %q: empty value: say which %s", name, name)
		}
		if name == "queue" {
			if _, ok := collector.QueueByName(value); !ok {
				return fmt.Errorf("selector queue %q: no such queue: it is one of %s", value, strings.Join(queueNames(), ", "))
			}
		}
		*f.at(s) = value
		return nil
	}
	return fmt.Errorf("selector %q: unknown: it is one of %s", name, strings.Join(SelectorNames(), ", "))
}

// Values returns the selector as the query of a request.
func (s Selector) Values() url.Values {
	v := url.Values{}
	for _, f := range selectorFields {
		if value := *f.at(&s); value != "" {
			v.Set(f.Name, value)
		}
	}
	return v
}

// String returns the selector as typed: "container web queue syn_queue".
func (s Selector) String() string {
	var words []string
	for _, f := range selectorFields {
		if value := *f.at(&s); value != "" {
			words = append(words, f.Name, value)
		}
	}
	return strings.Join(words, " ")
}

// selectorFrom reads the query of a request; a field it does not know is an error.
func selectorFrom(v url.Values) (Selector, error) {
	var s Selector
	for name, values := range v {
		for _, value := range values {
			if err := s.Set(name, value); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

// Match reports whether the selector selects c. It does not look at Queue.
func (s Selector) Match(c *container.Container) bool {
	if s.Container != "" && s.Container != c.Name && !matchRuntimeID(s.Container, c.RuntimeID) {
		return false
	}
	if s.Service != "" && s.Service != c.Service {
		return false
	}
	if s.Cgroup != "" && s.Cgroup != c.ID.String() {
		return false
	}
	if s.Pod != "" {
		namespace, name, full := strings.Cut(s.Pod, "/")
		if !full {
			namespace, name = c.Namespace, s.Pod
		}
		if c.Pod == "" || name != c.Pod || namespace != c.Namespace {
			return false
		}
	}
	return true
}

// matchRuntimeID accepts an abbreviated runtime id, as docker and crictl do.
func matchRuntimeID(prefix, id string) bool {
	return len(prefix) >= 6 && strings.HasPrefix(id, prefix)
}

func queueNames() []string {
	names := make([]string, collector.NumQueues)
	for q := range collector.Queues {
		names[q] = collector.Queues[q].Name
	}
	return names
}

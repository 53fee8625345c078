package api

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"seer/collector"
	"seer/collector/container"
)

// Selector narrows an answer. Empty fields select everything; several fields
// must all match. What a value may be, container.Selector says.
type Selector struct {
	Container string
	Service   string
	Cgroup    string
	Pod       string
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
		if err := checkValue(name, value); err != nil {
			return err
		}
		*f.at(s) = value
		return nil
	}
	return fmt.Errorf("selector %q: unknown: it is one of %s", name, strings.Join(SelectorNames(), ", "))
}

func checkValue(name, value string) error {
	if name == "queue" {
		if _, ok := collector.QueueByName(value); !ok {
			return fmt.Errorf("selector queue %q: no such queue: it is one of %s", value, strings.Join(QueueNames(), ", "))
		}
		return nil
	}
	_, err := container.ParseSelector([]string{name, value})
	return err
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

// pickFunc tells whether a container is selected.
type pickFunc func(*container.Container) bool

// pick returns what tells whether a container is selected out of rows. It is
// an error when a name means several containers (container.ErrAmbiguous).
func (s Selector) pick(rows []collector.Row) (pickFunc, error) {
	all := make([]*container.Container, len(rows))
	for i := range rows {
		all[i] = rows[i].Container
	}
	return s.pickOf(all)
}

func (s Selector) pickOf(all []*container.Container) (pickFunc, error) {
	s.Queue = "" // selects no containers
	if s == (Selector{}) {
		return func(*container.Container) bool { return true }, nil
	}
	left := all
	for _, f := range selectorFields {
		value := *f.at(&s)
		if value == "" {
			continue
		}
		one, err := container.ParseSelector([]string{f.Name, value})
		if err != nil {
			return nil, err
		}
		left, err = one.Select(left)
		if errors.Is(err, container.ErrNoMatch) {
			break
		} else if err != nil {
			return nil, err
		}
	}
	picked := make(map[container.ID]bool, len(left))
	for _, c := range left {
		picked[c.ID] = true
	}
	return func(c *container.Container) bool { return picked[c.ID] }, nil
}

// QueueNames lists the queues in column order.
func QueueNames() []string {
	names := make([]string, collector.NumQueues)
	for q := range collector.Queues {
		names[q] = collector.Queues[q].Name
	}
	return names
}

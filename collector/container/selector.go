package container

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Errors of selection. The command line exits with 2 on ErrSelector and
// ErrAmbiguous, with 4 on ErrNoMatch.
var (
	ErrSelector  = errors.New("not a selector")
	ErrNoMatch   = errors.New("no container matches")
	ErrAmbiguous = errors.New("more than one container matches")
)

// SelectBy is what a Selector looks at.
type SelectBy uint8

// The kinds of selector (DESIGN.md section 10). SelectAll is the zero value.
const (
	SelectAll SelectBy = iota
	SelectContainer
	SelectService
	SelectCgroup
	SelectPod
)

var selectNames = [...]string{"", "container", "service", "cgroup", "pod"}

// Selector picks containers. The zero value picks all.
type Selector struct {
	By    SelectBy
	Value string
	id    ID // of a cgroup selector by number
}

// String returns the selector as typed.
func (s Selector) String() string {
	if s.By == SelectAll {
		return "all"
	}
	return selectNames[s.By] + " " + s.Value
}

// ParseSelector reads a selector's words: "container NAME", "service NAME",
// "cgroup ID" (a number as inspect shows it, or a path) or "pod NS/NAME". The
// first word may be an unambiguous prefix. No words select everything.
func ParseSelector(words []string) (Selector, error) {
	if len(words) == 0 {
		return Selector{}, nil
	}
	var s Selector
	for by, name := range selectNames {
		if by == 0 || words[0] == "" || !strings.HasPrefix(name, words[0]) {
			continue
		}
		if s.By != SelectAll {
			return Selector{}, fmt.Errorf("%w: %q could be %q or %q", ErrSelector, words[0], selectNames[s.By], name)
		}
		s.By = SelectBy(by)
	}
	switch {
	case s.By == SelectAll:
		return s, fmt.Errorf("%w: %q: use container NAME, service NAME, cgroup ID or pod NS/NAME", ErrSelector, words[0])
	case len(words) < 2 || words[1] == "":
		return s, fmt.Errorf("%w: %q needs a value", ErrSelector, selectNames[s.By])
	case len(words) > 2:
		return s, fmt.Errorf("%w: %q after %q: one selector only", ErrSelector, words[2], strings.Join(words[:2], " "))
	}
	s.Value = words[1]
	if s.By == SelectCgroup && !strings.HasPrefix(s.Value, "/") {
		id, err := ParseID(s.Value)
		if err != nil {
			return s, err
		}
		s.id = id
	}
	return s, nil
}

// ParseID reads an ID as [ID.String] writes it: "4321", "v1:4321", "comm:9f".
func ParseID(s string) (ID, error) {
	mark, digits, base := ID(0), s, 10
	if rest, ok := strings.CutPrefix(s, "v1:"); ok {
		mark, digits = Legacy, rest
	} else if rest, ok := strings.CutPrefix(s, "comm:"); ok {
		mark, digits, base = ByComm, rest, 16
	}
	n, err := strconv.ParseUint(digits, base, 64)
	// A bare number may carry its marks, as in JSON of older versions.
	if err != nil || digits[0] == '+' || (mark != 0 && ID(n)&(Legacy|ByComm) != 0) || ID(n)&(Legacy|ByComm) == Legacy|ByComm {
		return 0, fmt.Errorf("%w: cgroup id %q: use a number as inspect shows it, v1:NUMBER or comm:HEX", ErrSelector, s)
	}
	return ID(n) | mark, nil
}

// Match reports whether s names c exactly: its name, or its runtime's id in
// full or as the runtime shows it shortened; its service; its cgroup's number
// or path; its pod, with or without the namespace.
func (s Selector) Match(c *Container) bool {
	switch s.By {
	case SelectContainer:
		return c.Name == s.Value || (c.RuntimeID != "" && (c.RuntimeID == s.Value || shortID(c.RuntimeID) == s.Value))
	case SelectService:
		return c.Service == s.Value
	case SelectCgroup:
		if strings.HasPrefix(s.Value, "/") {
			return c.Path == s.Value
		}
		return c.ID == s.id
	case SelectPod:
		return c.Pod != "" && (c.Pod == s.Value || c.Namespace+"/"+c.Pod == s.Value)
	}
	return true
}

// minIDPrefix keeps a short word from matching some id by accident.
const minIDPrefix = 4

// Select returns the containers that s names. Without an exact match,
// "container" also takes the start of a runtime id, "cgroup" also a number
// without the mark of its hierarchy, and "pod NAME" must mean
// pods of one namespace only. It returns ErrNoMatch or ErrAmbiguous.
func (s Selector) Select(all []*Container) ([]*Container, error) {
	var found []*Container
	for _, c := range all {
		if s.Match(c) {
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		for _, c := range all {
			if s.almost(c) {
				found = append(found, c)
			}
		}
	}
	if s.By == SelectContainer || s.By == SelectPod {
		for _, c := range found {
			if c.RuntimeID != found[0].RuntimeID && s.By == SelectContainer ||
				c.Namespace != found[0].Namespace && s.By == SelectPod {
				return nil, fmt.Errorf("%w: %s: %q and %q, for example", ErrAmbiguous, s, describe(found[0]), describe(c))
			}
		}
	}
	if len(found) == 0 && s.By != SelectAll {
		return nil, fmt.Errorf("%w %s: seer inspect container list shows what there is", ErrNoMatch, s)
	}
	return found, nil
}

// almost is what Select falls back on.
func (s Selector) almost(c *Container) bool {
	switch s.By {
	case SelectContainer:
		return len(s.Value) >= minIDPrefix && isHex(s.Value) && strings.HasPrefix(c.RuntimeID, s.Value)
	case SelectCgroup:
		return s.id != 0 && s.id == ID(c.ID.CgroupID()) && c.ID&Legacy != 0
	}
	return false
}

func describe(c *Container) string {
	if c.Namespace != "" {
		return c.Namespace + "/" + c.Name
	}
	return c.Name
}

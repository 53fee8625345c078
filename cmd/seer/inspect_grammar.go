package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"seer/collector/api"
)

// The verbs of inspect. As with bpftool, show and list are one.
const (
	verbShow = "show"
	verbList = "list"
	verbDump = "dump"
	verbHelp = "help"
)

var inspectVerbs = []string{verbShow, verbList, verbDump, verbHelp}

// inspectQuery is a parsed command line: OBJECT [VERB] [SELECTOR].
type inspectQuery struct {
	object   api.Object
	verb     string
	selector api.Selector
}

// parseInspect reads what follows the flags. Objects, verbs, the words that
// start a selector and the names of queues may be abbreviated as long as they
// stay unambiguous; names of containers and services may not.
func parseInspect(args []string) (inspectQuery, error) {
	q := inspectQuery{verb: verbShow}
	if len(args) == 0 {
		return q, fmt.Errorf("inspect: no object given: it is one of %s", strings.Join(objectNames(), ", "))
	}
	name, err := abbreviated("object", args[0], objectNames())
	if err != nil {
		return q, fmt.Errorf("inspect: %w", err)
	}
	q.object, _ = api.ObjectByName(name)
	args = args[1:]
	if len(args) > 0 {
		// A word here starts either a verb or a selector.
		word, err := abbreviated("verb or selector", args[0], append(slices.Clone(inspectVerbs), selectorNames(q.object)...))
		if err != nil {
			return q, fmt.Errorf("inspect %s: %w", name, err)
		}
		if slices.Contains(inspectVerbs, word) {
			q.verb, args = word, args[1:]
		}
	}
	if err := q.parseSelector(args); err != nil {
		return q, fmt.Errorf("inspect %s: %w", name, err)
	}
	return q, nil
}

func (q *inspectQuery) parseSelector(args []string) error {
	known := selectorNames(q.object)
	seen := map[string]bool{}
	for ; len(args) > 0; args = args[min(2, len(args)):] {
		if len(known) == 0 {
			return fmt.Errorf("%q: this object takes no selector", args[0])
		}
		name, err := abbreviated("selector", args[0], known)
		if err != nil {
			return err
		}
		if len(args) == 1 {
			return fmt.Errorf("selector %s: no value given: say which %s", name, name)
		}
		if seen[name] {
			return fmt.Errorf("selector %s: given twice: they must all match, so give one", name)
		}
		seen[name] = true
		value := args[1]
		if name == "queue" {
			if value, err = abbreviated("queue", value, api.QueueNames()); err != nil {
				return err
			}
		}
		if err := q.selector.Set(name, value); err != nil {
			return err
		}
	}
	return nil
}

// selectorNames lists the selectors that an object takes.
func selectorNames(o api.Object) []string {
	switch o.Name {
	case "probe", "feature", "model":
		return nil
	case "violation":
		return []string{"service"}
	case "queue":
		return api.SelectorNames()
	}
	return slices.DeleteFunc(api.SelectorNames(), func(s string) bool { return s == "queue" })
}

// abbreviated returns the one of names that word is, or starts.
func abbreviated(kind, word string, names []string) (string, error) {
	if slices.Contains(names, word) {
		return word, nil
	}
	var starts []string
	for _, name := range names {
		if word != "" && strings.HasPrefix(name, word) {
			starts = append(starts, name)
		}
	}
	switch len(starts) {
	case 1:
		return starts[0], nil
	case 0:
		return "", fmt.Errorf("%s %q: unknown: it is one of %s", kind, word, strings.Join(names, ", "))
	}
	return "", fmt.Errorf("%s %q: ambiguous: %s", kind, word, strings.Join(starts, ", "))
}

func objectNames() []string {
	names := make([]string, len(api.Objects))
	for i, o := range api.Objects {
		names[i] = o.Name
	}
	return names
}

// errNoRows is returned by views that are given a document of another shape.
var errNoRows = errors.New("rows are not what this seer reads: use the same version of both")

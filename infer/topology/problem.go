package topology

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a description.
type Problem struct {
	File string // as given to Parse, "" for an App that was not read from a file
	Line int    // 0 where no line is to blame
	Text string // what is wrong, and what to do
}

func (p Problem) String() string {
	switch {
	case p.File != "" && p.Line > 0:
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
	case p.File != "":
		return fmt.Sprintf("%s: %s", p.File, p.Text)
	default:
		return p.Text
	}
}

// Problems is the error of Parse and Validate: all that is wrong, by line.
type Problems []Problem

// shownProblems bounds the text of an error; a file for another program is wrong
// in every line.
const shownProblems = 20

// Error gives one line per problem.
func (ps Problems) Error() string {
	var lines []string
	for _, p := range ps[:min(len(ps), shownProblems)] {
		lines = append(lines, p.String())
	}
	if more := len(ps) - shownProblems; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// add notes a problem.
func (ps *Problems) add(line int, format string, args ...any) {
	*ps = append(*ps, Problem{Line: line, Text: fmt.Sprintf(format, args...)})
}

// err returns the problems in order of their lines as an error, nil if there are
// none.
func (ps Problems) err(file string) error {
	if len(ps) == 0 {
		return nil
	}
	for i := range ps {
		ps[i].File = file
	}
	slices.SortStableFunc(ps, func(a, b Problem) int { return a.Line - b.Line })
	return ps
}

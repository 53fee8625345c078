package container

import (
	"fmt"
	"strings"
)

// GroupBy says what one row of the collector's output stands for.
type GroupBy uint8

// The ways to group. Only by program name does the kernel side compute
// different IDs; the others merge rows afterwards by [GroupBy.Key].
const (
	ByContainer GroupBy = iota
	ByService
	ByUnit
	ByProgram
)

var groupNames = [...]string{"container", "service", "unit", "comm"}

// String returns the value as --group-by takes it.
func (g GroupBy) String() string { return groupNames[g] }

// ParseGroupBy reads the value of --group-by.
func ParseGroupBy(s string) (GroupBy, error) {
	for i, name := range groupNames {
		if s == name {
			return GroupBy(i), nil
		}
	}
	return 0, fmt.Errorf("group by %q: not one of %s", s, strings.Join(groupNames[:], ", "))
}

// Key returns the name of the row that c belongs to. It does not allocate.
// Containers that no unit holds stay apart under ByUnit, by their service.
func (g GroupBy) Key(c *Container) string {
	switch {
	case g == ByService:
		return c.Service
	case g == ByUnit && c.Unit != "":
		return c.Unit
	case g == ByUnit:
		return c.Service
	}
	return c.Name
}

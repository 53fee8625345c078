package window

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"seer/infer/topology"
)

// LayoutOptions say how a layout is made; zero values mean the defaults.
type LayoutOptions struct {
	Queues    string // one of Selections; default all
	Ticks     int    // default 10
	Spare     int    // slots for services to come; default 4, none: -1
	TickMS    int64  // default 100
	HorizonMS int64  // default 500
}

// The defaults. A horizon of five ticks gives five examples of each onset, and
// says of an alarm at any of them that it is right.
const (
	defaultTicks     = 10
	defaultSpare     = 4
	defaultTickMS    = 100
	defaultHorizonMS = 500
)

// maxSlots bounds the services of a layout, maxTicks its window.
const (
	maxSlots = 16_384
	maxTicks = 1_024
)

// NewLayout returns the layout of an application.
func NewLayout(app *topology.App, o LayoutOptions) (*Layout, error) {
	services, _ := app.Order()
	l, err := newLayout(services, o)
	if err != nil {
		return nil, err
	}
	for _, e := range app.Edges() {
		l.Edges = append(l.Edges, [2]int{slices.Index(services, e.Caller), slices.Index(services, e.Callee)})
	}
	return l, nil
}

// newLayout returns a layout without edges. services are back-end first.
func newLayout(services []string, o LayoutOptions) (*Layout, error) {
	if o.Queues == "" {
		o.Queues = SelectAll
	}
	features, err := Features(o.Queues)
	if err != nil {
		return nil, err
	}
	l := &Layout{TickMS: o.TickMS, HorizonMS: o.HorizonMS}
	for _, f := range features {
		l.Queues = append(l.Queues, f.String())
	}
	if o.Spare == 0 {
		o.Spare = defaultSpare
	}
	l.Services = append(slices.Clone(services), make([]string, max(0, o.Spare))...)
	if o.Ticks == 0 {
		o.Ticks = defaultTicks
	}
	if l.TickMS == 0 {
		l.TickMS = defaultTickMS
	}
	if l.HorizonMS == 0 {
		l.HorizonMS = defaultHorizonMS
	}
	l.Shape = Shape{Queues: len(l.Queues), Services: len(l.Services), Ticks: o.Ticks}
	return l, l.Validate()
}

// Validate says what is wrong with a layout that comes from elsewhere.
func (l *Layout) Validate() error {
	switch {
	case l.Shape.Queues != len(l.Queues) || l.Shape.Services != len(l.Services):
		return fmt.Errorf("layout of %d queues and %d services names %d and %d", l.Shape.Queues, l.Shape.Services, len(l.Queues), len(l.Services))
	case len(l.Queues) == 0 || len(l.Services) == 0:
		return errors.New("layout without queues or services")
	case len(l.Services) > maxSlots:
		return fmt.Errorf("layout of %d services: at most %d", len(l.Services), maxSlots)
	case l.Shape.Ticks < 1 || l.Shape.Ticks > maxTicks:
		return fmt.Errorf("layout of %d ticks: want 1 to %d", l.Shape.Ticks, maxTicks)
	case l.TickMS < 1 || l.HorizonMS < 1:
		return fmt.Errorf("layout with a tick of %d ms and a horizon of %d ms: want 1 ms or more", l.TickMS, l.HorizonMS)
	}
	if _, err := l.features(); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, name := range l.Services {
		if name != "" && seen[name] {
			return fmt.Errorf("layout names service %q twice", name)
		}
		seen[name] = true
	}
	for _, e := range l.Edges {
		if min(e[0], e[1]) < 0 || max(e[0], e[1]) >= len(l.Services) {
			return fmt.Errorf("layout has an edge from slot %d to %d, of %d", e[0], e[1], len(l.Services))
		}
	}
	return nil
}

func (l *Layout) features() ([]Feature, error) {
	out := make([]Feature, len(l.Queues))
	for i, name := range l.Queues {
		var err error
		if out[i], err = ParseFeature(name); err != nil {
			return nil, err
		}
		if slices.Contains(out[:i], out[i]) {
			return nil, fmt.Errorf("layout names queue %q twice", name)
		}
	}
	return out, nil
}

// Slots returns for each slot the service that it holds when these services are
// there: the layout's own, "" where one is not among them, and new ones in the
// spare slots, in their order. It fails where those do not suffice.
func (l *Layout) Slots(services []string) ([]string, error) {
	slots := make([]string, len(l.Services))
	var spare []int
	for i, name := range l.Services {
		switch {
		case name == "":
			spare = append(spare, i)
		case slices.Contains(services, name):
			slots[i] = name
		}
	}
	var extra []string
	for _, name := range services {
		if !slices.Contains(l.Services, name) {
			extra = append(extra, name)
		}
	}
	if len(extra) == len(services) {
		return nil, fmt.Errorf("the model knows none of these services (%s), but %s: train one for them with `seer train`",
			some(services), some(slices.DeleteFunc(slices.Clone(l.Services), func(s string) bool { return s == "" })))
	}
	if len(extra) > len(spare) {
		return nil, fmt.Errorf("%d services are new to the model (%s), which has room for %d: train it again with `seer train`",
			len(extra), some(extra), len(spare))
	}
	for i, name := range extra {
		slots[spare[i]] = name
	}
	return slots, nil
}

// some names a few of many.
func some(names []string) string {
	if len(names) > 4 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:3], ", "), len(names)-3)
	}
	return strings.Join(names, ", ")
}

package topology

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Bounds of what both testbed and simulator can run. They are far above what is
// useful on one host, and keep a slip of the pen from using it up.
const (
	maxServices        = 5000
	maxContainers      = 20_000
	maxCallsPerRequest = 10_000
)

var (
	validName     = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$`)
	validEndpoint = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_-]{0,39}$`)
)

const (
	nameRule     = "use lower case letters, digits and dashes, at most 40, a letter first"
	endpointRule = "use letters, digits, dashes and underscores, at most 40, a letter first"
)

// Validate checks a description that was changed or made in a program; Parse has
// done it already. The error is Problems.
func (a *App) Validate() error {
	var ps Problems
	a.validate(&ps)
	return ps.err("")
}

func (a *App) validate(ps *Problems) {
	if a.Schema != SchemaVersion {
		ps.add(0, "schema is %d: this build reads %d, write \"schema: %[2]d\"", a.Schema, SchemaVersion)
	}
	if !validName.MatchString(a.Name) {
		ps.add(0, "name %q: %s", a.Name, nameRule)
	}
	a.validateServices(ps)
	a.validateUsers(ps)
	// Cycles and what is not reached mean little while calls lead nowhere.
	if len(*ps) == 0 {
		a.validateGraph(ps)
	}
}

func (a *App) validateServices(ps *Problems) {
	if len(a.Services) == 0 {
		ps.add(0, "no services: list at least one")
	}
	if len(a.Services) > maxServices {
		ps.add(0, "%d services: at most %d", len(a.Services), maxServices)
		return
	}
	defined := make(map[string]int)
	for _, s := range a.Services {
		if line, ok := defined[s.Name]; ok {
			ps.add(s.Line, "service %q is defined twice, first on line %d: rename or remove one", s.Name, line)
			continue
		}
		defined[s.Name] = s.Line
		a.validateService(s, ps)
	}

	replicas := 0
	for _, s := range a.Services {
		replicas += max(0, s.Replicas)
	}
	if replicas > maxContainers {
		ps.add(0, "%d replicas in all: at most %d", replicas, maxContainers)
		return
	}
	owners := make(map[string]string)
	for _, c := range a.Containers() {
		if owner, ok := owners[c.Name]; ok && owner != c.Service {
			ps.add(a.Service(c.Service).Line, "services %q and %q both have a container %q: rename one", owner, c.Service, c.Name)
		}
		owners[c.Name] = c.Service
	}
}

// validateUsers checks what users ask for and what they are promised.
func (a *App) validateUsers(ps *Problems) {
	if len(a.Requests) == 0 {
		ps.add(0, "no requests: say what users ask for, for example {name: browse, weight: 1, call: web.browse}")
	}
	names := make(map[string]bool)
	for _, r := range a.Requests {
		if !validEndpoint.MatchString(r.Name) {
			ps.add(r.Line, "request name %q: %s", r.Name, endpointRule)
		} else if names[r.Name] {
			ps.add(r.Line, "request %q is described twice: rename or remove one", r.Name)
		}
		names[r.Name] = true
		within(ps, r.Line, fmt.Sprintf("request %q: weight", r.Name), r.Weight, 1e-6, 1e6)
		if s := a.validateTarget(r.Line, fmt.Sprintf("request %q", r.Name), r.Call, ps); s != nil && !kinds[s.Kind].calls {
			ps.add(r.Line, "request %q: users cannot call %q, which is %s: let them call an app or nginx", r.Name, s.Name, s.Kind)
		}
	}

	if len(a.QoS) == 0 {
		ps.add(0, "no qos: promise something of an entry, for example {service: web, percentile: 99, target: 20ms}")
	}
	promised := make(map[string]bool)
	for _, q := range a.QoS {
		switch entries := a.Entries(); {
		case promised[q.Service]:
			ps.add(q.Line, "qos of %q is given twice: remove one", q.Service)
		case !slices.Contains(entries, q.Service):
			ps.add(q.Line, "qos of %q, which no request calls: promise something of %s", q.Service, strings.Join(entries, " or "))
		}
		promised[q.Service] = true
		within(ps, q.Line, "qos: percentile", q.Percentile, 1, 99.999)
		within(ps, q.Line, "qos: target", q.Target, 100*time.Microsecond, time.Minute)
	}

	within(ps, a.Load.Line, "load: rate, in requests per second,", a.Load.Rate, 1e-3, 1e6)
	within(ps, a.Load.Line, "load: connections", a.Load.Connections, 1, 10_000)
	if m := a.Machine; m != nil {
		within(ps, m.Line, "machine: receive", m.Receive, 0, time.Second)
		within(ps, m.Line, "machine: send", m.Send, 0, time.Second)
		within(ps, m.Line, "machine: hop", m.Hop, 0, time.Second)
		within(ps, m.Line, "machine: kernel", m.Kernel, 0, time.Second)
	}
}

// validateGraph checks what follows from all calls together.
func (a *App) validateGraph(ps *Problems) {
	endless := a.endlessCalls()
	for _, path := range endless {
		ps.add(a.Service(path[0].Service).Line, "endless: %s: an answer would need itself, end the circle somewhere", joinPath(path))
	}
	if len(endless) > 0 {
		return
	}
	if !a.AllowCycles {
		g := a.graph(func(c Call) bool { return !c.Async })
		for _, group := range g.components() {
			if g.circular(group) {
				var names []string
				for _, s := range group {
					names = append(names, a.Services[s].Name)
				}
				ps.add(a.Services[group[0]].Line,
					"services wait for each other in a circle and can block for good: %s: make a call async, or set \"allow_cycles: true\" if it is meant",
					strings.Join(names, ", "))
			}
		}
	}

	reached := make(map[string]bool)
	calls := 0.0
	for target, n := range a.Visits() {
		reached[target.Service] = true
		calls += n
	}
	for _, s := range a.Services {
		if !reached[s.Name] {
			ps.add(s.Line, "service %q is reached by no request: call it, or remove it", s.Name)
		}
	}
	if calls > maxCallsPerRequest {
		ps.add(0, "a request makes %.0f calls on average: at most %d, repeat less", calls, maxCallsPerRequest)
	}
}

// endlessCalls finds endpoints that call themselves, through others or at once,
// and returns one path for each circle met.
func (a *App) endlessCalls() [][]Target {
	const entered, left = 1, 2
	var (
		circles [][]Target
		path    []Target
		state   = make(map[Target]int)
		visit   func(Target)
	)
	visit = func(t Target) {
		switch state[t] {
		case left:
			return
		case entered:
			circles = append(circles, append(slices.Clone(path[slices.Index(path, t):]), t))
			return
		}
		state[t] = entered
		path = append(path, t)
		for _, call := range a.endpoint(t).Calls() {
			visit(call.Target)
		}
		path = path[:len(path)-1]
		state[t] = left
	}
	for _, s := range a.Services {
		for _, name := range slices.Sorted(maps.Keys(s.Endpoints)) {
			visit(Target{s.Name, name})
		}
	}
	return circles
}

func joinPath(path []Target) string {
	words := make([]string, len(path))
	for i, t := range path {
		words[i] = t.String()
	}
	return strings.Join(words, " -> ")
}

// validateTarget returns the service that is called, nil if there is none.
func (a *App) validateTarget(line int, who string, t Target, ps *Problems) *Service {
	if t == (Target{}) {
		ps.add(line, "%s: no call: write SERVICE.ENDPOINT", who)
		return nil
	}
	s := a.Service(t.Service)
	if s == nil {
		ps.add(line, "%s: calls %s, but there is no service %q: define it or correct the name", who, t, t.Service)
		return nil
	}
	if _, ok := s.Endpoints[t.Endpoint]; !ok {
		has := strings.Join(slices.Sorted(maps.Keys(s.Endpoints)), ", ")
		ps.add(line, "%s: calls %s, but %q has no such endpoint, only %s", who, t, t.Service, has)
		return nil
	}
	return s
}

// within checks that a number is in a range. It is written so that NaN is not.
func within[N ~int | ~int64 | ~float64](ps *Problems, line int, what string, n, low, high N) {
	switch {
	case n >= low && n <= high:
	case low == high:
		ps.add(line, "%s is %v: it can only be %v", what, n, low)
	default:
		ps.add(line, "%s is %v: choose from %v to %v", what, n, low, high)
	}
}

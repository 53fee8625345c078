package topology

import (
	"fmt"
	"slices"
)

// Edge says that a service calls another.
type Edge struct {
	Caller, Callee string
}

// Container is one replica of a service.
type Container struct {
	Name    string // the service's, with -1, -2, ... where it has several replicas
	Service string
}

// Service returns the service of that name, nil if there is none.
func (a *App) Service(name string) *Service {
	for _, s := range a.Services {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Entries returns the services that users call, in the order of the requests.
func (a *App) Entries() []string {
	var entries []string
	for _, r := range a.Requests {
		if !slices.Contains(entries, r.Call.Service) {
			entries = append(entries, r.Call.Service)
		}
	}
	return entries
}

// Containers lists the replicas of all services, in the order of the file.
func (a *App) Containers() []Container {
	var containers []Container
	for _, s := range a.Services {
		if s.Replicas <= 1 {
			containers = append(containers, Container{s.Name, s.Name})
			continue
		}
		for i := range s.Replicas {
			containers = append(containers, Container{fmt.Sprintf("%s-%d", s.Name, i+1), s.Name})
		}
	}
	return containers
}

// Edges lists who calls whom, each pair once, in the order of the file: by the
// caller and then by the callee.
func (a *App) Edges() []Edge {
	g := a.graph(func(Call) bool { return true })
	var edges []Edge
	for caller, callees := range g {
		for _, callee := range callees {
			edges = append(edges, Edge{a.Services[caller].Name, a.Services[callee].Name})
		}
	}
	return edges
}

// Order returns the names of the services in the order of a model's rows: every
// service after those it calls, so back-end first; the same order for the same
// file. Services that call each other in a circle are next to each other, and
// each such group is returned, too.
func (a *App) Order() (names []string, cycles [][]string) {
	g := a.graph(func(Call) bool { return true })
	for _, group := range g.components() {
		members := make([]string, len(group))
		for i, s := range group {
			members[i] = a.Services[s].Name
		}
		names = append(names, members...)
		if g.circular(group) {
			cycles = append(cycles, members)
		}
	}
	return names, cycles
}

// Call is one call in the steps of an endpoint.
type Call struct {
	Target Target
	Mean   float64 // calls per call of the endpoint: chances, repeats and misses multiplied
	Async  bool
	Line   int
}

// Calls lists the calls of an endpoint in the order of its steps, those of a
// cache included. Retries do not count.
func (e Endpoint) Calls() []Call { return appendCalls(nil, e, 1) }

func appendCalls(calls []Call, steps []Step, mean float64) []Call {
	for _, step := range steps {
		mean := mean * step.Chance * float64(step.Repeat)
		if step.Call != nil {
			calls = append(calls, Call{*step.Call, mean, step.Async, step.Line})
		}
		if c := step.Cache; c != nil {
			calls = append(calls, Call{c.Call, mean, false, step.Line})
			calls = appendCalls(calls, c.Miss, mean*(1-c.Hit))
			if c.Fill != nil {
				calls = append(calls, Call{*c.Fill, mean * (1 - c.Hit), false, step.Line})
			}
		}
		calls = appendCalls(calls, step.Parallel, mean)
		if step.Lock != nil {
			calls = appendCalls(calls, step.Lock.Steps, mean)
		}
	}
	return calls
}

// Visits returns how often each endpoint is called, on average, for one request
// of the users' mix. An endpoint that no request reaches is not in the map.
// Where endpoints call each other in a circle there is no such number, and
// Validate refuses that.
func (a *App) Visits() map[Target]float64 {
	var order []Target // callees before callers
	seen := make(map[Target]bool)
	var visit func(Target)
	visit = func(t Target) {
		if seen[t] {
			return
		}
		seen[t] = true
		for _, call := range a.endpoint(t).Calls() {
			visit(call.Target)
		}
		order = append(order, t)
	}
	visits := make(map[Target]float64)
	total := 0.0
	for _, r := range a.Requests {
		visit(r.Call)
		total += r.Weight
	}
	for _, r := range a.Requests {
		visits[r.Call] += r.Weight / total
	}
	for _, t := range slices.Backward(order) {
		for _, call := range a.endpoint(t).Calls() {
			visits[call.Target] += visits[t] * call.Mean
		}
	}
	return visits
}

// endpoint returns the steps of a target, none if it does not exist.
func (a *App) endpoint(t Target) Endpoint {
	if s := a.Service(t.Service); s != nil {
		return s.Endpoints[t.Endpoint]
	}
	return nil
}

// graph holds for the number of each caller the numbers of its callees, sorted.
type graph [][]int

// graph returns who calls whom, by the calls that count.
func (a *App) graph(counts func(Call) bool) graph {
	number := make(map[string]int, len(a.Services))
	for i, s := range a.Services {
		number[s.Name] = i
	}
	g := make(graph, len(a.Services))
	for i, s := range a.Services {
		for _, steps := range s.Endpoints {
			for _, call := range steps.Calls() {
				if callee, ok := number[call.Target.Service]; ok && counts(call) {
					g[i] = append(g[i], callee)
				}
			}
		}
		slices.Sort(g[i])
		g[i] = slices.Compact(g[i])
	}
	return g
}

// components returns the strongly connected components, callees first (Tarjan's
// algorithm), the members of each in their own order.
func (g graph) components() [][]int {
	var (
		groups  [][]int
		stack   []int
		counter int
		index   = make([]int, len(g)) // in order of the visit, from 1; 0: not visited
		low     = make([]int, len(g)) // lowest index reachable within the stack
		onStack = make([]bool, len(g))
		visit   func(int)
	)
	visit = func(v int) {
		counter++
		index[v], low[v] = counter, counter
		stack, onStack[v] = append(stack, v), true
		for _, w := range g[v] {
			switch {
			case index[w] == 0:
				visit(w)
				low[v] = min(low[v], low[w])
			case onStack[w]:
				low[v] = min(low[v], index[w])
			}
		}
		if low[v] != index[v] {
			return
		}
		top := slices.Index(stack, v)
		group := slices.Clone(stack[top:])
		stack = stack[:top]
		for _, w := range group {
			onStack[w] = false
		}
		slices.Sort(group)
		groups = append(groups, group)
	}
	for v := range g {
		if index[v] == 0 {
			visit(v)
		}
	}
	return groups
}

// circular says whether a component holds a cycle.
func (g graph) circular(group []int) bool {
	return len(group) > 1 || slices.Contains(g[group[0]], group[0])
}

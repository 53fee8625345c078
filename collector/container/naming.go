package container

import (
	"cmp"
	"slices"
)

// publish rebuilds the containers whose facts changed and replaces the map
// that Resolve reads. What is already published keeps its name and, as far as
// it can, its service: both are keys that other parts of Seer remember.
func (r *Resolver) publish() {
	live := make([]*entry, 0, len(r.entries))
	r.stats.Containers, r.stats.Unresolved = 0, 0
	for _, e := range r.entries {
		if !e.alive() {
			continue
		}
		if e.path == "" {
			r.stats.Unresolved++
			continue
		}
		live = append(live, e)
	}
	r.stats.Containers = len(live)
	// By ID, so that the oldest cgroup has first choice of a name, and a
	// restart of Seer mostly finds the same names.
	slices.SortFunc(live, func(a, b *entry) int { return cmp.Compare(a.id, b.id) })

	s := settle(live)
	containers := make([]*Container, len(live))
	for i, e := range live {
		service := s.service(e)
		if !e.settled || e.container.Service != service {
			e.container = s.build(e, service)
			e.settled = true
		}
		containers[i] = e.container
	}

	known := make(map[ID]*Container, len(r.entries))
	for id, e := range r.entries {
		known[id] = e.container
	}
	r.known.Store(&known)
	r.live.Store(&containers)
	r.mu.Lock()
	for id := range r.pending {
		if known[id] != nil {
			delete(r.pending, id)
		}
	}
	r.mu.Unlock()
}

// settlement is who holds which name and which service.
type settlement struct {
	names    map[string]ID
	services map[string]string // service to the scope that has it bare
	prefixed map[scoped]bool   // published with the scope before the service
	stems    map[scoped]int    // containers whose names differ in a replica number only
	stemmed  map[scoped]bool   // published with the stem as service
}

type scoped struct{ scope, name string }

func settle(live []*entry) *settlement {
	s := &settlement{
		names: map[string]ID{}, services: map[string]string{}, prefixed: map[scoped]bool{},
		stems: map[scoped]int{}, stemmed: map[scoped]bool{},
	}
	for _, e := range live {
		base, ok := e.facts.stem()
		if ok {
			s.stems[scoped{e.facts.scopeKey(), base}]++
		}
		if e.settled {
			s.names[e.container.Name] = e.id
			if ok && e.facts.owns(e.container.Service, base) {
				s.stemmed[scoped{e.facts.scopeKey(), base}] = true
			}
		}
	}
	for _, e := range live {
		if !e.settled {
			continue
		}
		switch want, scope := s.wanted(e), e.facts.scopeKey(); e.container.Service {
		case want:
			s.services[want] = scope
		case prefix(scope, want):
			s.prefixed[scoped{scope, want}] = true
		}
	}
	return s
}

// stem returns the name without its replica number, for containers that
// nothing but their name groups.
func (f facts) stem() (string, bool) {
	base, _, ok := replicaStem(f.name)
	return base, ok && f.replica && f.service == ""
}

// owns reports whether a published service is the one wanted, bare or not.
func (f facts) owns(published, want string) bool {
	return published == want || published == prefix(f.scopeKey(), want)
}

func prefix(scope, service string) string { return printable(scope) + "/" + service }

// wanted is the service that e's facts ask for.
func (s *settlement) wanted(e *entry) string {
	service := e.facts.service
	if service == "" {
		service = e.facts.name
		if base, compose, ok := replicaStem(service); ok && e.facts.replica {
			key := scoped{e.facts.scopeKey(), base}
			// Once a replica, always one: a service that scales to one
			// container must not change its name.
			if compose || s.stems[key] >= 2 || s.stemmed[key] {
				service = base
			}
		}
	}
	if service = printable(service); service == "" {
		return placeholder(e.id).Service
	}
	return service
}

// service returns e's service, unique among the scopes of the host: the first
// scope has it bare, others with the scope before it, for as long as they run.
func (s *settlement) service(e *entry) string {
	service, scope := s.wanted(e), e.facts.scopeKey()
	owner, taken := s.services[service]
	switch {
	case s.prefixed[scoped{scope, service}], taken && owner != scope:
		s.prefixed[scoped{scope, service}] = true
		return prefix(scope, service)
	case !taken:
		s.services[service] = scope
	}
	return service
}

// scopeKey says where a service's name means one thing: a namespace, a compose
// project, else all containers of one runtime.
func (f facts) scopeKey() string { return cmp.Or(f.scope, f.runtime) }

// build makes the container that e's facts describe, under a name that no
// other live container has.
func (s *settlement) build(e *entry, service string) *Container {
	return &Container{
		ID:        e.id,
		Name:      s.claim(e),
		Service:   service,
		Runtime:   e.facts.runtime,
		RuntimeID: printable(e.facts.id),
		Pod:       printable(e.facts.pod),
		Namespace: printable(e.facts.namespace),
		Image:     printable(e.facts.image),
		Unit:      printable(e.unit),
		Path:      e.path,
	}
}

// claim returns a name for e that is free, made unique by as much of an id as
// it takes.
func (s *settlement) claim(e *entry) string {
	base := printable(e.facts.name)
	if base == "" {
		base = placeholder(e.id).Name
	}
	if e.settled && s.names[e.container.Name] == e.id {
		return e.container.Name // only its service changed
	}
	suffixes := []string{e.id.String()}
	if id := e.facts.id; isHexID(id) {
		suffixes = []string{id[:4], id[:8], id[:12], e.id.String()}
	}
	name := base
	for i := 0; ; i++ {
		if owner, taken := s.names[name]; !taken || owner == e.id || i == len(suffixes) {
			break
		}
		name = base + "-" + suffixes[i]
	}
	s.names[name] = e.id
	return name
}

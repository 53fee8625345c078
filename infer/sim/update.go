package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"seer/infer/topology"
)

// Update is a change of the application at a time: a service added or removed,
// other replicas, a database replaced, other code.
type Update struct {
	At  time.Duration
	App *topology.App
}

// Update changes the application now. Services are told apart by name: those
// that app lacks are removed, and finish what they have begun; the others keep
// their containers, whose requests under way end as they began.
func (s *Simulation) Update(app *topology.App) error {
	if err := s.install(app); err != nil {
		return fmt.Errorf("update at %v: %w", s.Now(), err)
	}
	s.sampler.grow(len(s.visible()))
	return nil
}

// install makes app the application.
func (s *Simulation) install(app *topology.App) error {
	if err := app.Validate(); err != nil {
		return err
	}
	s.app = app
	for i := range s.services[1:] {
		if v := &s.services[i+1]; app.Service(v.name) == nil {
			v.entries = nil
			s.setReplicas(int32(i+1), nil)
		}
	}
	for _, spec := range app.Services {
		v := s.register(spec)
		v.entries = make(map[string]int32, len(spec.Endpoints))
		for _, name := range slices.Sorted(maps.Keys(spec.Endpoints)) {
			v.entries[name] = int32(len(s.programs.endpoints))
			s.programs.endpoints = append(s.programs.endpoints, endpoint{})
		}
	}
	for _, spec := range app.Services {
		if err := s.compile(spec); err != nil {
			return err
		}
	}
	if err := s.compileUsers(app); err != nil {
		return err
	}
	names := make(map[string][]string)
	for _, c := range app.Containers() {
		names[c.Service] = append(names[c.Service], c.Name)
	}
	for i := range s.services[1:] {
		if v := &s.services[i+1]; len(names[v.name]) > 0 {
			s.setReplicas(int32(i+1), names[v.name])
		}
	}
	for _, c := range s.containers {
		if c.service != none && c.retired == 0 {
			s.shape(c, &s.services[c.service])
		}
	}
	s.setDemand(s.config.Nominal)
	return nil
}

func (s *Simulation) register(spec *topology.Service) *service {
	i := slices.IndexFunc(s.services, func(v service) bool { return v.name == spec.Name })
	if i < 0 {
		i = len(s.services)
		s.services = append(s.services, service{name: spec.Name})
	}
	v := &s.services[i]
	v.spec = spec
	v.multiplex = spec.Protocol == topology.ProtocolGRPC
	return v
}

func (s *Simulation) resolve(t topology.Target) (int32, int32, error) {
	for i := range s.services {
		if v := &s.services[i]; v.name == t.Service {
			if entry, ok := v.entries[t.Endpoint]; ok {
				return int32(i), entry, nil
			}
		}
	}
	return 0, 0, fmt.Errorf("%s is called and does not exist", t)
}

func (s *Simulation) compile(spec *topology.Service) error {
	v := s.register(spec)
	for _, name := range slices.Sorted(maps.Keys(spec.Endpoints)) {
		c := compiler{programs: s.programs, service: v, place: spec.Name + "." + name, resolve: s.resolve}
		service := int32(slices.IndexFunc(s.services, func(o service) bool { return o.name == spec.Name }))
		s.programs.endpoints[v.entries[name]] = endpoint{service: service, pc: c.here()}
		c.steps(spec.Endpoints[name])
		c.emit(op{kind: opEnd})
		if c.err != nil {
			return c.err
		}
	}
	return nil
}

// setReplicas gives a service as many containers as there are names.
func (s *Simulation) setReplicas(i int32, names []string) {
	v := &s.services[i]
	if len(names) == len(v.containers) {
		return
	}
	for _, n := range v.containers[min(len(names), len(v.containers)):] {
		s.containers[n].retired = max(1, s.now)
	}
	v.containers = slices.Clone(v.containers[:min(len(names), len(v.containers))])
	for len(v.containers) < len(names) {
		host := int32(len(s.visible()) % s.config.Hosts)
		n, _ := s.newContainer(names[len(v.containers)], i, host)
		v.containers = append(v.containers, n)
	}
	// Connections to a service are kept per replica: begin anew. Calls under way
	// keep the old ones.
	for _, c := range s.containers {
		if c.service == none {
			continue
		}
		if slot := slices.Index(s.services[c.service].callees, i); slot >= 0 && slot < len(c.pools) {
			c.pools[slot] = none
		}
	}
}

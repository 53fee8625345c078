package sim

import (
	"fmt"
	"slices"
	"time"

	"seer/infer/campaign"
	"seer/infer/topology"
)

// Arrivals are the requests of the users, in an open loop: whatever becomes of
// those before. campaign.Arrivals are some.
type Arrivals interface {
	// Next returns when the next request is meant to be sent, in microseconds
	// since the start, and its kind, an index of the application's requests;
	// false after the last one.
	Next() (atUS int64, request int, ok bool)
}

type users struct {
	arrivals Arrivals
	asked    uint64 // requests so far
	types    []requestType
}

type requestType struct {
	name    string
	service string
	pc      int32
}

// compileUsers makes a program of each request that the arrivals may ask for, as
// app has it.
func (s *Simulation) compileUsers(app *topology.App) error {
	types := make([]requestType, 0, len(s.config.App.Requests))
	for _, asked := range s.config.App.Requests {
		k := slices.IndexFunc(app.Requests, func(r topology.Request) bool { return r.Name == asked.Name })
		if k < 0 {
			return fmt.Errorf("application %q has no request %q, which the users go on sending", app.Name, asked.Name)
		}
		r := &app.Requests[k]
		c := compiler{programs: s.programs, service: &s.services[0], place: "users." + r.Name, resolve: s.resolve}
		types = append(types, requestType{name: r.Name, service: r.Call.Service, pc: c.here()})
		c.call(r.Call, &topology.Step{Timeout: s.config.UserTimeout}, false)
		c.emit(op{kind: opEnd})
		if c.err != nil {
			return c.err
		}
	}
	s.users.types = types
	return nil
}

// planUser plans the next request.
func (s *Simulation) planUser() {
	if at, request, ok := s.users.arrivals.Next(); ok {
		s.heap.push(max(s.now, at*int64(time.Microsecond)), evUser, int32(request), 0)
	}
}

// userAsks is what happens at evUser.
func (s *Simulation) userAsks(request int32) {
	u := &s.users
	u.asked++
	i, t := s.tasks.new()
	t.key = draw(mix(s.config.Seed)^u.asked, saltRequest)
	t.flags = flagUser
	t.container = 0
	t.born, t.sent = s.now, s.now
	t.request = request
	t.pc = u.types[request].pc
	s.advance(i, t)
	s.planUser()
}

// userDone hands a request to the sink and ends it.
func (s *Simulation) userDone(i int32, t *task) {
	status := campaign.StatusOK
	switch {
	case t.is(flagTimedOut):
		status = campaign.StatusTimeout
	case t.is(flagFailed):
		status = campaign.StatusError
	}
	kind := &s.users.types[t.request]
	if s.config.Sink != nil && s.err == nil {
		intended := t.born / int64(time.Microsecond)
		s.err = s.config.Sink.Request(campaign.Request{
			IntendedUS: intended,
			SentUS:     t.sent / int64(time.Microsecond),
			LatencyUS:  s.now/int64(time.Microsecond) - intended,
			Type:       kind.name, Service: kind.service, Status: string(status),
		})
	}
	s.tasks.release(i)
}

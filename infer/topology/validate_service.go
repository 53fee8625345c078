package topology

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

func (a *App) validateService(s *Service, ps *Problems) {
	if !validName.MatchString(s.Name) {
		ps.add(s.Line, "service name %q: %s", s.Name, nameRule)
	}
	who := fmt.Sprintf("service %q", s.Name)
	info, ok := kinds[s.Kind]
	if !ok {
		ps.add(s.Line, "%s: no kind %q: choose from %s", who, s.Kind, joinWords(Kinds()))
		return
	}
	if !slices.Contains(info.protocols, s.Protocol) {
		ps.add(s.Line, "%s: protocol %q: %s speaks %s", who, s.Protocol, s.Kind, joinWords(info.protocols))
	}
	within(ps, s.Line, who+": replicas", s.Replicas, 1, 1000)
	if info.workers.max == 0 && s.Workers != 0 {
		ps.add(s.Line, "%s: workers: %s takes no such bound, remove it", who, s.Kind)
	} else {
		within(ps, s.Line, who+": workers", s.Workers, min(info.workers.fallback, 1), info.workers.max)
	}
	within(ps, s.Line, who+": backlog", s.Backlog, 1, 65_535)
	within(ps, s.Line, who+": pool", s.Pool, 1, 1000)
	if s.CPULimit != 0 {
		within(ps, s.Line, who+": cpu_limit, in CPUs,", s.CPULimit, 0.01, 1024)
	}
	if s.MemoryLimit != 0 {
		within(ps, s.Line, who+": memory_limit", s.MemoryLimit, 4<<20, 1<<40)
	}

	if len(s.Endpoints) == 0 {
		ps.add(s.Line, "%s: no endpoints: describe what it answers", who)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Endpoints)) {
		check := stepCheck{app: a, service: s, who: fmt.Sprintf("%s, endpoint %q", who, name), ps: ps}
		switch {
		case info.endpoints != nil && !slices.Contains(info.endpoints, name):
			ps.add(s.Line, "%s: %s has %s", check.who, s.Kind, strings.Join(info.endpoints, ", "))
		case !validEndpoint.MatchString(name):
			ps.add(s.Line, "%s: %s", check.who, endpointRule)
		}
		check.steps(s.Endpoints[name])
		switch {
		case s.Kind == KindNginx:
			check.proxy(s.Endpoints[name])
		case !info.calls:
			check.workOnly(s.Endpoints[name])
		}
	}
}

// stepCheck checks the steps of one endpoint.
type stepCheck struct {
	app     *App
	service *Service
	who     string // the endpoint, for messages
	ps      *Problems
	lock    string // the lock held
}

func (c *stepCheck) add(line int, format string, args ...any) {
	c.ps.add(line, "%s: %s", c.who, fmt.Sprintf(format, args...))
}

func (c *stepCheck) steps(steps []Step) {
	for i := range steps {
		c.step(&steps[i])
	}
}

func (c *stepCheck) step(s *Step) {
	within(c.ps, s.Line, c.who+": chance", s.Chance, 1e-6, 1)
	within(c.ps, s.Line, c.who+": repeat", s.Repeat, 1, 100)

	things := 0
	for _, set := range []bool{s.Work != nil, s.Call != nil, s.Cache != nil, s.Parallel != nil, s.Lock != nil} {
		if set {
			things++
		}
	}
	if things != 1 {
		c.add(s.Line, "a step does %d things: give it one of work, call, cache, parallel and lock", things)
	}

	if s.Call == nil {
		if s.Timeout != 0 || s.Retries != 0 || s.Async {
			c.add(s.Line, "timeout, retries and async belong to a call: move them to one")
		}
	} else {
		c.call(s.Line, *s.Call)
		within(c.ps, s.Line, c.who+": timeout", s.Timeout, time.Millisecond, time.Minute)
		within(c.ps, s.Line, c.who+": retries", s.Retries, 0, 10)
	}
	if s.Work != nil {
		c.work(s.Line, s.Work)
	}
	if s.Cache != nil {
		c.cache(s.Line, s.Cache)
	}
	if s.Parallel != nil {
		if len(s.Parallel) < 2 {
			c.add(s.Line, "parallel with %d steps: give it two or more", len(s.Parallel))
		}
		c.steps(s.Parallel)
	}
	if s.Lock != nil {
		c.locked(s.Line, s.Lock)
	}
}

func (c *stepCheck) work(line int, w *Work) {
	if w.CPU == 0 && w.Memory == 0 && w.Disk == 0 && w.Wait == 0 && w.Reply == 0 {
		c.add(line, "work without content: give it cpu, memory, disk, wait or reply")
	}
	within(c.ps, line, c.who+": cpu", w.CPU, 0, 10*time.Second)
	within(c.ps, line, c.who+": cv", w.CV, 1e-3, 10)
	within(c.ps, line, c.who+": tail", w.Tail, 0, 0.5)
	within(c.ps, line, c.who+": memory", w.Memory, 0, 1<<30)
	within(c.ps, line, c.who+": disk", w.Disk, 0, 1<<30)
	within(c.ps, line, c.who+": wait", w.Wait, 0, 10*time.Second)
	within(c.ps, line, c.who+": reply", w.Reply, 0, 16<<20)
}

// call returns the service that is called, nil if there is none.
func (c *stepCheck) call(line int, t Target) *Service {
	return c.app.validateTarget(line, c.who, t, c.ps)
}

func (c *stepCheck) cache(line int, cache *Cache) {
	within(c.ps, line, c.who+": hit", cache.Hit, 0, 1)
	if s := c.call(line, cache.Call); s != nil && s.Kind != KindMemcached && s.Kind != KindRedis {
		c.add(line, "%q is no cache but %s: name a memcached or redis", s.Name, s.Kind)
	}
	c.steps(cache.Miss)
	if cache.Fill != nil {
		if s := c.call(line, *cache.Fill); s != nil && s.Name != cache.Call.Service {
			c.add(line, "fills %q, but looks into %q: use one cache", s.Name, cache.Call.Service)
		}
	}
}

func (c *stepCheck) locked(line int, lock *Lock) {
	if !validEndpoint.MatchString(lock.Name) {
		c.add(line, "lock name %q: %s", lock.Name, endpointRule)
	}
	if c.lock != "" {
		c.add(line, "lock %q is taken while %q is held: locks do not nest, take one at a time", lock.Name, c.lock)
		return
	}
	if len(lock.Steps) == 0 {
		c.add(line, "lock %q without steps: say what is done while it is held", lock.Name)
	}
	c.lock = lock.Name
	c.steps(lock.Steps)
	c.lock = ""
}

// proxy checks an endpoint of nginx: it passes a request on, or answers it with a
// file.
func (c *stepCheck) proxy(steps []Step) {
	calls := 0
	for _, s := range steps {
		switch {
		case s.Chance != 1 || s.Repeat != 1 || s.Async || s.Retries != 0 || s.Cache != nil || s.Parallel != nil || s.Lock != nil:
			c.add(s.Line, "nginx passes a request on with one plain call: put anything else into an app behind it")
		case s.Call != nil:
			calls++
			if callee := c.app.Service(s.Call.Service); callee != nil && callee.Protocol != ProtocolHTTP {
				c.add(s.Line, "nginx speaks http, but %q speaks %s: put an app that translates between them", callee.Name, callee.Protocol)
			}
		}
	}
	if calls > 1 {
		c.add(steps[0].Line, "nginx passes a request on with one call, not %d: put an app behind it", calls)
	}
	if calls == 0 && !slices.ContainsFunc(steps, func(s Step) bool { return s.Work != nil && s.Work.Reply > 0 }) {
		c.add(c.service.Line, "nginx neither passes the request on nor has a file to reply: add a call, or work with a reply")
	}
}

// workOnly checks an endpoint of a real server, whose steps are an estimate.
func (c *stepCheck) workOnly(steps []Step) {
	for _, s := range steps {
		if s.Work == nil {
			c.add(s.Line, "%s calls nobody: its steps are only the work that the simulator takes it to do", c.service.Kind)
		}
	}
}

func joinWords[S ~string](words []S) string {
	text := make([]string, len(words))
	for i, w := range words {
		text[i] = string(w)
	}
	return strings.Join(text, ", ")
}

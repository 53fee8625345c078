package container

import (
	"context"
	"strings"
	"time"
)

const (
	// missPasses is how many passes over the trees may miss an ID before it is
	// taken for that of a removed cgroup. One is not enough: a cgroup can
	// appear behind the pass.
	missPasses = 3

	// A pass costs 2 to 5 us per cgroup. Passes are spaced so that they take
	// at most 2 % of one core while an ID waits for its name, and 0.2 % while
	// they only look for what has gone, but never further than maxSpacing.
	waitingSpacing = 50
	idleSpacing    = 500
	maxSpacing     = 10 * time.Second

	// How long until a name is looked for again: soon while a runtime may still
	// be writing it, seldom once it is known, since few containers are renamed.
	firstLook = time.Second
	lastLook  = time.Minute
)

// entry is what Refresh knows about one ID that Resolve was asked for.
type entry struct {
	id     ID
	path   string // "" while no tree has it
	root   bool   // of a whole hierarchy
	misses int    // passes that did not find it
	facts  facts
	unit   string

	container *Container // published
	settled   bool       // container says what facts say
	lookAt    time.Time  // when to look for a name again
	wait      time.Duration
	goneAt    time.Time // zero while it lives
}

func (e *entry) alive() bool { return e.goneAt.IsZero() }

// Refresh brings names up to date: to be called about once a second, off the
// tick path. It returns only ctx's error.
func (r *Resolver) Refresh(ctx context.Context) error {
	r.work.Lock()
	defer r.work.Unlock()
	now := time.Now()
	changed := r.adopt()
	if r.due(now) {
		buried, err := r.pass(ctx, now)
		if err != nil {
			return err
		}
		changed = changed || buried
		r.passed, r.stats.Took = now, time.Since(now)
	}
	if r.name(now) {
		changed = true
	}
	if r.expire(now) {
		changed = true
	}
	if changed {
		r.publish()
	}
	return nil
}

// due reports whether it is time for another pass.
func (r *Resolver) due(now time.Time) bool {
	spacing := time.Duration(idleSpacing)
	for _, e := range r.entries {
		if e.alive() && e.path == "" {
			spacing = waitingSpacing
			break
		}
	}
	return now.Sub(r.passed) >= min(r.stats.Took*spacing, maxSpacing)
}

// adopt starts an entry for each ID that Resolve was asked for.
func (r *Resolver) adopt() (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, c := range r.pending {
		if id&ByComm != 0 || r.entries[id] != nil || len(r.entries) >= 2*r.cfg.MaxCgroups {
			continue
		}
		r.entries[id] = &entry{id: id, container: c}
		changed = true
	}
	return changed
}

// pass walks the trees, gives paths to the entries without one, and buries
// those whose cgroups have gone.
func (r *Resolver) pass(ctx context.Context, now time.Time) (changed bool, err error) {
	var gone []ID
	r.stats.Cgroups, r.stats.Truncated = 0, false
	for _, t := range r.trees {
		if err := t.update(ctx, func(id ID) { gone = append(gone, id) }); err != nil {
			return false, err
		}
		r.stats.Cgroups += len(t.byID)
		r.stats.Truncated = r.stats.Truncated || t.full
	}
	for _, id := range gone {
		e := r.entries[id]
		if e == nil {
			continue
		}
		if n, _ := r.find(id); n != nil { // renamed, which v1 allows
			e.path = ""
			continue
		}
		r.bury(e, now)
		changed = true
	}
	for _, e := range r.entries {
		if e.path != "" || !e.alive() {
			continue
		}
		if n, t := r.find(e.id); n != nil {
			e.path, e.root = n.path, t.isRoot(n)
			e.lookAt, e.wait, e.settled = now, 0, false
			changed = true
		} else if e.misses++; e.misses >= missPasses {
			r.bury(e, now)
			changed = true
		}
	}
	return changed, nil
}

// find returns the cgroup with this ID.
func (r *Resolver) find(id ID) (*node, *tree) {
	for _, t := range r.trees {
		if n := t.byID[id]; n != nil {
			return n, t
		}
	}
	return nil, nil
}

// bury notes that an entry's cgroup is gone.
func (r *Resolver) bury(e *entry, now time.Time) {
	if !e.alive() {
		return
	}
	e.goneAt = now
	r.mu.Lock()
	r.gone = append(r.gone, e.id)
	r.mu.Unlock()
}

// expire forgets what has been gone for longer than the grace period.
func (r *Resolver) expire(now time.Time) (changed bool) {
	for id, e := range r.entries {
		if !e.alive() && now.Sub(e.goneAt) >= r.cfg.Grace {
			delete(r.entries, id)
			changed = true
		}
	}
	return changed
}

// name looks up the entries that are due.
func (r *Resolver) name(now time.Time) (changed bool) {
	scanned := false
	for _, e := range r.entries {
		if !e.alive() || e.path == "" || now.Before(e.lookAt) {
			continue
		}
		if !scanned {
			r.tasks.rescan()
			scanned = true
		}
		f, unit, certain := r.lookup(e)
		if f != e.facts || unit != e.unit {
			e.facts, e.unit, e.settled = f, unit, false
			changed = true
		}
		e.wait = min(max(firstLook, 2*e.wait), lastLook)
		if certain {
			e.wait = lastLook
		}
		e.lookAt = now.Add(e.wait)
	}
	return changed
}

// lookup asks every source for a name, best first. certain says that a runtime
// answered, so that looking again soon is no use.
func (r *Resolver) lookup(e *entry) (f facts, unit string, certain bool) {
	if e.root {
		return facts{name: "host", service: "host", runtime: "host"}, "", true
	}
	p := classify(e.path)
	nested := p.nested
	f, certain = r.ask(p, e.path, &nested)
	if !certain {
		f = fromPath(p, e.path)
	}
	if nested != "" {
		if f.service == "" {
			f.service = f.name // one service, however many cgroups it makes
		}
		f.name += "/" + nested[strings.LastIndexByte(nested, '/')+1:]
		f.replica = false
	}
	return f, p.unit, certain
}

// ask asks the runtimes. Docker comes first: its containers are containerd's
// too, without their names. Where the container's cgroup is found only by its
// runtime, nested becomes what lies below it.
func (r *Resolver) ask(p place, path string, nested *string) (facts, bool) {
	if isHexID(p.id) {
		if f, ok := dockerFacts(r.cfg.VarLibRoot, p.id, r.node); ok {
			return f, true
		}
	}
	if one, below := r.tasks.find(p, path); one != nil {
		*nested = below
		return one.facts(r.node), true
	}
	if isHexID(p.id) {
		return r.storage.facts(p.id, r.node)
	}
	return facts{}, false
}

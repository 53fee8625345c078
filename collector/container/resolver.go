package container

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config says where a Resolver looks. The zero value is a live host.
type Config struct {
	ProcRoot   string // default /proc
	CgroupRoot string // stands for /sys/fs/cgroup in mount points; default itself
	RunRoot    string // runtimes' volatile state; default /run
	VarLibRoot string // runtimes' lasting state; default /var/lib

	GroupBy    GroupBy
	MaxCgroups int           // per hierarchy; default 16384
	Grace      time.Duration // a gone container stays resolvable this long; default 30 s
}

// Limits on what the kernel side can make a Resolver remember.
const (
	maxPending = 16384 // ids asked for and not resolved yet
	maxComms   = 16384 // program names
)

// Resolver maps IDs to containers. Resolve, Gone, SetComm, Choice, IDOf and All
// may be called from any goroutine; Refresh and Rechoose from one at a time.
type Resolver struct {
	cfg    Config
	node   string // host name, which static pods carry in theirs
	choice atomic.Pointer[Choice]
	known  atomic.Pointer[map[ID]*Container] // published, never modified
	live   atomic.Pointer[[]*Container]      // the same less placeholders and what is gone, by ID

	mu      sync.Mutex
	pending map[ID]*Container // placeholders
	comms   map[ID]*Container
	gone    []ID

	work    sync.Mutex // held by Refresh and Rechoose; guards what follows
	trees   []*tree
	entries map[ID]*entry
	tasks   tasks
	storage storage
	passed  time.Time // when the last pass over the trees began
	stats   Stats
}

// Stats describe the last Refresh.
type Stats struct {
	Cgroups    int           // in the trees
	Containers int           // IDs with a path
	Unresolved int           // IDs without
	Truncated  bool          // more cgroups than MaxCgroups: some IDs keep placeholder names
	Took       time.Duration // of the last full pass
}

// New reads the hierarchies and chooses among them. It starts no goroutine.
func New(cfg Config) (*Resolver, error) {
	cfg.ProcRoot = cmp.Or(cfg.ProcRoot, "/proc")
	cfg.CgroupRoot = cmp.Or(cfg.CgroupRoot, defaultCgroupRoot)
	cfg.RunRoot = cmp.Or(cfg.RunRoot, "/run")
	cfg.VarLibRoot = cmp.Or(cfg.VarLibRoot, "/var/lib")
	cfg.MaxCgroups = cmp.Or(cfg.MaxCgroups, defaultMaxCgroups)
	cfg.Grace = cmp.Or(cfg.Grace, 30*time.Second)

	r := &Resolver{
		cfg: cfg, pending: map[ID]*Container{}, comms: map[ID]*Container{},
		entries: map[ID]*entry{},
		tasks:   tasks{runRoot: cfg.RunRoot},
		storage: storage{runRoot: cfg.RunRoot, varLibRoot: cfg.VarLibRoot},
	}
	r.known.Store(&map[ID]*Container{})
	r.live.Store(&[]*Container{})
	if name, err := readBounded(filepath.Join(cfg.ProcRoot, "sys/kernel/hostname"), 4096); err == nil {
		r.node = strings.TrimSpace(string(name))
	}
	h, err := ReadHierarchies(cfg.ProcRoot, cfg.CgroupRoot)
	if err != nil {
		return nil, err
	}
	c := choose(h, survey(cfg.ProcRoot, h))
	if !c.Primary.Exists() {
		return nil, fmt.Errorf("cgroup hierarchies: neither v2 nor a v1 controller is mounted below %s", cfg.CgroupRoot)
	}
	r.follow(c)
	return r, nil
}

// follow adopts a choice and starts its trees.
func (r *Resolver) follow(c Choice) {
	r.trees = nil
	for _, h := range []Hierarchy{c.Primary, c.Secondary} {
		if h.Exists() {
			r.trees = append(r.trees, newTree(h, r.cfg.MaxCgroups))
		}
	}
	r.choice.Store(&c)
}

// Choice returns the hierarchies that identify containers.
func (r *Resolver) Choice() Choice { return *r.choice.Load() }

// Rechoose surveys the processes again and adopts v1 when containers turn out
// to be told apart only there, which a host without containers could not show.
// It never goes back, so the answer cannot flap. When it reports true the
// kernel side must be configured with the new choice. It reads
// /proc/PID/cgroup of every process, some 10 us each: call it every half
// minute, not every second.
func (r *Resolver) Rechoose() (Choice, bool) {
	r.work.Lock()
	defer r.work.Unlock()
	now := r.Choice()
	if now.Primary.Version != 2 {
		return now, false
	}
	h, err := ReadHierarchies(r.cfg.ProcRoot, r.cfg.CgroupRoot)
	if err != nil {
		return now, false
	}
	c := choose(h, survey(r.cfg.ProcRoot, h))
	if c.Primary.Version != 1 {
		return now, false
	}
	for _, e := range r.entries {
		r.bury(e, time.Now())
	}
	if c.V1Controller() != now.V1Controller() {
		// The same number means another cgroup in another v1 hierarchy.
		maps.DeleteFunc(r.entries, func(id ID, _ *entry) bool { return id&Legacy != 0 })
	}
	r.follow(c)
	r.passed = time.Time{}
	r.publish()
	return c, true
}

// IDOf returns the ID that the kernel side computes for the process now, with
// any GroupBy but ByProgram. It returns an error that wraps ErrGone when the
// process or its cgroup is gone.
func (r *Resolver) IDOf(pid int) (ID, error) {
	all, err := memberships(r.cfg.ProcRoot, pid)
	if err != nil {
		return 0, err
	}
	id, err := owner(all, r.Choice())
	if err != nil {
		return 0, fmt.Errorf("pid %d: %w", pid, err)
	}
	return id, nil
}

// Resolve returns the container with this ID, never nil. It reads no file. An
// ID it has not met gets a placeholder named "cgroup-ID" and is queued for
// Refresh; later calls return the same placeholder until then.
func (r *Resolver) Resolve(id ID) *Container {
	if c := (*r.known.Load())[id]; c != nil {
		return c
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.pending[id]; c != nil {
		return c
	}
	if id&ByComm != 0 {
		if c := r.comms[id]; c != nil {
			return c
		}
	}
	c := placeholder(id)
	if len(r.pending) < maxPending {
		r.pending[id] = c
	}
	return c
}

func placeholder(id ID) *Container {
	name, runtime := "cgroup-"+id.String(), "cgroup"
	if id&ByComm != 0 {
		name, runtime = id.String(), "comm"
	}
	return &Container{ID: id, Name: name, Service: name, Runtime: runtime}
}

// SetComm names the ID that stands for a program name.
func (r *Resolver) SetComm(id ID, name string) {
	name = printable(name)
	if name == "" {
		name = id.String()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.comms[id]; (old != nil && old.Name == name) || (old == nil && len(r.comms) >= maxComms) {
		return
	}
	r.comms[id] = &Container{ID: id, Name: name, Service: name, Runtime: "comm"}
	delete(r.pending, id)
}

// Forget drops an ID that the collector no longer tracks. Only program names
// need it: they have no cgroup whose removal would show.
func (r *Resolver) Forget(id ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.comms, id)
	delete(r.pending, id)
}

// Gone appends to dst the IDs whose cgroups were removed since the last call,
// so that the collector can free their slots in the kernel. They stay
// resolvable for Config.Grace.
func (r *Resolver) Gone(dst []ID) []ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	dst = append(dst, r.gone...)
	r.gone = r.gone[:0]
	return dst
}

// All returns the containers resolved so far that are alive, ordered by
// ID, then the program names.
func (r *Resolver) All() []*Container {
	all := slices.Clone(*r.live.Load())
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.AppendSeq(all, maps.Values(r.comms))
}

// Key returns the row that c belongs to under Config.GroupBy.
func (r *Resolver) Key(c *Container) string { return r.cfg.GroupBy.Key(c) }

// Stats describes the last Refresh.
func (r *Resolver) Stats() Stats {
	r.work.Lock()
	defer r.work.Unlock()
	return r.stats
}

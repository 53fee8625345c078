package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func newResolver(t testing.TB, cfg Config) *Resolver {
	t.Helper()
	r, err := New(cfg)
	if err != nil {
		t.Fatalf("New = %v", err)
	}
	return r
}

// refresh makes a full pass, due or not.
func refresh(t testing.TB, r *Resolver) {
	t.Helper()
	r.passed = time.Time{}
	if err := r.Refresh(context.Background()); err != nil {
		t.Fatalf("Refresh = %v", err)
	}
}

// lookAgain makes every name due for another look.
func lookAgain(r *Resolver) {
	for _, e := range r.entries {
		e.lookAt = time.Time{}
	}
}

func TestNewWithoutCgroups(t *testing.T) {
	cfg, _ := newHost(t)
	writeFile(t, filepath.Join(cfg.ProcRoot, "self/mountinfo"), "1 1 0:1 / / rw - ext4 /dev/vda rw\n")
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "mount cgroup2") {
		t.Errorf("New without cgroup mounts = %v, want an error that says what to do", err)
	}
	cfg.ProcRoot = filepath.Join(t.TempDir(), "none")
	if _, err := New(cfg); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("New without /proc = %v, want ErrNotExist", err)
	}
}

func TestComeAndGo(t *testing.T) {
	cfg, h := newHost(t)
	cfg.Grace = time.Hour
	r := newResolver(t, cfg)
	a := addCgroup(t, h, "/a")
	setProcess(t, cfg, 1, "0::/a\n")

	if id, err := r.IDOf(1); id != a || err != nil {
		t.Fatalf("IDOf(1) = %v, %v, want %v", id, err, a)
	}
	first := r.Resolve(a)
	if first.Name != "cgroup-"+a.String() || first.Service != first.Name || r.Resolve(a) != first {
		t.Errorf("Resolve(%v) before Refresh = %+v, want one placeholder", a, first)
	}
	refresh(t, r)
	if c := r.Resolve(a); c.Name != "a" || c.Path != "/a" || c.ID != a {
		t.Errorf("Resolve(%v) = %+v, want a", a, c)
	}

	// One cgroup comes between two passes, another goes: the parent's link count
	// stays the same.
	b := addCgroup(t, h, "/b")
	if err := os.Remove(filepath.Join(h.Mount, "a")); err != nil {
		t.Fatal(err)
	}
	r.Resolve(b)
	refresh(t, r)
	if c := r.Resolve(b); c.Name != "b" {
		t.Errorf("Resolve(%v) = %+v, want b", b, c)
	}
	if got := r.Gone(nil); !slices.Equal(got, []ID{a}) {
		t.Errorf("Gone() = %v, want %v", got, a)
	}
	if got := r.Gone(nil); len(got) != 0 {
		t.Errorf("Gone() again = %v, want none", got)
	}
	if c := r.Resolve(a); c.Name != "a" {
		t.Errorf("Resolve(%v) in its grace period = %q, want a", a, c.Name)
	}
	if all := r.All(); len(all) != 1 || all[0].ID != b {
		t.Errorf("All() = %v, want only %v", all, b)
	}
	if _, err := r.IDOf(1); !errors.Is(err, ErrGone) {
		t.Errorf("IDOf in a removed cgroup = %v, want ErrGone", err)
	}
	if _, err := r.IDOf(2); !errors.Is(err, ErrGone) {
		t.Errorf("IDOf of no process = %v, want ErrGone", err)
	}

	r.cfg.Grace = time.Nanosecond
	refresh(t, r)
	if c := r.Resolve(a); c.Name != "cgroup-"+a.String() {
		t.Errorf("Resolve(%v) after its grace period = %q, want a placeholder", a, c.Name)
	}
}

func TestUnknownIDIsGivenUp(t *testing.T) {
	cfg, _ := newHost(t)
	r := newResolver(t, cfg)
	const id = ID(1) << 40
	r.Resolve(id)
	for range missPasses - 1 {
		refresh(t, r)
	}
	if got := r.Gone(nil); len(got) != 0 {
		t.Fatalf("Gone() after %d passes = %v, want none yet", missPasses-1, got)
	}
	refresh(t, r)
	if got := r.Gone(nil); !slices.Equal(got, []ID{id}) {
		t.Errorf("Gone() after %d passes = %v, want %v", missPasses, got, id)
	}
	if got := r.Stats(); got.Unresolved != 0 || got.Containers != 0 {
		t.Errorf("Stats() = %+v, want nothing left", got)
	}
}

func TestRenamedCgroup(t *testing.T) {
	cfg, h := newHost(t)
	r := newResolver(t, cfg)
	id := addCgroup(t, h, "/before")
	r.Resolve(id)
	refresh(t, r)
	if err := os.Rename(filepath.Join(h.Mount, "before"), filepath.Join(h.Mount, "after")); err != nil {
		t.Fatal(err)
	}
	refresh(t, r)
	refresh(t, r)
	if c := r.Resolve(id); c.Path != "/after" || c.Name != "after" {
		t.Errorf("Resolve after rename = %+v, want /after", c)
	}
	if got := r.Gone(nil); len(got) != 0 {
		t.Errorf("Gone() = %v, want none: it was only renamed", got)
	}
}

// TestReplacedCgroup removes a cgroup and makes another of the same name
// between two passes, as restarting a service does.
func TestReplacedCgroup(t *testing.T) {
	cfg, h := newHost(t)
	r := newResolver(t, cfg)
	old, replaced := addCgroup(t, h, "/a"), addCgroup(t, h, "/new")
	r.Resolve(old)
	refresh(t, r)
	if err := os.Remove(filepath.Join(h.Mount, "a")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(h.Mount, "new"), filepath.Join(h.Mount, "a")); err != nil {
		t.Fatal(err)
	}
	r.Resolve(replaced)
	refresh(t, r)
	if got := r.Gone(nil); !slices.Equal(got, []ID{old}) {
		t.Errorf("Gone() = %v, want %v", got, old)
	}
	if c := r.Resolve(replaced); c.Name != "a" || c.Path != "/a" {
		t.Errorf("Resolve(%v) = %+v, want the name of the one before", replaced, c)
	}
}

func TestReadBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "12345")
	if text, err := readBounded(file, 5); string(text) != "12345" || err != nil {
		t.Errorf("readBounded of 5 bytes, limit 5 = %q, %v", text, err)
	}
	if text, err := readBounded(file, 4); text != nil || !errors.Is(err, errTooLarge) {
		t.Errorf("readBounded of 5 bytes, limit 4 = %q, %v, want errTooLarge", text, err)
	}
}

func TestNameArrivesLate(t *testing.T) {
	cfg, h := newHost(t)
	r := newResolver(t, cfg)
	docker, plain := fakeID("late"), "/shop/cart"
	a := addCgroup(t, h, "/docker/"+docker)
	b := addCgroup(t, h, plain)
	r.Resolve(a)
	r.Resolve(b)
	refresh(t, r)
	if c := r.Resolve(a); c.Name != docker[:12] || c.Runtime != "docker" {
		t.Errorf("Resolve without Docker's state = %+v, want the short id", c)
	}
	file := filepath.Join(cfg.VarLibRoot, "docker/containers", docker, "config.v2.json")
	writeFile(t, file, `{"Name":"/late"}`)
	writeFile(t, filepath.Join(cfg.RunRoot, "containerd", taskDir, "default/cart-7/config.json"),
		`{"linux":{"cgroupsPath":"`+plain+`"}}`)
	lookAgain(r)
	refresh(t, r)
	if c := r.Resolve(a); c.Name != "late" || c.RuntimeID != docker {
		t.Errorf("Resolve with Docker's state = %+v, want late", c)
	}
	if c := r.Resolve(b); c.Name != "cart-7" || c.Runtime != "containerd" || c.RuntimeID != "cart-7" {
		t.Errorf("Resolve with containerd's state = %+v, want cart-7", c)
	}
	writeFile(t, file, `{"Name":"/renamed"}`)
	lookAgain(r)
	refresh(t, r)
	if c := r.Resolve(a); c.Name != "renamed" {
		t.Errorf("Resolve after docker rename = %q, want renamed", c.Name)
	}
}

// TestHostileState puts what a state directory must not hold where Docker's
// config is looked for: none may block, be followed or be believed.
func TestHostileState(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	writeFile(t, secret, `{"Name":"/followed"}`)
	for name, plant := range map[string]func(path string) error{
		"too large": func(p string) error {
			return os.WriteFile(p, []byte(`{"Name":"/big","x":"`+strings.Repeat("x", maxConfigBytes)+`"}`), 0o644)
		},
		"fifo":      func(p string) error { return syscall.Mkfifo(p, 0o644) },
		"link":      func(p string) error { return os.Symlink(secret, p) },
		"directory": func(p string) error { return os.Mkdir(p, 0o755) },
		"not JSON":  func(p string) error { return os.WriteFile(p, []byte("{"), 0o644) },
		"no name":   func(p string) error { return os.WriteFile(p, []byte("{}"), 0o644) },
		"deep":      func(p string) error { return os.WriteFile(p, []byte(strings.Repeat("[", 20000)), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			cfg, h := newHost(t)
			r := newResolver(t, cfg)
			docker := fakeID(name)
			dir := filepath.Join(cfg.VarLibRoot, "docker/containers", docker)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := plant(filepath.Join(dir, "config.v2.json")); err != nil {
				t.Fatal(err)
			}
			id := addCgroup(t, h, "/docker/"+docker)
			r.Resolve(id)
			refresh(t, r)
			if c := r.Resolve(id); c.Name != docker[:12] {
				t.Errorf("Resolve = %+v, want the short id %s", c, docker[:12])
			}
		})
	}
}

func TestTooManyCgroups(t *testing.T) {
	cfg, h := newHost(t)
	cfg.MaxCgroups = 10
	r := newResolver(t, cfg)
	for i := range 20 {
		r.Resolve(addCgroup(t, h, fmt.Sprintf("/c%02d", i)))
	}
	refresh(t, r)
	if got := r.Stats(); !got.Truncated || got.Cgroups != 10 || got.Containers != 9 || got.Unresolved != 11 {
		t.Errorf("Stats() = %+v, want 10 of 21 cgroups, truncated", got)
	}
	for i := range 15 { // room again: the rest is found
		if err := os.Remove(filepath.Join(h.Mount, fmt.Sprintf("c%02d", i))); err != nil {
			t.Fatal(err)
		}
	}
	r.Resolve(addCgroup(t, h, "/new"))
	refresh(t, r)
	refresh(t, r)
	if got := r.Stats(); got.Truncated || got.Cgroups != 7 {
		t.Errorf("Stats() = %+v, want all 7 cgroups", got)
	}
}

func TestDeepCgroups(t *testing.T) {
	cfg, h := newHost(t)
	r := newResolver(t, cfg)
	addCgroup(t, h, strings.Repeat("/d", maxDepth+5))
	refresh(t, r)
	if got := r.Stats(); !got.Truncated || got.Cgroups != maxDepth+1 {
		t.Errorf("Stats() = %+v, want %d levels, truncated", got, maxDepth+1)
	}
}

func TestRefreshCanceled(t *testing.T) {
	cfg, h := newHost(t)
	r := newResolver(t, cfg)
	id := addCgroup(t, h, "/a")
	r.Resolve(id)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.Refresh(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Refresh(canceled) = %v, want context.Canceled", err)
	}
	refresh(t, r)
	if c := r.Resolve(id); c.Name != "a" {
		t.Errorf("Resolve after a canceled Refresh = %q, want a", c.Name)
	}
}

func TestComms(t *testing.T) {
	cfg, _ := newHost(t)
	cfg.GroupBy = ByProgram
	r := newResolver(t, cfg)
	const id = ByComm | 0x9f
	if c := r.Resolve(id); c.Name != "comm:9f" || c.Runtime != "comm" {
		t.Errorf("Resolve(%v) unnamed = %+v", id, c)
	}
	refresh(t, r)
	r.SetComm(id, "redis\x1b-server")
	c := r.Resolve(id)
	if c.Name != "redis?-server" || c.Service != c.Name || c.ID != id || r.Key(c) != c.Name {
		t.Errorf("Resolve(%v) = %+v, want redis?-server", id, c)
	}
	if all := r.All(); len(all) != 1 || all[0] != c {
		t.Errorf("All() = %v, want the program", all)
	}
	r.Forget(id)
	if c := r.Resolve(id); c.Name != "comm:9f" {
		t.Errorf("Resolve(%v) forgotten = %q, want comm:9f", id, c.Name)
	}
}

// TestRechoose starts on a hybrid host without containers; then one comes
// that only v1 tells from its runtime's own service.
func TestRechoose(t *testing.T) {
	cfg, _ := newHost(t)
	writeFile(t, filepath.Join(cfg.ProcRoot, "self/mountinfo"),
		"31 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n32 23 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n")
	writeFile(t, filepath.Join(cfg.ProcRoot, "self/cgroup"), "3:memory:/\n0::/\n")
	writeFile(t, filepath.Join(cfg.ProcRoot, "cgroups"), "memory 3 9 1\n")
	v2 := Hierarchy{Version: 2, Mount: filepath.Join(cfg.CgroupRoot, "unified")}
	memory := Hierarchy{Version: 1, Mount: filepath.Join(cfg.CgroupRoot, "memory")}
	service := addCgroup(t, v2, "/system.slice/containerd.service")
	writeFile(t, filepath.Join(memory.Mount, "release_agent"), "")
	r := newResolver(t, cfg)
	if _, changed := r.Rechoose(); changed {
		t.Fatal("Rechoose on a host without containers changed the choice")
	}

	path := "/kubepods/besteffort/pod11111111-1111-4111-8111-111111111111/" + fakeID("web")
	want := addCgroup(t, memory, path)
	setProcess(t, cfg, 1, "3:memory:"+path+"\n0::/system.slice/containerd.service\n")
	if id, err := r.IDOf(1); id != service || err != nil {
		t.Errorf("IDOf before = %v, %v, want the service %v", id, err, service)
	}
	c, changed := r.Rechoose()
	if !changed || c.Primary.Version != 1 || c.Secondary.Version != 2 || !c.Equal(r.Choice()) {
		t.Fatalf("Rechoose = %v, %v, want v1 memory first", c, changed)
	}
	if id, err := r.IDOf(1); id != want || err != nil {
		t.Errorf("IDOf after = %v, %v, want %v", id, err, want)
	}
	r.Resolve(want)
	refresh(t, r)
	if c := r.Resolve(want); c.Path != path || c.ID&Legacy == 0 {
		t.Errorf("Resolve(%v) = %+v, want %s", want, c, path)
	}
	if _, changed := r.Rechoose(); changed {
		t.Error("Rechoose changed the choice twice")
	}
}

// TestPassesAreSpaced makes passes look expensive: an ID without a name is
// still looked for, but what has gone can wait.
func TestPassesAreSpaced(t *testing.T) {
	cfg, h := newHost(t)
	r := newResolver(t, cfg)
	id := addCgroup(t, h, "/a")
	r.Resolve(id)
	refresh(t, r)
	spaced := func(ago, took time.Duration) {
		t.Helper()
		r.passed, r.stats.Took = time.Now().Add(-ago), took
		if err := r.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	other := addCgroup(t, h, "/b")
	if err := os.Remove(filepath.Join(h.Mount, "a")); err != nil {
		t.Fatal(err)
	}
	spaced(time.Second, 20*time.Millisecond)
	if got := r.Gone(nil); len(got) != 0 {
		t.Errorf("Gone() = %v a second after a pass of 20 ms, want none yet", got)
	}
	r.Resolve(other)
	spaced(time.Second/2, 20*time.Millisecond)
	if c := r.Resolve(other); c.Path != "" {
		t.Errorf("Resolve half a second after a pass of 20 ms = %+v, want a placeholder", c)
	}
	spaced(time.Second, 20*time.Millisecond)
	if c := r.Resolve(other); c.Name != "b" {
		t.Errorf("Resolve a second after a pass of 20 ms = %+v, want b", c)
	}
	if got := r.Gone(nil); !slices.Equal(got, []ID{id}) {
		t.Errorf("Gone() after that pass = %v, want %v", got, id)
	}
	if err := os.Remove(filepath.Join(h.Mount, "b")); err != nil {
		t.Fatal(err)
	}
	spaced(maxSpacing, time.Second)
	if got := r.Gone(nil); !slices.Equal(got, []ID{other}) {
		t.Errorf("Gone() after %v = %v, want %v", maxSpacing, got, other)
	}
}

// TestResolveWhileRefreshing is for the race detector and for nil.
func TestResolveWhileRefreshing(t *testing.T) {
	cfg, h := newHost(t)
	r := newResolver(t, cfg)
	var ids []ID
	for i := range 50 {
		ids = append(ids, addCgroup(t, h, fmt.Sprintf("/s%d.service", i)))
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				for _, id := range ids {
					if c := r.Resolve(id); c == nil || c.ID != id {
						t.Errorf("Resolve(%v) = %+v", id, c)
						return
					}
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 20 {
		if err := os.Remove(filepath.Join(h.Mount, fmt.Sprintf("s%d.service", i))); err != nil {
			t.Error(err)
		}
		refresh(t, r)
		r.Gone(nil)
		r.All()
	}
	close(done)
	readers.Wait()
}

func TestResolveDoesNotAllocate(t *testing.T) {
	cfg, h := newHost(t)
	r := newResolver(t, cfg)
	id := addCgroup(t, h, "/a")
	r.Resolve(id)
	refresh(t, r)
	pending := addCgroup(t, h, "/b")
	r.Resolve(pending)
	r.SetComm(ByComm|1, "redis")
	for _, id := range []ID{id, pending, ByComm | 1} {
		if n := testing.AllocsPerRun(100, func() { r.Key(r.Resolve(id)) }); n != 0 {
			t.Errorf("Resolve(%v) allocates %v times, want 0", id, n)
		}
	}
}

func TestRefreshKeepsNoFiles(t *testing.T) {
	cfg, h := newHost(t)
	r := newResolver(t, cfg)
	r.Resolve(addCgroup(t, h, "/docker/"+fakeID("a")))
	count := func() int {
		names, err := os.ReadDir("/dev/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	refresh(t, r)
	before := count()
	for i := range 50 {
		addCgroup(t, h, fmt.Sprintf("/c%d", i))
		lookAgain(r)
		refresh(t, r)
		r.Rechoose()
	}
	if after := count(); after > before {
		t.Errorf("%d files open after 50 refreshes, %d before", after, before)
	}
}

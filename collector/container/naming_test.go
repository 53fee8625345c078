package container

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// newNames returns a Resolver whose entries are set by the test.
func newNames() *Resolver {
	r := &Resolver{pending: map[ID]*Container{}, entries: map[ID]*entry{}}
	r.publish()
	return r
}

// set makes or changes an entry and publishes.
func (r *Resolver) set(id ID, f facts) {
	e := r.entries[id]
	if e == nil {
		e = &entry{id: id, path: "/x"}
		r.entries[id] = e
	}
	e.facts, e.settled = f, false
	r.publish()
}

func (r *Resolver) names() map[ID]string {
	got := map[ID]string{}
	for _, c := range *r.live.Load() {
		got[c.ID] = c.Name + " of " + c.Service
	}
	return got
}

func TestNamesAreUnique(t *testing.T) {
	idA, idB := fakeID("a"), fakeID("b")
	r := newNames()
	r.entries[20] = &entry{id: 20, path: "/b", facts: facts{name: "web", runtime: "docker", id: idB}}
	r.entries[10] = &entry{id: 10, path: "/a", facts: facts{name: "web", runtime: "docker", id: idA}}
	r.entries[30] = &entry{id: 30, path: "/c", facts: facts{name: "web", runtime: "docker", id: idB}}
	r.entries[40] = &entry{id: 40, path: "/d", facts: facts{name: "web", runtime: "cgroup"}}
	r.publish()
	want := map[ID]string{
		10: "web of web", // the oldest
		20: "web-" + idB[:4] + " of web",
		30: "web-" + idB[:8] + " of web",
		40: "web-40 of cgroup/web",
	}
	if diff := cmp.Diff(want, r.names()); diff != "" {
		t.Errorf("four containers named web (-want +got):\n%s", diff)
	}

	// The name is free when its holder is gone, but nobody is renamed.
	kept := r.Resolve(20)
	delete(r.entries, 10)
	r.set(50, facts{name: "web", runtime: "docker", id: idA})
	delete(want, 10)
	want[50] = "web of web"
	if diff := cmp.Diff(want, r.names()); diff != "" {
		t.Errorf("after the first went (-want +got):\n%s", diff)
	}
	if r.Resolve(20) != kept {
		t.Errorf("container 20 was published again though nothing about it changed")
	}
}

func TestReplicas(t *testing.T) {
	plain := func(name string) facts { return facts{name: name, runtime: "containerd", id: name, replica: true} }
	r := newNames()
	steps := []struct {
		name string
		do   func()
		want map[ID]string
	}{
		{"one is itself", func() { r.set(1, plain("web-1")) },
			map[ID]string{1: "web-1 of web-1"}},
		{"two are replicas", func() { r.set(2, plain("web-2")) },
			map[ID]string{1: "web-1 of web", 2: "web-2 of web"}},
		{"another name is not", func() { r.set(3, plain("db-1")) },
			map[ID]string{1: "web-1 of web", 2: "web-2 of web", 3: "db-1 of db-1"}},
		{"once a replica always one", func() { delete(r.entries, 2); r.publish() },
			map[ID]string{1: "web-1 of web", 3: "db-1 of db-1"}},
		{"a compose name needs no sibling", func() { r.set(4, plain("shop_cart_1")) },
			map[ID]string{1: "web-1 of web", 3: "db-1 of db-1", 4: "shop_cart_1 of shop_cart"}},
		{"a sibling elsewhere does not count", func() { r.set(5, facts{name: "db-2", runtime: "docker", replica: true}) },
			map[ID]string{1: "web-1 of web", 3: "db-1 of db-1", 4: "shop_cart_1 of shop_cart", 5: "db-2 of db-2"}},
	}
	for _, step := range steps {
		step.do()
		if diff := cmp.Diff(step.want, r.names()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

func TestServicesOfTwoScopes(t *testing.T) {
	pod := func(namespace, pod string) facts {
		return facts{name: pod, service: "frontend", scope: namespace, runtime: "cri"}
	}
	r := newNames()
	r.set(1, pod("prod", "frontend-a"))
	r.set(2, pod("staging", "frontend-b"))
	r.set(3, pod("prod", "frontend-c"))
	r.set(4, facts{name: "frontend", runtime: "systemd"})
	want := map[ID]string{
		1: "frontend-a of frontend",
		2: "frontend-b of staging/frontend",
		3: "frontend-c of frontend",
		4: "frontend of systemd/frontend",
	}
	if diff := cmp.Diff(want, r.names()); diff != "" {
		t.Fatalf("one service name in three scopes (-want +got):\n%s", diff)
	}
	// Replicas that come after the bare name has become free join theirs.
	maps.DeleteFunc(r.entries, func(id ID, _ *entry) bool { return id == 1 || id == 3 })
	r.set(5, pod("staging", "frontend-d"))
	want = map[ID]string{
		2: "frontend-b of staging/frontend",
		4: "frontend of systemd/frontend",
		5: "frontend-d of staging/frontend",
	}
	if diff := cmp.Diff(want, r.names()); diff != "" {
		t.Errorf("after prod went (-want +got):\n%s", diff)
	}
}

func TestUnprintableNames(t *testing.T) {
	r := newNames()
	r.set(7, facts{name: "a\x1b[2J\nb\xff", service: "", runtime: "docker"})
	r.set(8, facts{name: "", runtime: "docker"})
	want := map[ID]string{7: "a?[2J?b? of a?[2J?b?", 8: "cgroup-8 of cgroup-8"}
	if diff := cmp.Diff(want, r.names()); diff != "" {
		t.Errorf("names from outside (-want +got):\n%s", diff)
	}
}

func TestWorkloadOfPod(t *testing.T) {
	tests := []struct{ pod, node, want string }{
		{"frontend-7d4b9c6f85-x2k8q", "", "frontend"},   // Deployment
		{"front-end-7d4b9c6f85-x2k8q", "", "front-end"}, //
		{"fluent-bit-bz4hq", "", "fluent-bit"},          // DaemonSet
		{"nightly-29012340-4hcxn", "", "nightly"},       // CronJob
		{"cart-db-0", "", "cart-db"},                    // StatefulSet
		{"kafka-12", "", "kafka"},                       //
		{"etcd-node-a", "node-a", "etcd"},               // static pod
		{"toolbox", "", "toolbox"},                      // bare pod
		{"my-tools", "", "my-tools"},                    // vowels: not generated
		{"redis-cache-bcdfg", "", "redis-cache"},        // "cache" is no hash
		{"x-2024", "", "x"}, {"x-20241", "", "x-20241"}, // an ordinal is short
		{"-bcdfg", "", "-bcdfg"}, {"", "", ""}, {"-", "", "-"}, //
	}
	for _, tt := range tests {
		if got := workloadOfPod(tt.pod, tt.node); got != tt.want {
			t.Errorf("workloadOfPod(%q, %q) = %q, want %q", tt.pod, tt.node, got, tt.want)
		}
	}
}

func TestGroupBy(t *testing.T) {
	c := &Container{Name: "pg@16", Service: "pg", Unit: "pg@16.service"}
	bare := &Container{Name: "web-1", Service: "web"}
	for _, tt := range []struct {
		by         string
		unit, none string
	}{
		{"container", "pg@16", "web-1"}, {"service", "pg", "web"},
		{"unit", "pg@16.service", "web"}, {"comm", "pg@16", "web-1"},
	} {
		g, err := ParseGroupBy(tt.by)
		if err != nil || g.String() != tt.by {
			t.Errorf("ParseGroupBy(%q) = %v, %v", tt.by, g, err)
		}
		if got := g.Key(c); got != tt.unit {
			t.Errorf("%v.Key(%q) = %q, want %q", g, c.Name, got, tt.unit)
		}
		if got := g.Key(bare); got != tt.none {
			t.Errorf("%v.Key(%q) = %q, want %q", g, bare.Name, got, tt.none)
		}
	}
	if _, err := ParseGroupBy("pod"); err == nil {
		t.Error(`ParseGroupBy("pod") = nil error, want one`)
	}
}

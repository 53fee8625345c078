package container

import (
	"os"
	"slices"
	"strconv"
)

// Choice says which hierarchies identify containers on this host. The kernel
// side is configured with it and [Resolver.IDOf] follows it: the cgroup in
// Primary, unless the task is in that hierarchy's root; else the cgroup in
// Secondary, unless the task is in that root too; else Primary's root, which
// is "host".
type Choice struct {
	Primary   Hierarchy
	Secondary Hierarchy // zero where the host has only one
	Reason    string    // for people: why
}

// Equal reports whether both choices give every task the same ID.
func (c Choice) Equal(d Choice) bool {
	return c.Primary.String() == d.Primary.String() && c.Secondary.String() == d.Secondary.String()
}

// V1Controller returns the v1 controller whose hierarchy is part of the
// choice, to be looked up in enum cgroup_subsys_id as NAME_cgrp_id; blkio
// is io_cgrp_id there. It is empty when only v2 is used.
func (c Choice) V1Controller() string {
	for _, h := range []Hierarchy{c.Primary, c.Secondary} {
		if h.Version != 1 {
			continue
		}
		for _, name := range preferredV1 {
			if h.Has(name) {
				return name
			}
		}
	}
	return ""
}

// preferredV1 lists v1 controllers by how surely a runtime gives each
// container its own cgroup: every runtime limits memory.
var preferredV1 = []string{"memory", "cpu", "pids", "cpuacct", "blkio", "devices", "freezer", "cpuset"}

// maxProcsSurveyed bounds the look over /proc: enough processes to see
// whether containers are told apart, at about 10 us each.
const maxProcsSurveyed = 8192

// choose picks the hierarchies, given how many distinct containers a survey of
// the processes saw in each (keyed by [Hierarchy.String]).
func choose(h Hierarchies, containers map[string]int) Choice {
	var best Hierarchy // v1 with most containers, in order of preference
	for _, name := range preferredV1 {
		for _, v1 := range h.V1 {
			if v1.Has(name) && (!best.Exists() || containers[v1.String()] > containers[best.String()]) {
				best = v1
			}
		}
	}
	switch {
	case !h.V2.Exists():
		return Choice{Primary: best, Reason: "cgroup v2 is not mounted"}
	case !best.Exists():
		return Choice{Primary: h.V2, Reason: "cgroup v2 only"}
	case containers[best.String()] > containers[h.V2.String()]:
		return Choice{Primary: best, Secondary: h.V2, Reason: "containers are told apart in " + best.String() + ", not in v2"}
	}
	return Choice{Primary: h.V2, Secondary: best, Reason: "v2 tells apart what " + best.String() + " does"}
}

// survey counts the distinct containers that the processes below procRoot are
// in, per hierarchy. A container is a cgroup whose path looks like one that a
// runtime made (classify); services and slices do not count, since a
// hierarchy that shows the runtime's own service says nothing about its
// containers.
func survey(procRoot string, h Hierarchies) map[string]int {
	all := slices.Clone(h.V1)
	if h.V2.Exists() {
		all = append(all, h.V2)
	}
	seen := map[string]map[string]bool{}
	proc, err := os.Open(procRoot)
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	surveyed := 0
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if surveyed++; surveyed > maxProcsSurveyed {
			break
		}
		memberships, err := memberships(procRoot, pid)
		if err != nil {
			continue // it has exited
		}
		for _, m := range memberships {
			place := classify(m.path)
			if !place.container() {
				continue
			}
			for _, one := range all {
				if m.in(one) {
					set := seen[one.String()]
					if set == nil {
						set = map[string]bool{}
						seen[one.String()] = set
					}
					set[place.root] = true
				}
			}
		}
	}
	counts := map[string]int{}
	for name, set := range seen {
		counts[name] = len(set)
	}
	return counts
}

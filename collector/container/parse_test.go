package container

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseMemberships(t *testing.T) {
	text := strings.Join([]string{
		"12:cpu,cpuacct:/a:b/c",
		"1:name=systemd:/",
		"0::/gone (deleted)",
		"no colon", "x:memory:/", "3:memory", "4:memory:relative", "-1:pids:/", "",
	}, "\n")
	want := []membership{
		{number: 12, controllers: "cpu,cpuacct", path: "/a:b/c"},
		{number: 1, controllers: "name=systemd", path: "/"},
		{number: 0, path: "/gone", dead: true},
	}
	got := parseMemberships([]byte(text))
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(membership{})); diff != "" {
		t.Errorf("parseMemberships (-want +got):\n%s", diff)
	}
}

func TestParseMountinfo(t *testing.T) {
	controllers := map[string]bool{"memory": true, "cpu": true, "cpuacct": true}
	text := `
40 31 0:28 / /sys/fs/cgroup/memory rw,relatime master:1 - cgroup cgroup rw,memory
41 31 0:29 /docker/a /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct
42 31 0:29 / /host/cpu\040set rw - cgroup cgroup rw,cpu,cpuacct
43 31 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
44 31 0:31 / /sys/fs/cgroup/unified rw - cgroup2 none rw,nsdelegate
45 31 0:32 / /sys/fs/cgroup/odd rw - cgroup cgroup rw,unheard_of
46 31 0:33 / / rw - ext4 /dev/vda rw
47 truncated - cgroup
`
	want := Hierarchies{
		V2: Hierarchy{Version: 2, Mount: "/fixture/unified", Root: "/"},
		V1: []Hierarchy{
			{Version: 1, Controllers: []string{"memory"}, Mount: "/fixture/memory", Root: "/"},
			{Version: 1, Controllers: []string{"cpu", "cpuacct"}, Mount: "/host/cpu set", Root: "/"},
			{Version: 1, Label: "systemd", Mount: "/fixture/systemd", Root: "/"},
		},
	}
	got := parseMountinfo([]byte(text), controllers, "/fixture")
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Hierarchy{})); diff != "" {
		t.Errorf("parseMountinfo (-want +got):\n%s", diff)
	}
	if got.Mode() != "hybrid" {
		t.Errorf("Mode() = %q, want hybrid", got.Mode())
	}
	if h, ok := got.Controller("cpuacct"); !ok || h.Mount != "/host/cpu set" {
		t.Errorf("Controller(cpuacct) = %v, %v, want the wider mount", h, ok)
	}
	if _, ok := got.Controller("pids"); ok {
		t.Error("Controller(pids) = true, want false")
	}
}

func TestHierarchyDir(t *testing.T) {
	tests := []struct {
		root, path, want string
		ok               bool
	}{
		{"/", "/", "/m", true},
		{"/", "/a/b", "/m/a/b", true},
		{"/a", "/a/b", "/m/b", true},
		{"/a", "/a", "/m", true},
		{"/a", "/ab", "", false},
		{"/a", "/", "", false},
		{"/", "/../x", "", false},
		{"/../..", "/../../x", "/m/x", true},
		{"/../..", "/../x", "", false},
	}
	for _, tt := range tests {
		h := Hierarchy{Version: 2, Mount: "/m", Root: tt.root}
		if got, ok := h.Dir(tt.path); got != tt.want || ok != tt.ok {
			t.Errorf("Dir(%q) under %q = %q, %v, want %q, %v", tt.path, tt.root, got, ok, tt.want, tt.ok)
		}
	}
}

func TestChoose(t *testing.T) {
	v2 := Hierarchy{Version: 2}
	memory := Hierarchy{Version: 1, Controllers: []string{"memory"}}
	cpu := Hierarchy{Version: 1, Controllers: []string{"cpu", "cpuacct"}}
	pids := Hierarchy{Version: 1, Controllers: []string{"pids"}}
	systemd := Hierarchy{Version: 1, Label: "systemd"}
	tests := []struct {
		name               string
		h                  Hierarchies
		seen               map[string]int
		primary, secondary string
		controller         string
	}{
		{"pure v2", Hierarchies{V2: v2}, nil, "v2", "none", ""},
		{"pure v1", Hierarchies{V1: []Hierarchy{cpu, memory}}, nil, "v1 memory", "none", "memory"},
		{"hybrid without containers", Hierarchies{V2: v2, V1: []Hierarchy{systemd, cpu, memory}}, nil, "v2", "v1 memory", "memory"},
		{"named hierarchy only", Hierarchies{V2: v2, V1: []Hierarchy{systemd}}, map[string]int{"v1 name=systemd": 5}, "v2", "none", ""},
		{"both tell apart", Hierarchies{V2: v2, V1: []Hierarchy{memory}}, map[string]int{"v2": 3, "v1 memory": 3}, "v2", "v1 memory", "memory"},
		{"only v1 tells apart", Hierarchies{V2: v2, V1: []Hierarchy{memory, cpu}}, map[string]int{"v1 memory": 3, "v1 cpu,cpuacct": 3}, "v1 memory", "v2", "memory"},
		{"only one controller is used", Hierarchies{V2: v2, V1: []Hierarchy{memory, cpu, pids}}, map[string]int{"v1 pids": 2}, "v1 pids", "v2", "pids"},
		{"memory is not mounted", Hierarchies{V2: v2, V1: []Hierarchy{pids, cpu}}, nil, "v2", "v1 cpu,cpuacct", "cpu"},
	}
	for _, tt := range tests {
		c := choose(tt.h, tt.seen)
		if c.Primary.String() != tt.primary || c.Secondary.String() != tt.secondary || c.V1Controller() != tt.controller {
			t.Errorf("%s: choose = %v, %v, %q, want %v, %v, %q", tt.name,
				c.Primary, c.Secondary, c.V1Controller(), tt.primary, tt.secondary, tt.controller)
		}
		if c.Reason == "" {
			t.Errorf("%s: choose gave no reason", tt.name)
		}
	}
}

func TestSelectors(t *testing.T) {
	idA, idB := "abcd12"+fakeID("a")[6:], "abcd34"+fakeID("b")[6:]
	a := &Container{ID: 10, Name: "web", Service: "shop", RuntimeID: idA, Path: "/docker/a"}
	b := &Container{ID: 20 | Legacy, Name: "web-2", Service: "shop", RuntimeID: idB}
	c := &Container{ID: 30, Name: "p/c", Service: "pay", Pod: "p", Namespace: "prod"}
	d := &Container{ID: 40, Name: "p/c-2", Service: "pay", Pod: "p", Namespace: "test"}
	e := &Container{ID: 0x9f | ByComm, Name: "redis-server", Service: "redis-server"}
	all := []*Container{a, b, c, d, e}
	tests := []struct {
		words string
		want  []*Container
		err   error
	}{
		{"", all, nil},
		{"container web", []*Container{a}, nil},
		{"con web-2", []*Container{b}, nil},
		{"container " + idA, []*Container{a}, nil},
		{"container " + idA[:12], []*Container{a}, nil},
		{"container abcd34", []*Container{b}, nil},
		{"container abcd", nil, ErrAmbiguous},
		{"container abc", nil, ErrNoMatch},
		{"container we", nil, ErrNoMatch},
		{"s shop", []*Container{a, b}, nil},
		{"service none", nil, ErrNoMatch},
		{"cgroup 10", []*Container{a}, nil},
		{"cgroup 20", []*Container{b}, nil}, // as no v2 cgroup has that number
		{"cgroup 9223372036854775828", []*Container{b}, nil},
		{"cgroup 21", nil, ErrNoMatch},
		{"cgroup v1:9223372036854775828", nil, ErrSelector},
		{"cgroup v1:20", []*Container{b}, nil},
		{"cgroup comm:9f", []*Container{e}, nil},
		{"cgroup /docker/a", []*Container{a}, nil},
		{"cgroup 0x10", nil, ErrSelector},
		{"cgroup -1", nil, ErrSelector},
		{"cgroup 18446744073709551615", nil, ErrSelector},
		{"pod prod/p", []*Container{c}, nil},
		{"pod p", nil, ErrAmbiguous},
		{"pod q", nil, ErrNoMatch},
		{"c web", nil, ErrSelector},
		{"unit x", nil, ErrSelector},
		{"service", nil, ErrSelector},
		{"service a b", nil, ErrSelector},
	}
	for _, tt := range tests {
		s, err := ParseSelector(strings.Fields(tt.words))
		var got []*Container
		if err == nil {
			got, err = s.Select(all)
		}
		if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
			t.Errorf("select %q: error %v, want %v", tt.words, err, tt.err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("select %q (-want +got):\n%s", tt.words, diff)
		}
	}
	for _, c := range all {
		if id, err := ParseID(c.ID.String()); id != c.ID || err != nil {
			t.Errorf("ParseID(%q) = %v, %v, want %v", c.ID.String(), id, err, c.ID)
		}
	}
}

// What JSON holds of an ID survives a reader that keeps numbers as float64, as
// jq and JavaScript do; numbers of older records are still read.
func TestIDInJSON(t *testing.T) {
	tests := []struct {
		id     ID
		text   string
		cgroup uint64
	}{
		{4321, `"4321"`, 4321},
		{Legacy | 52, `"v1:52"`, 52},
		{7<<32 | 99, `"30064771171"`, 7<<32 | 99}, // a kernfs generation in the high half
		{Legacy | 7<<32 | 99, `"v1:30064771171"`, 7<<32 | 99},
		{ByComm | 0x3fffffffffffffff, `"comm:3fffffffffffffff"`, 1<<53 - 1},
	}
	for _, tt := range tests {
		text, err := json.Marshal(tt.id)
		if err != nil || string(text) != tt.text {
			t.Errorf("Marshal(%#x) = %s, %v, want %s", uint64(tt.id), text, err, tt.text)
		}
		var back, old ID
		if err := json.Unmarshal(text, &back); err != nil || back != tt.id {
			t.Errorf("Unmarshal(%s) = %#x, %v, want %#x", text, uint64(back), err, uint64(tt.id))
		}
		if err := json.Unmarshal(strconv.AppendUint(nil, uint64(tt.id), 10), &old); err != nil || old != tt.id {
			t.Errorf("Unmarshal(%d) = %#x, %v, want %#x", uint64(tt.id), uint64(old), err, uint64(tt.id))
		}
		if got := tt.id.CgroupID(); got != tt.cgroup || uint64(float64(got)) != got {
			t.Errorf("%v.CgroupID() = %d, as a float64 %.0f, want %d in both", tt.id, got, float64(got), tt.cgroup)
		}
	}
	for _, wrong := range []string{`""`, `"x"`, `"v1:-1"`, `-1`, `{}`} {
		var id ID
		if err := json.Unmarshal([]byte(wrong), &id); err == nil {
			t.Errorf("Unmarshal(%s) = %v, want an error", wrong, id)
		}
	}
}

func FuzzCgroupText(f *testing.F) {
	f.Add([]byte("0::/system.slice/docker-" + fakeID("x") + ".scope\n1:name=systemd:/\n"))
	f.Add([]byte("3:cpu,cpuacct:/kubepods/besteffort/pod11111111-1111-4111-8111-111111111111/" + fakeID("y")))
	f.Add([]byte("31 23 0:28 /../.. /sys/fs/cgroup/a\\040b rw - cgroup2 cgroup2 rw,name=x,memory\n"))
	f.Add([]byte("0::/user.slice/user@1.service/init.scope/\\x2d\\x\n#subsys_name\nmemory 1 1 1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, m := range parseMemberships(text) {
			if !strings.HasPrefix(m.path, "/") {
				t.Errorf("path %q is not absolute", m.path)
			}
			p := classify(m.path)
			if p.container() && p.id == "" {
				t.Errorf("classify(%q) = %+v: a container without an id", m.path, p)
			}
			if isHexID(p.id) && strings.ContainsAny(p.id, "/.") {
				t.Errorf("classify(%q): id %q would leave its directory", m.path, p.id)
			}
			f := fromPath(p, m.path)
			r := newNames()
			r.set(1, f)
			for _, c := range *r.live.Load() {
				if c.Name == "" || c.Service == "" || c.Runtime == "" {
					t.Errorf("path %q is named %+v", m.path, c)
				}
			}
			h := Hierarchy{Version: 2, Mount: "/m", Root: "/"}
			if dir, ok := h.Dir(m.path); ok && dir != "/m" && !strings.HasPrefix(dir, "/m/") {
				t.Errorf("Dir(%q) = %q leaves the mount", m.path, dir)
			}
		}
		for _, h := range append(parseMountinfo(text, parseControllers(text), "/f").V1, parseMountinfo(text, nil, "").V2) {
			if h.Exists() && (h.Mount == "" || h.Mount[0] != '/') {
				t.Errorf("mount %q is not absolute", h.Mount)
			}
		}
	})
}

func FuzzRuntimeState(f *testing.F) {
	f.Add([]byte(`{"annotations":{"io.kubernetes.cri.sandbox-name":"web-5d4f6b8c9-bcdfg","app":"x"},"linux":{"cgroupsPath":"a.slice:cri:x"}}`), "node")
	f.Add([]byte(`{"annotations":{"io.container.manager":"cri-o","io.kubernetes.cri-o.Labels":"null"}}`), "")
	f.Add([]byte(`{"Name":"/web","Config":{"Image":"x","Labels":{"com.docker.compose.service":"\u001b[2J"}}}`), "")
	f.Add([]byte(`[{"id":"x","names":[""],"metadata":"{\"name\":3}"},null]`), "")
	f.Fuzz(func(t *testing.T, text []byte, node string) {
		var all []facts
		if spec, err := parseSpec(text); err == nil {
			all = append(all, specFacts(spec, "x", node))
			one := &task{namespace: "default", id: "x", spec: spec}
			all = append(all, one.facts(node))
			if path := cgroupOfSpec(spec.Linux.CgroupsPath); path != "" && path[0] != '/' {
				t.Errorf("cgroupOfSpec(%q) = %q, want it absolute", spec.Linux.CgroupsPath, path)
			}
		}
		if f, ok := parseDocker(text, "x", node); ok {
			all = append(all, f)
		}
		for _, meta := range parseStored(text) {
			all = append(all, facts{name: meta.Name, image: meta.Image, runtime: "podman"})
		}
		r := newNames()
		for i, f := range all {
			r.set(ID(i+1), f)
		}
		names := map[string]bool{}
		for _, c := range *r.live.Load() {
			if c.Name == "" || c.Service == "" || names[c.Name] {
				t.Errorf("%q gives %+v: no name, no service or a name twice", text, c)
			}
			names[c.Name] = true
			for _, s := range []string{c.Name, c.Service, c.Pod, c.Namespace, c.Image} {
				if strings.ContainsAny(s, "\x00\x1b\n\r") {
					t.Errorf("%q gives unprintable text %q", text, s)
				}
			}
		}
	})
}

//go:build linux

package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seer/test/bed/host/footprint"
)

func TestFindHierarchies(t *testing.T) {
	tests := []struct {
		file  string
		want  Hierarchies
		roots []string
	}{
		{
			"mountinfo.hybrid",
			Hierarchies{Unified: "/sys/fs/cgroup/unified", Legacy: map[string]string{
				"cpu": "/sys/fs/cgroup/cpu,cpuacct", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
				"memory": "/sys/fs/cgroup/memory", "blkio": "/sys/fs/cgroup/blkio", "pids": "/sys/fs/cgroup/pids",
			}, Others: []string{"/sys/fs/cgroup/systemd"}},
			[]string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/blkio", "/sys/fs/cgroup/pids"},
		},
		{"mountinfo.v2", Hierarchies{Unified: "/sys/fs/cgroup", Legacy: map[string]string{}}, []string{"/sys/fs/cgroup"}},
	}
	for _, tt := range tests {
		got, err := FindHierarchies(filepath.Join("testdata", tt.file))
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("FindHierarchies(%s) (-want +got):\n%s, %v", tt.file, diff, err)
		}
		if roots := got.roots(); !slices.Equal(roots, tt.roots) {
			t.Errorf("%s: roots = %q, want %q", tt.file, roots, tt.roots)
		}
	}
	if h, err := FindHierarchies("testdata/mountinfo.none"); err == nil {
		t.Errorf("FindHierarchies without cgroups = %+v, want an error", h)
	}
}

// A process is in all of its container's cgroups, in its network namespace, and
// not root; on this host as it is, and as if it had no cgroup v2.
func TestStart(t *testing.T) {
	for _, legacyOnly := range []bool{false, true} {
		t.Run(fmt.Sprintf("legacyOnly=%v", legacyOnly), func(t *testing.T) {
			h, dir := testHost(t)
			if legacyOnly {
				if len(h.Hierarchies.Legacy) == 0 {
					t.Skip("not supported: this host has no cgroup v1")
				}
				h.Hierarchies.Unified = ""
			}
			n, err := NewNetwork(h.Journal, dir, testSubnet)
			if err != nil {
				t.Fatal(err)
			}
			l, err := n.Join("web", 1)
			if err != nil {
				t.Fatal(err)
			}
			c, err := h.NewContainer("web", Limits{CPUs: 0.5, Memory: 64 << 20, PIDs: 50}, l)
			if err != nil {
				t.Fatal(err)
			}
			p, err := c.Start(program("hold"), Nobody)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range c.Cgroup.Dirs() {
				if pids := cgroupPIDs(d); !slices.Equal(pids, []int{p.PID}) {
					t.Errorf("processes of %s = %v, want %d", d, pids, p.PID)
				}
			}
			proc := fmt.Sprintf("/proc/%d", p.PID)
			inside, err := footprint.Namespace(proc + "/ns/net")
			if err != nil {
				t.Fatal(err)
			}
			if kept, err := footprint.Namespace(l.Namespace.Path); err != nil || kept != inside {
				t.Errorf("network namespace of the process = %d, want %d (%v)", inside, kept, err)
			}
			status, err := os.ReadFile(proc + "/status")
			if err != nil || !strings.Contains(string(status), "Uid:\t65534\t65534") {
				t.Errorf("status = %s, %v, want user 65534", status, err)
			}
			if start, err := startTime(p.PID); err != nil || start != p.Start || !Alive(p.PID, p.Start) {
				t.Errorf("Start = %d, want %d (%v)", p.Start, start, err)
			}
		})
	}
}

func TestNetwork(t *testing.T) {
	h, dir := testHost(t)
	n, err := NewNetwork(h.Journal, dir, testSubnet)
	if err != nil {
		t.Fatal(err)
	}
	links := map[string]Link{}
	for i, name := range []string{"server", "client"} {
		if links[name], err = n.Join(name, i+1); err != nil {
			t.Fatal(err)
		}
	}
	if got := slices.Sorted(maps.Keys(links)); links["server"].Addr != netip.MustParseAddr("10.63.0.2") || links["server"].Veth != "sb1" {
		t.Errorf("links of %q: server has %+v, want 10.63.0.2 and sb1", got, links["server"])
	}
	c, err := h.NewContainer("server", Limits{}, links["server"])
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(links["server"].Addr, 8080)
	if _, err := c.Start(program("listen", addr.String()), Nobody); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	for _, from := range []Namespace{n.Router, links["client"].Namespace} {
		wait(t, "to connect from "+from.Path, func() bool {
			conn, err := from.Dial(ctx, addr)
			if err == nil {
				conn.Close()
			}
			return err == nil
		})
	}
	if left, err := filepath.Glob("/sys/class/net/sb*"); err != nil || len(left) > 0 {
		t.Errorf("links on the host: %q, %v, want none", left, err)
	}
	if err := n.Leave(links["client"]); err != nil {
		t.Fatal(err)
	}
	if exists(links["client"].Namespace.Path) {
		t.Error("the namespace's mount is there after Leave")
	}
	// Its place can be taken again, at once.
	if _, err := n.Join("client", 2); err != nil {
		t.Errorf("Join after Leave = %v", err)
	}
}

func TestLimits(t *testing.T) {
	h, dir := testHost(t)
	c, err := h.NewContainer("limited", Limits{}, Link{})
	if err != nil {
		t.Fatal(err)
	}
	g := c.Cgroup
	read := func(controller, v1, v2 string) string {
		t.Helper()
		file := v2
		if g.Legacy(controller) {
			file = v1
		}
		text, err := g.read(controller, file)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if err := g.Set(Limits{CPUs: 0.25, Memory: 32 << 20, PIDs: 7}); err != nil {
		t.Fatal(err)
	}
	if got := read("cpu", "cpu.cfs_quota_us", "cpu.max"); !strings.HasPrefix(got, "25000") {
		t.Errorf("CPU limit = %q, want 25000", got)
	}
	if got := read("memory", "memory.limit_in_bytes", "memory.max"); got != "33554432" {
		t.Errorf("memory limit = %q, want 33554432", got)
	}
	if got := read("pids", "pids.max", "pids.max"); got != "7" {
		t.Errorf("process limit = %q, want 7", got)
	}
	if err := g.Set(Limits{}); err != nil {
		t.Fatal(err)
	}
	if got := read("cpu", "cpu.cfs_quota_us", "cpu.max"); got != "-1" && !strings.HasPrefix(got, "max") {
		t.Errorf("CPU limit = %q after it was lifted", got)
	}
	if disk, err := Disk(dir); err == nil {
		if err := g.SetDiskWrite(dir, 1<<20); err != nil {
			t.Errorf("SetDiskWrite on %s = %v", disk, err)
		}
		if got := read("blkio", "blkio.throttle.write_bps_device", "io.max"); !strings.Contains(got, disk) || !strings.Contains(got, "1048576") {
			t.Errorf("disk limit = %q, want 1048576 for %s", got, disk)
		}
		if err := g.SetDiskWrite(dir, 0); err != nil {
			t.Errorf("lift the disk limit: %v", err)
		}
	}
	if _, err := c.Start(program("hold"), nil); err != nil {
		t.Fatal(err)
	}
	wait(t, "CPU time and memory to show", func() bool {
		cpu, err1 := g.CPUTime()
		memory, err2 := g.Memory()
		return err1 == nil && err2 == nil && cpu > 0 && memory > 0
	})
}

// What has our names and is not ours stays.
func TestNameTaken(t *testing.T) {
	h, dir := testHost(t)
	j, err := OpenJournal(filepath.Join(dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if _, err := New(j, h.Parent); !errors.Is(err, fs.ErrExist) {
		t.Errorf("New of a parent that exists = %v, want ErrExist", err)
	}
	entries, err := ReadJournal(filepath.Join(dir, "other"))
	if err != nil || slices.ContainsFunc(entries, func(e Entry) bool { return e.Kind == KindCgroup }) {
		t.Errorf("journal of the second = %+v, %v: it would remove the first one's cgroups", entries, err)
	}
	if _, err := h.NewContainer("twice", Limits{}, Link{}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.NewContainer("twice", Limits{}, Link{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("NewContainer of a name that is taken = %v, want ErrExist", err)
	}
	path := filepath.Join(dir, "router")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewNetwork(h.Journal, dir, testSubnet); !errors.Is(err, fs.ErrExist) {
		t.Errorf("NewNetwork where a namespace's file exists = %v, want ErrExist", err)
	}
	removeJournal(t, dir)
	if !exists(path) {
		t.Error("Remove took a file that was there before")
	}
}

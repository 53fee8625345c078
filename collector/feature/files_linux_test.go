package feature

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fixture is a host that consists of files.
func fixture(t *testing.T, files map[string]string) *host {
	t.Helper()
	h := &host{root: tree(t, files), release: "6.1.0-test"}
	h.config = readKernelConfig(h.path("proc/config.gz"), h.path("boot", "config-"+h.release))
	h.cgroups = readCgroupMounts(h)
	return h
}

func (f finding) check(t *testing.T, verdict Verdict, says string) {
	t.Helper()
	if f.verdict != verdict || !strings.Contains(f.reason, says) {
		t.Errorf("got %v %q, want %v with %q", f.verdict, f.reason, verdict, says)
	}
}

const (
	mountsV2     = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	mountsHybrid = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n" +
		"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
		"33 31 0:30 / /sys/fs/cgroup/memory rw shared:5 master:1 - cgroup cgroup rw,memory\n" +
		"34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n" +
		"35 31 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	controllers = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t0\t1\t1\nmemory\t0\t1\t0\nblkio\t0\t1\t1\nperf_event\t0\t1\t1\n"
)

func TestCgroupHierarchy(t *testing.T) {
	tests := []struct {
		name, mounts string
		verdict      Verdict
		says         string
	}{
		{"v2", mountsV2, Works, "v2 at /sys/fs/cgroup"},
		{"hybrid", mountsHybrid, Works, "hybrid: 3 v1 controllers, v2 at /sys/fs/cgroup/unified"},
		{"v1", strings.Join(strings.SplitAfter(mountsHybrid, "\n")[:4], ""), Works, "v1, 3 controllers"},
		{"none", "22 1 0:21 / /proc rw - proc proc rw\n", Missing, "no cgroup file system"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			findHierarchy(fixture(t, map[string]string{"proc/self/mountinfo": tt.mounts})).check(t, tt.verdict, tt.says)
		})
	}
	findHierarchy(fixture(t, nil)).check(t, Unknown, "mountinfo")
}

func TestController(t *testing.T) {
	v2 := map[string]string{
		"proc/self/mountinfo":                  mountsV2,
		"proc/cgroups":                         controllers,
		"sys/fs/cgroup/cgroup.controllers":     "cpu io pids\n",
		"sys/fs/cgroup/cgroup.subtree_control": "cpu pids\n",
	}
	hybrid := map[string]string{
		"proc/self/mountinfo": mountsHybrid,
		"proc/cgroups":        controllers,
		"sys/fs/cgroup/memory/memory.limit_in_bytes":   "1",
		"sys/fs/cgroup/unified/cgroup.controllers":     "io\n",
		"sys/fs/cgroup/unified/cgroup.subtree_control": "io\n",
	}
	tests := []struct {
		name   string
		files  map[string]string
		v2, v1 string
		want   Verdict
		says   string
	}{
		{"enabled", v2, "cpu", "cpu", Works, "v2 at /sys/fs/cgroup"},
		{"not for children", v2, "io", "blkio", Missing, "not enabled for children"},
		{"switched off at boot", v2, "memory", "memory", Missing, "switched off at boot"},
		{"not in the kernel", v2, "hugetlb", "hugetlb", Missing, "no such controller"},
		{"implicit", v2, "perf_event", "perf_event", Works, "implicit"},
		{"v1 mount", hybrid, "memory", "memory", Works, "v1 at /sys/fs/cgroup/memory"},
		{"on v2 of a hybrid host", hybrid, "io", "blkio", Works, "v2 at /sys/fs/cgroup/unified"},
		{"unreadable v1 mount", hybrid, "cpu", "cpu", Unknown, "no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			findController(fixture(t, tt.files), tt.v2, tt.v1).check(t, tt.want, tt.says)
		})
	}
}

func TestOwnCgroup(t *testing.T) {
	h := fixture(t, map[string]string{
		"proc/self/mountinfo":                mountsV2,
		"proc/self/cgroup":                   "0::/system.slice/seer.service\n",
		"sys/fs/cgroup/system.slice/unused":  "",
		"sys/fs/cgroup/cpu.pressure":         "some avg10=0.00\n",
		"sys/fs/cgroup/cgroup.subtree_other": "",
	})
	if got, err := h.cgroups.own(h); err != nil || got != h.path("sys/fs/cgroup") {
		t.Errorf("own() = %q, %v, want the mount point: the path is not visible", got, err)
	}
	if err := os.MkdirAll(h.path("sys/fs/cgroup/system.slice/seer.service"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := h.cgroups.own(h); err != nil || got != h.path("sys/fs/cgroup/system.slice/seer.service") {
		t.Errorf("own() = %q, %v, want the unit's cgroup", got, err)
	}
}

func TestKernelConfig(t *testing.T) {
	const text = "#\n# Linux/x86\nCONFIG_PSI=y\nCONFIG_NF_CONNTRACK=m\n# CONFIG_KPROBES is not set\nCONFIG_HZ=250\n"
	plain := fixture(t, map[string]string{"boot/config-6.1.0-test": text})
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]*host{
		"plain": plain,
		"gzip":  fixture(t, map[string]string{"proc/config.gz": zipped.String()}),
	} {
		if got := h.config.unset([]string{"CONFIG_PSI", "CONFIG_NF_CONNTRACK", "CONFIG_KPROBES"}); got != "CONFIG_KPROBES" {
			t.Errorf("%s: unset() = %q (%v), want CONFIG_KPROBES", name, got, h.config.err)
		}
	}
	for name, files := range map[string]map[string]string{"none": nil, "not gzip": {"proc/config.gz": text}} {
		if h := fixture(t, files); h.config.err == nil || h.config.unset([]string{"CONFIG_KPROBES"}) != "" {
			t.Errorf("%s: %+v, want an error and no advice", name, h.config)
		}
	}
}

func TestLockdown(t *testing.T) {
	tests := []struct {
		text string
		want Verdict
		says string
	}{
		{"[none] integrity confidentiality\n", Works, "none"},
		{"none [integrity] confidentiality\n", Works, "integrity"},
		{"none integrity [confidentiality]\n", Missing, "confidentiality"},
		{"odd\n", Unknown, "odd"},
	}
	for _, tt := range tests {
		findLockdown(fixture(t, map[string]string{"sys/kernel/security/lockdown": tt.text})).check(t, tt.want, tt.says)
	}
	findLockdown(fixture(t, map[string]string{"proc/filesystems": "nodev\tproc\n"})).check(t, Works, "no securityfs")
}

func TestInferLockdown(t *testing.T) {
	report := func(iterator, fexit Verdict) *Report {
		return &Report{Items: []Item{{Name: nameLockdown}, {Name: "iter/task_file", Verdict: iterator}, {Name: "fexit tcp_recvmsg", Verdict: fexit}}}
	}
	privileged := &host{caps: capabilities{set: ^uint64(0)}}
	tests := []struct {
		name string
		r    *Report
		h    *host
		want string
	}{
		{"fexit refused", report(Works, Missing), privileged, "; inferred: not confidentiality (iterators run), perhaps integrity (fexit refused)"},
		{"all work", report(Works, Works), privileged, "; inferred: not confidentiality (iterators run)"},
		{"nothing works", report(Missing, Missing), privileged, ""},
		{"no privilege", report(Works, Missing), &host{}, ""},
	}
	for _, tt := range tests {
		inferLockdown(tt.r, tt.h)
		if got := tt.r.Items[0]; got.Reason != tt.want || got.Verdict != Unknown {
			t.Errorf("%s: lockdown = %v %q, want it unknown, %q", tt.name, got.Verdict, got.Reason, tt.want)
		}
	}
}

func TestUnprivilegedBPF(t *testing.T) {
	const path = "proc/sys/kernel/unprivileged_bpf_disabled"
	unprivilegedBPF(fixture(t, map[string]string{path: "0\n"})).check(t, Works, "anyone")
	unprivilegedBPF(fixture(t, map[string]string{path: "2\n"})).check(t, Works, "only processes with CAP_BPF")
	unprivilegedBPF(fixture(t, map[string]string{path: "?\n"})).check(t, Unknown, "?")
}

func TestResctrl(t *testing.T) {
	const rdt = "processor\t: 0\nflags\t\t: fpu rdt_a cat_l3 mba\n"
	tests := []struct {
		name  string
		files map[string]string
		want  Verdict
		says  string
	}{
		{"mounted", map[string]string{"sys/fs/resctrl/info/L3/cbm_mask": "f", "sys/fs/resctrl/info/last_cmd_status": ""}, Works, "L3"},
		{"not mounted", map[string]string{"proc/filesystems": "nodev\tresctrl\n", "proc/cpuinfo": rdt}, Missing, "not mounted; the CPU has rdt_a, cat_l3, mba"},
		{"no kernel support", map[string]string{"proc/filesystems": "nodev\tproc\n", "proc/cpuinfo": rdt}, Missing, "the kernel no resctrl"},
		{"no hardware", map[string]string{"proc/filesystems": "nodev\tresctrl\n", "proc/cpuinfo": "flags\t: fpu\n"}, Missing, "no flag"},
		{"neither", map[string]string{"proc/filesystems": "nodev\tproc\n"}, Missing, "neither"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { findResctrl(fixture(t, tt.files)).check(t, tt.want, tt.says) })
	}
}

func TestPressure(t *testing.T) {
	h := fixture(t, map[string]string{"proc/pressure/cpu": "some avg10=0.00\n", "proc/pressure/empty": ""})
	readable(h, "CONFIG_PSI", h.path("proc/pressure/cpu")).check(t, Works, "")
	readable(h, "CONFIG_PSI", h.path("proc/pressure/cpu"), h.path("proc/pressure/io")).check(t, Missing, "no such file")
	readable(h, "CONFIG_PSI", h.path("proc/pressure/empty")).check(t, Unknown, "empty")
	h = fixture(t, map[string]string{"boot/config-6.1.0-test": "CONFIG_BPF=y\n"})
	readable(h, "CONFIG_PSI", h.path("proc/pressure/cpu")).check(t, Missing, "CONFIG_PSI is not set")
}

func TestSchedInfo(t *testing.T) {
	findSchedInfo(fixture(t, map[string]string{"proc/1/schedstat": "12 3 4\n"})).check(t, Works, "")
	findSchedInfo(fixture(t, map[string]string{"proc/1/schedstat": "0 0 0\n"})).check(t, Missing, "does not count")
	findSchedInfo(fixture(t, map[string]string{"proc/1/schedstat": "1\n"})).check(t, Unknown, "three numbers")
	findSchedInfo(fixture(t, nil)).check(t, Missing, "no such file")
}

func TestSoftnet(t *testing.T) {
	line := strings.Repeat("00000000 ", 11)
	findSoftnet(fixture(t, map[string]string{"proc/net/softnet_stat": line + "0000002a\n" + line + "00000000\n"})).check(t, Works, "")
	findSoftnet(fixture(t, map[string]string{"proc/net/softnet_stat": line + "\n"})).check(t, Missing, "11 columns, want 12")
	findSoftnet(fixture(t, nil)).check(t, Missing, "no such file")
}

func TestConntrackNotLoaded(t *testing.T) {
	findConntrack(fixture(t, nil)).check(t, Missing, "not loaded")
}

func TestDisk(t *testing.T) {
	diskFinding("/x", wantedDisk-1).check(t, Missing, "want 1 GiB")
	diskFinding("/x", 5*wantedDisk).check(t, Works, "5.0 GiB free at /x")
	if got, want := len(hostChecks(&host{dbDir: "/x"}))-len(hostChecks(&host{})), 1; got != want {
		t.Errorf("with a database directory there are %d more checks, want %d", got, want)
	}
	dir := t.TempDir()
	found := findDisk(&host{dbDir: filepath.Join(dir, "not", "yet")})
	if found.verdict == Unknown || !strings.Contains(found.reason, "free at "+dir) {
		t.Errorf("findDisk(a directory to be made) = %v %q, want the parent's space", found.verdict, found.reason)
	}
}

func TestKretprobeWithoutSysfs(t *testing.T) {
	err := tryKretprobe(fixture(t, nil), "tcp_recvmsg")
	classify(err, tracer, capabilities{set: ^uint64(0)}).check(t, Unknown, "sysfs is not mounted")
	err = tryKretprobe(fixture(t, map[string]string{"sys/bus/event_source/devices/cpu/type": "4"}), "tcp_recvmsg")
	classify(err, tracer, capabilities{set: ^uint64(0)}).check(t, Missing, "no kprobes")
}

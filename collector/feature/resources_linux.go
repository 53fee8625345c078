package feature

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// resourceChecks look at what the diagnosis of a culprit reads.
func resourceChecks() []check {
	return []check{
		{group: GroupResource, name: "PSI of the host", loss: "pressure of CPU, memory and I/O as evidence",
			config: []string{"CONFIG_PSI"}, advice: "boot with psi=1",
			fact: func(h *host) finding {
				return readable(h, "CONFIG_PSI", h.path("proc/pressure/cpu"), h.path("proc/pressure/memory"), h.path("proc/pressure/io"))
			}},
		{group: GroupResource, name: "PSI per container", loss: "which container suffers from the pressure",
			advice: "mount cgroup v2 and boot with psi=1",
			fact: func(h *host) finding {
				var paths []string
				for _, name := range []string{"cpu.pressure", "memory.pressure", "io.pressure"} {
					path, err := pressureFile(h, name)
					if err != nil {
						return classify(err, nil, h.caps)
					}
					paths = append(paths, path)
				}
				return readable(h, "CONFIG_PSI", paths...)
			}},
		{group: GroupResource, name: "hardware counters", loss: "cache misses, IPC and stalls as evidence (microbenchmarks take their place)",
			needs: []cap.Value{cap.PERFMON}, config: []string{"CONFIG_PERF_EVENTS"},
			advice: "expose the PMU to this virtual machine, or use a host that has one",
			probe: func(h *host) error {
				err := tryPerfEvent(h, unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_CPU_CYCLES, 0, -1, 0)
				if errors.Is(err, os.ErrNotExist) {
					return fmt.Errorf("this CPU shows no cycle counter: %w", err)
				}
				return err
			}},
		{group: GroupResource, name: "perf events per container", loss: "counters of one container",
			needs: []cap.Value{cap.PERFMON}, config: []string{"CONFIG_PERF_EVENTS", "CONFIG_CGROUP_PERF"},
			advice: "use a kernel with CONFIG_CGROUP_PERF; if it refuses: sysctl kernel.perf_event_paranoid=2", probe: probeCgroupPerf},
		{group: GroupResource, name: "resctrl", loss: "cache occupancy and memory bandwidth as evidence; cache and bandwidth limits",
			advice: "on a CPU with RDT or MPAM: mount -t resctrl resctrl /sys/fs/resctrl", fact: findResctrl},
		{group: GroupResource, name: "scheduler accounting", queues: []string{runQueue},
			advice: "use a kernel with CONFIG_SCHEDSTATS, or boot with delayacct", fact: findSchedInfo},
		{group: GroupResource, name: "softnet_stat", queues: []string{nicRx}, advice: newerKernel + " (Linux 5.10 has the backlog's length)",
			fact: findSoftnet},
		{group: GroupResource, name: "conntrack", loss: "edges behind NAT: a ClusterIP shows as the peer",
			advice: "only needed on hosts with NAT: load nf_conntrack and nf_conntrack_netlink, run with CAP_NET_ADMIN", fact: findConntrack},
	}
}

// readable reads every file; all must have content.
func readable(h *host, option string, paths ...string) finding {
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			found := classify(err, nil, h.caps)
			if found.verdict == Missing {
				if off := h.config.unset([]string{option}); off != "" {
					found.reason += " (" + off + " is not set in the kernel configuration)"
				}
			}
			return found
		}
		if len(data) == 0 {
			return finding{Unknown, path + " is empty"}
		}
	}
	return finding{Works, ""}
}

// tryPerfEvent opens one counter of user space and closes it.
func tryPerfEvent(h *host, kind uint32, config uint64, pid, cpu, flags int) error {
	attr := unix.PerfEventAttr{Type: kind, Config: config, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Bits: unix.PerfBitDisabled | unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv}
	fd, err := unix.PerfEventOpen(&attr, pid, cpu, -1, flags|unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		if level := perfParanoid(h); level > 2 && errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("kernel.perf_event_paranoid=%d leaves it to CAP_SYS_ADMIN: %w", level, err)
		}
		return fmt.Errorf("perf_event_open: %w", err)
	}
	return unix.Close(fd)
}

// perfParanoid reads the level of a sysctl, 0 where it cannot. Mainline stops
// at 2, which CAP_PERFMON overrules; Debian and Ubuntu have a level 3 and 4
// that it does not.
func perfParanoid(h *host) int {
	data, err := os.ReadFile(h.path("proc/sys/kernel/perf_event_paranoid"))
	if err != nil {
		return 0
	}
	level, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return level
}

// probeCgroupPerf opens a software counter on a cgroup, so that the answer is
// about the cgroup flag and not about the PMU.
func probeCgroupPerf(h *host) error {
	dir := h.cgroups.v1["perf_event"]
	if dir == "" {
		dir = h.cgroups.v2
	}
	if dir == "" {
		return fmt.Errorf("no hierarchy has perf_event: %w", os.ErrNotExist)
	}
	cgroup, err := os.Open(h.path(dir))
	if err != nil {
		return err
	}
	defer cgroup.Close()
	err = tryPerfEvent(h, unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_CPU_CLOCK, int(cgroup.Fd()), 0, unix.PERF_FLAG_PID_CGROUP)
	runtime.KeepAlive(cgroup)
	return err
}

// findResctrl looks for the mounted file system, else says what is in the way.
func findResctrl(h *host) finding {
	entries, err := os.ReadDir(h.path("sys/fs/resctrl/info"))
	if err == nil {
		var names []string
		for _, e := range entries {
			if e.IsDir() {
				names = append(names, e.Name())
			}
		}
		return finding{Works, "/sys/fs/resctrl: " + strings.Join(names, ", ")}
	}
	if !errors.Is(err, os.ErrNotExist) {
		return classify(err, nil, h.caps)
	}
	cpu := resctrlFlags(h)
	if !hasFilesystem(h, "resctrl") {
		if len(cpu) > 0 {
			return finding{Missing, "the CPU has " + strings.Join(cpu, ", ") + ", the kernel no resctrl file system"}
		}
		return finding{Missing, "neither the kernel nor the CPU offers it"}
	}
	if len(cpu) == 0 {
		return finding{Missing, "the kernel has it, the CPU shows no flag of it"}
	}
	return finding{Missing, "not mounted; the CPU has " + strings.Join(cpu, ", ")}
}

// resctrlFlags lists the flags of x86 resource control in /proc/cpuinfo.
func resctrlFlags(h *host) []string {
	data, err := os.ReadFile(h.path("proc/cpuinfo"))
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(data)) {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) != "flags" {
			continue
		}
		var found []string
		flags := strings.Fields(value)
		for _, f := range []string{"rdt_a", "cat_l3", "cat_l2", "mba", "cqm_occup_llc", "cqm_mbm_total", "cqm_mbm_local"} {
			if slices.Contains(flags, f) {
				found = append(found, f)
			}
		}
		return found
	}
	return nil
}

// findSchedInfo reads a task's schedstat: time on CPU, run delay, times run. A
// kernel that does not keep them writes zeros, and pid 1 has run.
func findSchedInfo(h *host) finding {
	data, err := os.ReadFile(h.path("proc/1/schedstat"))
	if err != nil {
		return classify(err, nil, h.caps)
	}
	f := strings.Fields(string(data))
	switch {
	case len(f) != 3:
		return finding{Unknown, fmt.Sprintf("/proc/1/schedstat holds %q, want three numbers", strings.TrimSpace(string(data)))}
	case f[2] == "0":
		return finding{Missing, "the kernel does not count run delays (/proc/1/schedstat is zero)"}
	}
	return finding{Works, ""}
}

// softnetColumns is how many columns a line of softnet_stat has at least where
// it tells the length of the backlog (softnet_seq_show, net/core/net-procfs.c).
const softnetColumns = 12

// findSoftnet looks for the length of the softirq backlog.
func findSoftnet(h *host) finding {
	data, err := os.ReadFile(h.path("proc/net/softnet_stat"))
	if err != nil {
		return classify(err, nil, h.caps)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	if n := len(strings.Fields(line)); n < softnetColumns {
		return finding{Missing, fmt.Sprintf("/proc/net/softnet_stat has %d columns, want %d", n, softnetColumns)}
	}
	return finding{Works, ""}
}

//go:build linux

package conduct

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"seer/infer/topology"
	"seer/test/bed/host"
	"seer/test/bed/servers"
)

// versions says what ran: Seer, Go, and the servers of the application.
func versions(app *topology.App, seer string) map[string]string {
	v := map[string]string{"go": runtime.Version()}
	if out, err := exec.Command(seer, "--version").Output(); err == nil {
		v["seer"] = strings.TrimSpace(string(out))
	}
	for _, s := range app.Services {
		kind := string(s.Kind)
		if s.Kind == topology.KindApp || v[kind] != "" {
			continue
		}
		if version := servers.Version(s.Kind); version != "" {
			v[kind] = version
		}
	}
	return v
}

// hostFacts describes the host that it ran on.
func hostFacts() map[string]string {
	facts := map[string]string{"cpus": strconv.Itoa(runtime.NumCPU()), "architecture": runtime.GOARCH}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		facts["kernel"] = unix.ByteSliceToString(u.Release[:])
	}
	facts["cpu"] = field("/proc/cpuinfo", "model name")
	facts["memory"] = field("/proc/meminfo", "MemTotal")
	if h, err := host.FindHierarchies("/proc/self/mountinfo"); err == nil {
		switch {
		case h.Unified == "":
			facts["cgroup"] = "v1"
		case len(h.Legacy) == 0:
			facts["cgroup"] = "v2"
		default:
			facts["cgroup"] = "v1 and v2"
		}
	}
	return facts
}

// field returns a value of a file of "name : value" lines.
func field(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

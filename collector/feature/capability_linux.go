package feature

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// capabilities are the effective capabilities of this process.
type capabilities struct {
	set uint64 // bit per cap.Value
	err error  // set means nothing when not nil
}

// readCapabilities reads CapEff of a status file (proc_pid_status(5)).
func readCapabilities(path string) capabilities {
	data, err := os.ReadFile(path)
	if err != nil {
		return capabilities{err: fmt.Errorf("read capabilities: %w", err)}
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "CapEff:"); ok {
			set, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			if err != nil {
				return capabilities{err: fmt.Errorf("read capabilities: %s: %w", path, err)}
			}
			return capabilities{set: set}
		}
	}
	return capabilities{err: fmt.Errorf("read capabilities: %s: no line CapEff", path)}
}

// has says whether v is effective. Before Linux 5.8, CAP_SYS_ADMIN stood for
// CAP_BPF and CAP_PERFMON, and the kernel still accepts it.
func (c capabilities) has(v cap.Value) bool {
	if c.err != nil {
		return false
	}
	if c.set>>v&1 != 0 {
		return true
	}
	return (v == cap.BPF || v == cap.PERFMON) && c.set>>cap.SYS_ADMIN&1 != 0
}

// lacking returns those of needs that are not held.
func (c capabilities) lacking(needs []cap.Value) []cap.Value {
	var lacking []cap.Value
	for _, v := range needs {
		if !c.has(v) {
			lacking = append(lacking, v)
		}
	}
	return lacking
}

// capNames lists capabilities in the kernel's spelling.
func capNames(values []cap.Value) string {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = strings.ToUpper(v.String())
	}
	return strings.Join(names, ", ")
}

// capabilityChecks has one check per capability that Seer may use.
func capabilityChecks() []check {
	const advice = "run as root (sudo), or grant it"
	all := []struct {
		value    cap.Value
		required bool
		loss     string
	}{
		{cap.BPF, true, ""},
		{cap.PERFMON, true, ""},
		{cap.NET_ADMIN, false, "nothing yet (planned: conntrack, cgroup_skb and tcx programs)"},
		{cap.SYS_PTRACE, false, "nothing yet (planned: which process holds a socket)"},
		{cap.DAC_READ_SEARCH, false, "containers' names, where a runtime's state belongs to another user"},
		{cap.SYS_RESOURCE, false, "raising the limits of open files and locked memory"},
		{cap.SYS_ADMIN, false, "the kernel's own account of BPF run time (Seer estimates its event cost instead)"},
	}
	var checks []check
	for _, c := range all {
		checks = append(checks, check{
			group: GroupCapability, name: strings.ToUpper(c.value.String()), required: c.required,
			loss: c.loss, advice: advice,
			fact: func(h *host) finding {
				switch {
				case h.caps.err != nil:
					return finding{Unknown, h.caps.err.Error()}
				case h.caps.set>>c.value&1 != 0:
					return finding{Works, ""}
				case h.caps.has(c.value):
					return finding{Works, "through CAP_SYS_ADMIN"}
				}
				return finding{Missing, "not in this process's effective set"}
			},
		})
	}
	return checks
}

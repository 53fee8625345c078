package feature

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// StartCapabilities are what Seer needs until everything is attached. A test
// starts a process with exactly these, as another user than root.
func StartCapabilities() []cap.Value {
	return append(RunCapabilities(),
		cap.SYS_RESOURCE, // raise the limits of locked memory (before 5.11) and open files
		cap.SETPCAP,      // empty the bounding set; optional, see Drop
	)
}

// RunCapabilities are what a running Seer keeps: what it uses today. Add
// CAP_NET_ADMIN with the first cgroup_skb program or conntrack query, and
// CAP_SYS_PTRACE with the first look at /proc/PID/{fd,ns,exe} of other users.
func RunCapabilities() []cap.Value {
	return []cap.Value{
		cap.BPF,             // load on demand; before 5.19 any bpf(2) call where unprivileged BPF is off
		cap.PERFMON,         // load and attach request hooks on demand, perf events of a culprit
		cap.DAC_READ_SEARCH, // state of runtimes, which gives containers their names
	}
}

// Drop leaves the process with no more than the capabilities in keep, on every
// thread and for good: it sets no_new_privs, empties the ambient and
// inheritable sets, takes everything else out of the bounding set and then out
// of the permitted and effective sets. What is not permitted now is not gained.
// Afterwards it reads back every thread's state and fails if anything is left.
//
// Without CAP_SETPCAP the bounding set cannot change; no_new_privs then still
// keeps execve(2) from giving anything back.
func Drop(keep ...cap.Value) error {
	now := cap.GetProc()
	next := cap.NewSet()
	for _, v := range keep {
		permitted, err := now.GetFlag(cap.Permitted, v)
		if err != nil {
			return fmt.Errorf("drop capabilities: %v: %w", v, err)
		}
		if !permitted {
			continue
		}
		if err := errors.Join(next.SetFlag(cap.Permitted, true, v), next.SetFlag(cap.Effective, true, v)); err != nil {
			return fmt.Errorf("drop capabilities: %v: %w", v, err)
		}
	}
	if _, err := cap.Prctlw(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("drop capabilities: set no_new_privs: %w", err)
	}
	if err := cap.ResetAmbient(); err != nil {
		return fmt.Errorf("drop capabilities: empty the ambient set: %w", err)
	}
	bounded, err := dropBounding(now, keep)
	if err != nil {
		return err
	}
	if err := next.SetProc(); err != nil {
		return fmt.Errorf("drop capabilities: set %q: %w", next, err)
	}
	return verifyDropped("/proc/self/task", keep, bounded)
}

// dropBounding empties the bounding set but for keep, and says whether it may.
func dropBounding(now *cap.Set, keep []cap.Value) (bool, error) {
	may, err := now.GetFlag(cap.Effective, cap.SETPCAP)
	if err != nil {
		return false, fmt.Errorf("drop capabilities: %w", err)
	}
	if !may {
		return false, nil
	}
	var rest []cap.Value
	for v := range cap.MaxBits() {
		if in, err := cap.GetBound(v); err == nil && in && !slices.Contains(keep, v) {
			rest = append(rest, v)
		}
	}
	if err := cap.DropBound(rest...); err != nil {
		return false, fmt.Errorf("drop capabilities: bounding set: %w", err)
	}
	return true, nil
}

// verifyDropped reads the status of every thread below tasks. bounded says
// whether the bounding set had to go, too.
func verifyDropped(tasks string, keep []cap.Value, bounded bool) error {
	var allowed uint64
	for _, v := range keep {
		allowed |= 1 << v
	}
	limits := map[string]uint64{"CapPrm": allowed, "CapEff": allowed, "CapInh": 0, "CapAmb": 0}
	if bounded {
		limits["CapBnd"] = allowed
	}
	threads, err := os.ReadDir(tasks)
	if err != nil {
		return fmt.Errorf("verify dropped capabilities: %w", err)
	}
	for _, thread := range threads {
		status, err := os.ReadFile(filepath.Join(tasks, thread.Name(), "status"))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // the thread has ended
		}
		if err != nil {
			return fmt.Errorf("verify dropped capabilities: %w", err)
		}
		for line := range strings.Lines(string(status)) {
			name, value, _ := strings.Cut(line, ":")
			value = strings.TrimSpace(value)
			if name == "NoNewPrivs" && value != "1" {
				return fmt.Errorf("verify dropped capabilities: thread %s may still gain privileges", thread.Name())
			}
			limit, ok := limits[name]
			if !ok {
				continue
			}
			set, err := strconv.ParseUint(value, 16, 64)
			if err != nil {
				return fmt.Errorf("verify dropped capabilities: thread %s: %s: %w", thread.Name(), name, err)
			}
			if left := set &^ limit; left != 0 {
				return fmt.Errorf("verify dropped capabilities: thread %s still has %s %#x", thread.Name(), name, left)
			}
		}
	}
	return nil
}

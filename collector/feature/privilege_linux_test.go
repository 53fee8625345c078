package feature

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// operationNeeds says which capabilities each operation of a running Seer
// takes, none for those not listed. Found by trying each alone and in
// combination on Linux 6.18, as root and as another user, with equal results;
// TestOperationNeeds repeats it.
var operationNeeds = map[string][]cap.Value{
	"run syscall program":          {cap.BPF},
	"create map":                   {cap.BPF},
	"load and attach tp_btf":       {cap.BPF, cap.PERFMON},
	"attach loaded cgroup_skb":     {cap.NET_ADMIN},
	"load and attach cgroup_skb":   {cap.BPF, cap.NET_ADMIN},
	"load and attach tcx":          {cap.BPF, cap.NET_ADMIN},
	"enable bpf statistics":        {cap.SYS_ADMIN},
	"perf event of a container":    {cap.PERFMON},
	"ask conntrack":                {cap.NET_ADMIN},
	"read link /proc/PID/ns/net":   {cap.SYS_PTRACE},
	"read link /proc/PID/exe":      {cap.SYS_PTRACE},
	"list /proc/PID/fd":            {cap.SYS_PTRACE, cap.DAC_READ_SEARCH},
	"read another user's file":     {cap.DAC_READ_SEARCH},
	"raise the open files limit":   {cap.SYS_RESOURCE},
	"attach loaded tcx":            nil,
	"attach loaded tp_btf":         nil,
	"open and read iter/task":      nil,
	"update and look up map":       nil,
	"read /proc/PID/cgroup":        nil,
	"open and read iter/task_file": nil,
}

// needsOf is operationNeeds on this host: Debian's kernels know a third level
// of perf_event_paranoid, at which only CAP_SYS_ADMIN opens an event.
func needsOf(t *testing.T, operation string) []cap.Value {
	t.Helper()
	if operation == "perf event of a container" && perfParanoid(&host{root: "/"}) > 2 {
		return []cap.Value{cap.SYS_ADMIN}
	}
	return operationNeeds[operation]
}

// possible returns the operations that this kernel knows. Only a process with
// every capability can tell: to others, the library reports some refusals as
// "not supported".
func possible(t *testing.T, env []string) map[string]bool {
	t.Helper()
	known := make(map[string]bool)
	all := held(t, everything())
	for name, got := range operate(t, nobody, all, all, env).Run {
		switch got {
		case "", "EPERM": // the test itself may lack the capability
			known[name] = true
		case unsupported:
		default:
			t.Errorf("with every capability: %s: %s", name, got)
		}
	}
	return known
}

// bystander starts a process of another user and a file only that user may
// read, and returns the environment that points a child at them.
func bystander(t *testing.T) []string {
	t.Helper()
	cmd := self(t, "idle", stranger, nil)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("bystander: %v", err)
		}
	})
	// A directory that everybody may enter, so that only the file's mode counts.
	dir, err := os.MkdirTemp("", "seer-feature-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	file := filepath.Join(dir, "secret")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, stranger, stranger); err != nil {
		t.Fatal(err)
	}
	return []string{fmt.Sprintf("%s=%d", targetEnv, cmd.Process.Pid), secretEnv + "=" + file}
}

// operate runs every operation as uid in a child that starts with some
// capabilities and keeps others.
func operate(t *testing.T, uid uint32, start, keep []cap.Value, env []string) outcome {
	t.Helper()
	names := make([]string, len(keep))
	for i, v := range keep {
		names[i] = v.String()
	}
	env = append(slices.Clone(env), keepEnv+"="+strings.Join(names, ","))
	var result outcome
	if err := json.Unmarshal(output(t, self(t, "operations", uid, start, env...)), &result); err != nil {
		t.Fatal(err)
	}
	if result.Drop != "" {
		t.Fatalf("Drop(%v): %s", keep, result.Drop)
	}
	var kept uint64
	for _, v := range keep {
		kept |= 1 << v
	}
	if gained := result.Exec &^ kept; gained != 0 {
		t.Errorf("as uid %d, keeping %v: a program executed after Drop has %#x more", uid, keep, gained)
	}
	return result
}

// held returns those of values that this test may pass on. Container runtimes
// keep some from root.
func held(t *testing.T, values []cap.Value) []cap.Value {
	t.Helper()
	var have []cap.Value
	for _, v := range values {
		ok, err := cap.GetProc().GetFlag(cap.Permitted, v)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			have = append(have, v)
		}
	}
	return have
}

func everything() []cap.Value {
	var all []cap.Value
	for v := range cap.MaxBits() {
		all = append(all, v)
	}
	return all
}

// A user other than root, with exactly StartCapabilities, starts; with exactly
// RunCapabilities left, it does all that Seer does later. Root starts with
// everything and ends with the same.
func TestStartAndRunCapabilities(t *testing.T) {
	needRoot(t)
	env := bystander(t)
	known := possible(t, env)
	// Not to be loaded at the start without CAP_NET_ADMIN.
	delete(known, "attach loaded tcx")
	delete(known, "attach loaded cgroup_skb")
	for _, uid := range []uint32{0, nobody} {
		result := operate(t, uid, held(t, StartCapabilities()), RunCapabilities(), env)
		for name, err := range result.Prepare {
			newer := name == "load syscall program"     // than the oldest kernel
			planned := name == "load network for later" // and takes CAP_NET_ADMIN
			// A policy may refuse it whoever asks; Seer then does without.
			policy := name == "attach iter/bpf_sk_storage_map" && probeHost(t).Item("iter/bpf_sk_storage_map").Verdict == Missing
			if err != "" && !planned && !(err == unsupported && newer) && !policy {
				t.Errorf("uid %d: start: %s: %s", uid, name, err)
			}
		}
		result.compare(t, known, RunCapabilities())
	}
}

// compare holds each outcome to operationNeeds.
func (o outcome) compare(t *testing.T, known map[string]bool, keep []cap.Value) {
	t.Helper()
	for name, got := range o.Run {
		refused := slices.ContainsFunc(needsOf(t, name), func(v cap.Value) bool { return !slices.Contains(keep, v) })
		switch {
		case !known[name]:
		case refused && got != "EPERM" && got != unsupported:
			t.Errorf("keeping %v: %s: %q, want a refusal", keep, name, got)
		case !refused && got != "":
			t.Errorf("keeping %v: %s: %q, want success", keep, name, got)
		}
	}
}

// Every operation works with its capabilities and is refused without any one
// of them.
func TestOperationNeeds(t *testing.T) {
	if testing.Short() {
		t.Skip("a dozen child processes: two minutes on an emulated machine")
	}
	needRoot(t)
	env := bystander(t)
	known := possible(t, env)
	keeps := []cap.Value{cap.BPF, cap.PERFMON, cap.NET_ADMIN, cap.SYS_PTRACE, cap.DAC_READ_SEARCH}
	sets := [][]cap.Value{{}}
	for i := range keeps {
		sets = append(sets, slices.Concat(keeps[:i], keeps[i+1:]), keeps[i:i+1])
	}
	for _, keep := range sets {
		operate(t, nobody, held(t, everything()), keep, env).compare(t, known, keep)
	}
	// CAP_SYS_ADMIN stands for more or less of the others, depending on the
	// kernel; statistics need it on all.
	alone := operate(t, nobody, held(t, everything()), []cap.Value{cap.SYS_ADMIN}, env)
	if got := alone.Run["enable bpf statistics"]; got != "" {
		t.Errorf("enable bpf statistics with CAP_SYS_ADMIN: %s", got)
	}
}

// Each capability that a running Seer keeps is needed by some operation.
func TestRunCapabilitiesAreNeeded(t *testing.T) {
	for _, v := range RunCapabilities() {
		used := false
		for _, needs := range operationNeeds {
			used = used || slices.Contains(needs, v)
		}
		if !used {
			t.Errorf("%v is kept and no operation needs it", v)
		}
	}
}

// verifyDropped must see what is left, on any thread.
func TestVerifyDropped(t *testing.T) {
	const dropped = "CapInh:\t0\nCapPrm:\t0000008000000000\nCapEff:\t0000008000000000\nCapBnd:\t0000008000000000\nCapAmb:\t0\nNoNewPrivs:\t1\n"
	keep := []cap.Value{cap.BPF} // bit 39
	tests := []struct {
		name, second string
		bounded      bool
		says         string
	}{
		{"all dropped", dropped, true, ""},
		{"one thread kept its permitted set", strings.Replace(dropped, "CapPrm:\t0000008", "CapPrm:\t0000018", 1), true, "thread 2 still has CapPrm 0x10000000000"},
		{"inheritable", strings.Replace(dropped, "CapInh:\t0", "CapInh:\t1", 1), true, "CapInh"},
		{"bounding", strings.Replace(dropped, "CapBnd:\t0", "CapBnd:\tf", 1), true, "CapBnd"},
		{"bounding without CAP_SETPCAP", strings.Replace(dropped, "CapBnd:\t0", "CapBnd:\tf", 1), false, ""},
		{"may gain", strings.Replace(dropped, "Privs:\t1", "Privs:\t0", 1), true, "thread 2 may still gain"},
	}
	for _, tt := range tests {
		root := tree(t, map[string]string{"1/status": dropped, "2/status": tt.second})
		err := verifyDropped(root, keep, tt.bounded)
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: verifyDropped() = %v, want %q", tt.name, err, tt.says)
		}
	}
}

//go:build linux

package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestRunsInContainer builds the image by hand and runs it under runc: a
// read-only root, the host's processes and network, the unit's capabilities and
// the unit's system call filter.
func TestRunsInContainer(t *testing.T) {
	needRoot(t)
	if _, err := exec.LookPath("runc"); errors.Is(err, exec.ErrNotFound) {
		t.Skip("needs runc (package runc)")
	}
	img := readImage(t)
	bundle, state, run := t.TempDir(), t.TempDir(), t.TempDir()
	root := img.rootfs(t, map[string]string{"bin/seer": seerBinary(t)})
	config, err := json.Marshal(img.runtimeConfig(t, root, state, run))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), config, 0o644); err != nil {
		t.Fatal(err)
	}
	in := &instance{state: state, socket: filepath.Join(run, "seer.sock"), exited: make(chan struct{})}
	in.cmd = exec.Command("runc", "--root", t.TempDir(), "run", "--bundle", bundle, containerName())
	in.cmd.Stderr = &in.stderr
	if err := in.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.watch(t, syscall.SIGTERM) // runc forwards it; killing runc would orphan the container
	rows := in.queues(t)
	t.Logf("%d queue rows, invalid: %v", len(rows), reasons(rows))
	if code := in.stop(t); code != 0 {
		t.Errorf("exit code after SIGTERM = %d, want 0", code)
	}
	if kept, err := os.ReadDir(state); err != nil || len(kept) == 0 {
		t.Errorf("volume /var/lib/seer holds %d files, %v: want a database", len(kept), err)
	}
}

// runtimeState is where runtimes keep the names of their containers.
var runtimeState = []string{"/run/containerd", "/run/docker", "/run/crio", "/var/lib/docker", "/var/lib/containers"}

func containerName() string { return fmt.Sprintf("seer-test-%d", os.Getpid()) }

// runtimeConfig is the OCI runtime configuration for the run line in README.md.
func (img image) runtimeConfig(t *testing.T, root, state, run string) map[string]any {
	t.Helper()
	type object = map[string]any
	capabilities := service(t)["CapabilityBoundingSet"]
	names := strings.Fields(strings.Join(capabilities, " "))
	bind := func(source, target string, options ...string) object {
		return object{"destination": target, "type": "bind", "source": source, "options": append(options, "nosuid", "nodev")}
	}
	mounts := []object{
		{"destination": "/proc", "type": "proc", "source": "proc", "options": []string{"nosuid", "noexec", "nodev"}},
		{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": []string{"nosuid", "noexec", "mode=755", "size=64k"}},
		bind("/sys", "/sys", "rbind", "ro"),
		bind(state, "/var/lib/seer", "bind", "rw"),
		bind(run, "/run/seer", "bind", "rw"),
	}
	for _, dir := range runtimeState {
		if _, err := os.Stat(dir); err == nil {
			mounts = append(mounts, bind(dir, dir, "rbind", "ro"))
		}
	}
	return object{
		"ociVersion": "1.0.2",
		"process": object{
			"user": object{"uid": 0, "gid": 0},
			"args": slices.Concat(img.Entrypoint, img.Cmd),
			// Port 0 instead of the image's: another Seer may run on this host.
			"env":             slices.Concat(img.Env, []string{"SEER_LISTEN=127.0.0.1:0", "SEER_ACT=off"}),
			"cwd":             "/",
			"noNewPrivileges": true,
			"capabilities": object{
				"bounding": names, "effective": names, "permitted": names,
			},
		},
		"root":   object{"path": root, "readonly": true},
		"mounts": mounts,
		"linux": object{
			// No pid, network or cgroup namespace: Seer looks at the host's.
			"namespaces":  []object{{"type": "mount"}, {"type": "ipc"}, {"type": "uts"}},
			"cgroupsPath": "/" + containerName(),
			"seccomp":     object{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []object{{"names": filteredCalls(t), "action": "SCMP_ACT_ALLOW"}}},
		},
	}
}

// filteredCalls expands the unit's SystemCallFilter lists, as systemd does:
// the first makes it an allow list, "~" takes away again.
func filteredCalls(t *testing.T) []string {
	t.Helper()
	allowed := map[string]bool{}
	expandCalls(t, "@default", true, allowed) // always allowed
	for _, list := range service(t)["SystemCallFilter"] {
		names, remove := strings.CutPrefix(list, "~")
		for _, name := range strings.Fields(names) {
			expandCalls(t, name, !remove, allowed)
		}
	}
	var calls []string
	for name, ok := range allowed {
		if ok {
			calls = append(calls, name)
		}
	}
	slices.Sort(calls)
	return calls
}

// expandCalls adds a system call, or each of a named set, to allowed.
func expandCalls(t *testing.T, name string, allow bool, allowed map[string]bool) {
	t.Helper()
	if !strings.HasPrefix(name, "@") {
		allowed[name] = allow
		return
	}
	out, err := exec.Command("systemd-analyze", "--no-pager", "syscall-filter", name).Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("needs systemd-analyze (package systemd) to expand the system call filter")
	}
	if err != nil {
		t.Fatalf("systemd-analyze syscall-filter %s: %v", name, err)
	}
	for line := range strings.Lines(string(out)) {
		member := strings.TrimSpace(line)
		if member == "" || member == name || strings.HasPrefix(member, "#") {
			continue
		}
		expandCalls(t, member, allow, allowed)
	}
}

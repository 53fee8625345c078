package container

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// daemon is a private containerd: own root, state and socket, no CRI plugin.
type daemon struct {
	t       *testing.T
	socket  string
	runRoot string // Config.RunRoot for a Resolver
	rootfs  string // holds this test binary, static, as /wait
	parent  string // cgroup that holds all its containers
}

// startDaemon starts a private containerd. Without one installed it skips, or
// fails where SEER_TEST_CONTAINERD=required says that there must be one.
func startDaemon(t *testing.T) *daemon {
	t.Helper()
	for _, program := range []string{"containerd", "ctr", "runc", "containerd-shim-runc-v2"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("SEER_TEST_CONTAINERD") == "required" {
				t.Fatalf("%v: install containerd and runc", err)
			}
			t.Skipf("not supported: %v: install containerd and runc", err)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("not supported: containers need root")
	}
	// Not t.TempDir: a socket's path has at most 107 bytes.
	dir, err := os.MkdirTemp("", "seerctr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &daemon{
		t: t, socket: filepath.Join(dir, "c.sock"), runRoot: filepath.Join(dir, "run"),
		rootfs: filepath.Join(dir, "rootfs"), parent: fmt.Sprintf("/seer-test-containerd-%d", os.Getpid()),
	}
	d.makeRootfs()
	config := filepath.Join(dir, "config.toml")
	writeFile(t, config, fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n",
		filepath.Join(dir, "root"), filepath.Join(d.runRoot, "containerd"), d.socket))
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("containerd", "--config", config)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		d.removeCgroups()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("containerd's log:\n%s", text[max(0, len(text)-4000):])
		}
	})
	waitFor(t, "containerd to answer", func() bool {
		return exec.Command("ctr", "-a", d.socket, "version").Run() == nil
	})
	return d
}

// makeRootfs makes a container's file system with nothing but this binary.
func (d *daemon) makeRootfs() {
	d.t.Helper()
	binary, err := elf.Open("/proc/self/exe")
	if err != nil {
		d.t.Fatal(err)
	}
	for _, segment := range binary.Progs {
		if segment.Type == elf.PT_INTERP {
			d.t.Fatal("the test binary is not static: build it with CGO_ENABLED=0")
		}
	}
	_ = binary.Close()
	in, err := os.Open("/proc/self/exe")
	if err != nil {
		d.t.Fatal(err)
	}
	defer in.Close()
	if err := os.MkdirAll(d.rootfs, 0o755); err != nil {
		d.t.Fatal(err)
	}
	out, err := os.OpenFile(filepath.Join(d.rootfs, "wait"), os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		d.t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		d.t.Fatal(err)
	}
}

// removeCgroups removes the parent of the containers' cgroups from every
// hierarchy; runc removes only what is below.
func (d *daemon) removeCgroups() {
	h, err := ReadHierarchies("/proc", defaultCgroupRoot)
	if err != nil {
		d.t.Error(err)
	}
	for _, one := range append(slices.Clone(h.V1), h.V2) {
		if dir, ok := one.Dir(d.parent); ok && one.Exists() {
			_ = os.Remove(dir)
		}
	}
}

func (d *daemon) ctr(args ...string) (string, error) {
	out, err := exec.Command("ctr", append([]string{"-a", d.socket}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ctr %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// run starts a container in a containerd namespace and returns its pid.
func (d *daemon) run(namespace, id string, options ...string) int {
	d.t.Helper()
	pidFile := filepath.Join(d.t.TempDir(), "pid")
	args := append([]string{
		"-n", namespace, "run", "--detach", "--null-io", "--rootfs", "--pid-file", pidFile,
		"--env", waitVariable + "=1", "--cgroup", d.parent + "/" + id,
	}, options...)
	if _, err := d.ctr(append(args, d.rootfs, id, "/wait")...); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { d.remove(namespace, id) })
	text, err := os.ReadFile(pidFile)
	if err != nil {
		d.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		d.t.Fatal(err)
	}
	return pid
}

// remove ends and deletes a container, once.
func (d *daemon) remove(namespace, id string) {
	d.t.Helper()
	if list, err := d.ctr("-n", namespace, "container", "list", "-q"); err != nil || !slices.Contains(strings.Fields(list), id) {
		return
	}
	_, _ = d.ctr("-n", namespace, "task", "kill", "-s", "KILL", id)
	waitFor(d.t, "task "+id+" to be deleted", func() bool {
		_, err := d.ctr("-n", namespace, "task", "delete", "--force", id)
		return err == nil || strings.Contains(err.Error(), "not found")
	})
	if _, err := d.ctr("-n", namespace, "container", "delete", id); err != nil {
		d.t.Error(err)
	}
}

// TestContainerd runs real containers and expects the names that ctr and the
// CRI plugin gave them, from containerd's state on disk alone.
func TestContainerd(t *testing.T) {
	d := startDaemon(t)
	r := newResolver(t, Config{RunRoot: d.runRoot})
	podID := fakeID(d.parent)
	tests := []struct {
		namespace, id string
		options       []string
		want          Container
	}{
		{"default", "seer-web-1", nil, Container{Name: "seer-web-1", Service: "seer-web", Runtime: "containerd"}},
		{"default", "seer-web-2", nil, Container{Name: "seer-web-2", Service: "seer-web", Runtime: "containerd"}},
		{"other", "seer-db", nil, Container{Name: "seer-db", Service: "seer-db", Runtime: "containerd"}},
		{"k8s.io", podID, []string{
			"--annotation", "io.kubernetes.cri.container-type=container",
			"--annotation", "io.kubernetes.cri.container-name=server",
			"--annotation", "io.kubernetes.cri.sandbox-name=cart-7d4b9c6f85-x2k8q",
			"--annotation", "io.kubernetes.cri.sandbox-namespace=shop",
			"--annotation", "io.kubernetes.cri.image-name=registry.example/cart:1",
		}, Container{
			Name: "cart-7d4b9c6f85-x2k8q/server", Service: "cart", Runtime: "cri",
			Pod: "cart-7d4b9c6f85-x2k8q", Namespace: "shop", Image: "registry.example/cart:1",
		}},
	}
	ids := make([]ID, len(tests))
	for i, tt := range tests {
		pid := d.run(tt.namespace, tt.id, tt.options...)
		id, err := r.IDOf(pid)
		if err != nil {
			t.Fatalf("IDOf(%d), %s = %v", pid, tt.id, err)
		}
		ids[i] = id
		r.Resolve(id)
	}
	refresh(t, r)
	for i, tt := range tests {
		want := tt.want
		want.ID, want.RuntimeID, want.Path = ids[i], tt.id, d.parent+"/"+tt.id
		if got := *r.Resolve(ids[i]); got != want {
			t.Errorf("Resolve(%v) = %+v, want %+v", ids[i], got, want)
		}
	}

	// One ends: it is reported gone, and its replica stays what it was.
	d.remove("default", "seer-web-1")
	waitFor(t, "the cgroup of seer-web-1 to be gone", func() bool {
		refresh(t, r)
		return slices.Contains(r.Gone(nil), ids[0])
	})
	if c := r.Resolve(ids[0]); c.Name != "seer-web-1" {
		t.Errorf("Resolve of the gone container = %q, want seer-web-1 for its grace period", c.Name)
	}
	if c := r.Resolve(ids[1]); c.Service != "seer-web" {
		t.Errorf("service of the replica left = %q, want seer-web still", c.Service)
	}

	// It starts again under the same name: another container, the same name.
	pid := d.run("default", "seer-web-1")
	id, err := r.IDOf(pid)
	if errors.Is(err, ErrGone) || id == ids[0] {
		t.Fatalf("IDOf the new seer-web-1 = %v, %v, want another id than %v", id, err, ids[0])
	}
	r.Resolve(id)
	refresh(t, r)
	if c := r.Resolve(id); c.Name != "seer-web-1" || c.Service != "seer-web" {
		t.Errorf("Resolve(%v) = %+v, want seer-web-1 again", id, c)
	}
}

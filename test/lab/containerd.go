//go:build linux

package lab

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Containerd is a private containerd daemon: its own socket, state and
// storage, beside whatever runs on the host. Its containers are real ones
// (runc), whose only program is this binary; no image is needed.
type Containerd struct {
	// RunRoot stands for /run: the daemon's state is in RunRoot/containerd.
	RunRoot string

	t      TB
	socket string
	rootfs string
}

// containerdNamespace is the containerd namespace of the lab's containers.
const containerdNamespace = "seer-lab"

// HasContainerd says whether the programs that it takes are installed.
func HasContainerd() bool {
	for _, program := range []string{"containerd", "ctr", "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			return false
		}
	}
	return true
}

// NewContainerd starts a daemon that lasts until the end of the test; dir is
// an empty directory for all its files. The running binary must be static
// (CGO_ENABLED=0): a container holds no C library.
func NewContainerd(t TB, dir string) *Containerd {
	t.Helper()
	d := &Containerd{
		RunRoot: filepath.Join(dir, "run"), t: t,
		socket: filepath.Join(dir, "sock"), rootfs: filepath.Join(dir, "rootfs"),
	}
	if err := d.start(dir); err != nil {
		t.Fatalf("private containerd: %v", err)
	}
	return d
}

func (d *Containerd) start(dir string) error {
	if err := copyProgram(filepath.Join(d.rootfs, "lab")); err != nil {
		return err
	}
	config := filepath.Join(dir, "config.toml")
	text := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n",
		filepath.Join(dir, "root"), filepath.Join(d.RunRoot, "containerd"), d.socket)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	log := &tail{}
	cmd := exec.Command("containerd", "--config", config)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := onSpawner(0, cmd.Start); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	d.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-done
	})
	Wait(d.t, "containerd to answer", func() (bool, string) {
		out, err := d.ctr("version").CombinedOutput()
		return err == nil, fmt.Sprintf("%s; its log: %s", out, log)
	})
	return nil
}

func (d *Containerd) ctr(args ...string) *exec.Cmd {
	return exec.Command("ctr", append([]string{"--address", d.socket, "--namespace", containerdNamespace}, args...)...)
}

// Sockets runs a container with a Sockets process in it, in the host's network
// namespace. Its containerd id is the container's Name.
func (d *Containerd) Sockets(name string) *Sockets {
	d.t.Helper()
	c := &Container{Name: fmt.Sprintf("%s%d-%s%d", cgroupPrefix, os.Getpid(), name, containers.Add(1)), t: d.t}
	args := []string{"run", "--rm", "--net-host", "--cgroup", "/" + c.Name}
	for _, env := range ChildEnv("sockets") {
		args = append(args, "--env", env)
	}
	cmd := d.ctr(append(args, "--rootfs", d.rootfs, c.Name, "/lab")...)
	p := c.start("sockets", nil, cmd, func(cmd *exec.Cmd) error {
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		return onSpawner(0, cmd.Start)
	})
	// The workload has answered, so it runs; cmd is only its client.
	bundle := filepath.Join(d.RunRoot, "containerd", "io.containerd.runtime.v2.task", containerdNamespace, c.Name)
	text, err := os.ReadFile(filepath.Join(bundle, "init.pid"))
	if err == nil {
		p.PID, err = strconv.Atoi(string(text))
	}
	if err == nil {
		err = c.identify(p.PID)
	}
	if err != nil {
		d.t.Fatalf("container %s: %v", c.Name, err)
	}
	return &Sockets{p}
}

// identify finds the cgroup a runtime put a process into: in cgroup v2, or in
// v1 where the runtime leaves v2 alone.
func (c *Container) identify(pid int) error {
	h, err := findHierarchies("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return err
	}
	paths := map[string]string{}
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		for _, controller := range strings.Split(f[1], ",") {
			paths[controller] = f[2]
		}
	}
	c.Path = filepath.Join(h.unified, paths[""])
	if h.unified == "" || paths[""] == "/" {
		c.Legacy = true
		c.Path = filepath.Join(h.legacy["memory"], paths["memory"])
	}
	var st unix.Stat_t
	if err := unix.Stat(c.Path, &st); err != nil {
		return fmt.Errorf("stat %s: %w", c.Path, err)
	}
	c.CgroupID = st.Ino
	return nil
}

// copyProgram copies the running binary to path.
func copyProgram(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	in, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

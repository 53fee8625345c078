//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"seer/test/bed/host"
)

// Daemon is a private containerd.
type Daemon struct {
	namespace string // of containerd
	socket    string
}

const startTimeout = 30 * time.Second

// Installed returns an error where the programs are missing.
func Installed() error {
	for _, program := range []string{"containerd", "ctr", "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("no %s: run test/install runtime, or apt-get install containerd runc", program)
		}
	}
	return nil
}

// Start starts a daemon in a container of the testbed and returns once it
// answers. Its files are in dir; keep is a directory that its containers have
// mounts from. What is mounted in keep later, they do not see.
func Start(ctx context.Context, c *host.Container, dir, keep, namespace string) (*Daemon, error) {
	if strings.HasPrefix(dir, "/run/") {
		return nil, fmt.Errorf("directory %s: containerd cannot have its data below /run: choose another", dir)
	}
	d := &Daemon{namespace: namespace, socket: filepath.Join(dir, "sock")}
	run := filepath.Join(dir, "run")
	if err := os.MkdirAll(run, 0o755); err != nil {
		return nil, err
	}
	config, log := filepath.Join(dir, "config.toml"), filepath.Join(dir, "log")
	// The socket is not below /run: clients see another one.
	text := fmt.Sprintf("version = 2\nroot = %q\nstate = \"/run/containerd\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n",
		filepath.Join(dir, "root"), d.socket)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command("containerd", "--config", config)
	cmd.Stdout, cmd.Stderr = out, out
	p, err := c.StartRuntime(cmd, run, keep)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		answer, err := d.ctr(ctx, "version").CombinedOutput()
		if err == nil {
			return d, nil
		}
		select {
		case <-poll.C:
		case <-p.Done():
			said, _ := os.ReadFile(log)
			return nil, fmt.Errorf("containerd has ended (%w); it said: %s", p.Wait(), lastLine(said))
		case <-ctx.Done():
			return nil, fmt.Errorf("containerd does not answer (%w): %s", context.Cause(ctx), lastLine(answer))
		}
	}
}

func (d *Daemon) ctr(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ctr", append([]string{"--address", d.socket, "--namespace", d.namespace}, args...)...)
}

// Spec is one container. Its cgroup exists, and so does its network namespace.
type Spec struct {
	Name      string
	Image     string
	Cgroup    string // below the root of every hierarchy
	Namespace string // path of the network namespace
	Mounts    []Mount
	Command   *exec.Cmd // its path, arguments, environment and directory
	Log       string    // file for what it says
	PIDFile   string
}

// Mount shows a directory of the host in a container, at the same path.
type Mount struct {
	Path     string
	ReadOnly bool
}

// Run starts a container and returns its first process.
func (d *Daemon) Run(ctx context.Context, s Spec) (pid int, err error) {
	if s.Command.Err != nil {
		return 0, s.Command.Err
	}
	args := []string{
		"run", "--detach", "--runc-root", "/run/runc", "--cgroup", "/" + s.Cgroup,
		"--with-ns", "network:" + s.Namespace, "--log-uri", "file://" + s.Log, "--pid-file", s.PIDFile,
		"--cwd", s.Command.Dir,
	}
	for _, m := range s.Mounts {
		options := "rbind:rw"
		if m.ReadOnly {
			options = "rbind:ro"
		}
		args = append(args, "--mount", fmt.Sprintf("type=bind,src=%s,dst=%s,options=%s", m.Path, m.Path, options))
	}
	for _, env := range s.Command.Env {
		args = append(args, "--env", env)
	}
	args = append(args, s.Image, s.Name, s.Command.Path)
	if out, err := d.ctr(ctx, append(args, s.Command.Args[1:]...)...).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("ctr run: %w: %s", err, lastLine(out))
	}
	text, err := os.ReadFile(s.PIDFile)
	if err != nil {
		return 0, err
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil || pid <= 0 {
		return 0, errors.Join(fmt.Errorf("ctr run: process id %q", text), err)
	}
	return pid, nil
}

func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

//go:build linux

package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// Host makes containers below one parent cgroup.
type Host struct {
	Parent      string // name of the parent cgroup
	Hierarchies Hierarchies
	Journal     *Journal
}

// New makes the parent cgroup, which must not exist: it would be somebody else's.
func New(j *Journal, parent string) (*Host, error) {
	h, err := Open(j, parent)
	if err != nil {
		return nil, err
	}
	if root := h.Hierarchies.Unified; root != "" && len(h.Hierarchies.Legacy) == 0 {
		if err := delegate(j, root); err != nil {
			return nil, err
		}
	}
	_, err = newCgroup(j, h.Hierarchies, parent, true)
	return h, err
}

// Open returns a Host whose parent cgroup New made.
func Open(j *Journal, parent string) (*Host, error) {
	h, err := FindHierarchies("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return &Host{Parent: parent, Hierarchies: h, Journal: j}, nil
}

// Container is a cgroup, a link to a network, and what was started there.
type Container struct {
	Name   string
	Cgroup *Cgroup
	Link   Link // zero in a container that has the host's network

	journal *Journal
}

// NewContainer makes an empty container with these limits. Its link, if it is to
// have one, has been made before.
func (h *Host) NewContainer(name string, l Limits, link Link) (*Container, error) {
	c := h.Container(name, link)
	if _, err := newCgroup(h.Journal, h.Hierarchies, c.Cgroup.Name, false); err != nil {
		return c, err
	}
	return c, c.Cgroup.Set(l)
}

// Container returns a container that NewContainer made, here or in a process
// that has ended.
func (h *Host) Container(name string, link Link) *Container {
	return &Container{Name: name, Cgroup: &Cgroup{Name: h.Parent + "/" + name, h: h.Hierarchies}, Link: link, journal: h.Journal}
}

// Start starts a program in the container, as user or as root with nil. It
// becomes the leader of a session and outlives its parent. cmd keeps its
// standard files, directory and environment; the rest is the container's.
func (c *Container) Start(cmd *exec.Cmd, user *User) (*Process, error) {
	return c.start(cmd, launchSpec{User: user})
}

// StartRuntime starts a container runtime, which has its own idea of /run: an
// empty directory stands for it, but for one directory below the real one that
// it sees as well, with what is mounted there now. Its mounts are nobody else's
// and vanish with it.
func (c *Container) StartRuntime(cmd *exec.Cmd, run, keep string) (*Process, error) {
	return c.start(cmd, launchSpec{Run: run, Keep: keep})
}

func (c *Container) start(cmd *exec.Cmd, s launchSpec) (*Process, error) {
	s.Cgroups, s.Namespace = c.Cgroup.Dirs(), c.Link.Namespace.Path
	if err := start(cmd, s); err != nil {
		return nil, fmt.Errorf("container %s: %w", c.Name, err)
	}
	p, err := newProcess(cmd)
	if err == nil {
		err = c.journal.Add(Entry{Kind: KindProcess, Name: c.Name, PID: p.PID, Start: p.Start})
	}
	if err != nil {
		cmd.Process.Kill()
		return nil, fmt.Errorf("container %s: %w", c.Name, err)
	}
	return p, nil
}

// Adopt follows a process that a runtime started in the container.
func (c *Container) Adopt(pid int) (*Process, error) {
	p, err := adopt(pid)
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", c.Name, err)
	}
	return p, c.journal.Add(Entry{Kind: KindProcess, Name: c.Name, PID: p.PID, Start: p.Start})
}

// Dial connects to an address from inside the namespace.
func (n Namespace) Dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	var conn net.Conn
	err := n.Do(func() error {
		var d net.Dialer
		var err error
		conn, err = d.DialContext(ctx, "tcp4", addr.String())
		return err
	})
	return conn, err
}

// Remove kills what runs in the container and removes its cgroup; its link is
// the network's.
func (c *Container) Remove(ctx context.Context) error {
	return removeCgroups(ctx, c.Cgroup.Dirs())
}

// removeCgroups kills until nothing is left, then removes the directories.
func removeCgroups(ctx context.Context, dirs []string) error {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		var busy error
		for _, dir := range dirs {
			killCgroup(dir)
			// EBUSY while what was killed is still going away.
			if err := removeCgroup(dir); errors.Is(err, unix.EBUSY) {
				busy = err
			} else if err != nil {
				return err
			}
		}
		if busy == nil {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: its processes do not end: %w", busy, context.Cause(ctx))
		}
	}
}
